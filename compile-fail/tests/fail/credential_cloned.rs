//! A credential is not copied by accident.

use strongroom_core::Credential;

fn main() {
    let credential = Credential::new("billing_rw", "s3cr3t");
    let _copy = credential.clone(); //~ E0599
}
