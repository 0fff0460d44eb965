//! It is lent for a call.

use strongroom_core::SecretValue;

fn main() {
    fn send(_: &[u8]) {}
    let value = SecretValue::copied_from(b"s3cr3t");
    // EXPOSE: lent for the call.
    value.expose(send);
}
