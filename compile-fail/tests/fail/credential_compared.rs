//! A credential is not compared with `==`.

use strongroom_core::Credential;

fn main() {
    let credential = Credential::new("billing_rw", "s3cr3t");
    assert!(credential != Credential::new("billing_rw", "guess")); //~ E0369
}
