//! It is made in code.

use strongroom_core::Credential;

fn main() {
    let _made = Credential::new("billing_rw", "s3cr3t");
}
