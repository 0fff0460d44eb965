//! Comparing with `==` takes a time that tells how much is equal.

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    let same = value == SecretValue::copied_from(b"guess"); //~ E0369
    assert!(!same);
}
