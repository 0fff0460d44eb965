//! A secret value is not taken by an interface that takes anything like bytes.

use strongroom_core::SecretValue;

fn main() {
    fn send(_: impl AsRef<[u8]>) {}
    let value = SecretValue::copied_from(b"s3cr3t");
    send(value); //~ E0277
}
