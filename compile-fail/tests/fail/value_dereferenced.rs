//! A secret value is not a slice that can be passed on.

use strongroom_core::SecretValue;

fn main() {
    fn send(_: &[u8]) {}
    let value = SecretValue::copied_from(b"s3cr3t");
    send(&value); //~ E0308
}
