//! Its user name may be.

use strongroom_core::Credential;

fn main() {
    let credential = Credential::new("billing_rw", "s3cr3t");
    let _copy = credential.username().to_owned();
}
