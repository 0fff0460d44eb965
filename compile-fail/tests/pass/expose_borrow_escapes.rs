//! What is computed from it does.

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    // EXPOSE: only the length leaves the closure.
    let length = value.expose(|bytes| bytes.len());
    assert_eq!(length, 6);
}
