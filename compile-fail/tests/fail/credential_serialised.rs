//! A credential goes into no document.

use strongroom_core::Credential;

fn main() {
    let credential = Credential::new("billing_rw", "s3cr3t");
    let _json = serde_json::to_string(&credential); //~ E0277
}
