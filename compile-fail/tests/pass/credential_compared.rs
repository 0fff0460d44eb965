//! Its password is compared in constant time.

use strongroom_core::Credential;

fn main() {
    let credential = Credential::new("billing_rw", "s3cr3t");
    let other = Credential::new("billing_rw", "guess");
    assert!(!credential.password().ct_eq(other.password()));
}
