//! What is lent to the closure does not leave it.

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    let bytes: &[u8] = value.expose(|bytes| bytes); //~ none
    assert_eq!(bytes.len(), 6);
}
