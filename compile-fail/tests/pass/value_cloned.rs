//! A copy is made on purpose.

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    // EXPOSE: the caller asks for a copy in so many words.
    let _copy = value.expose(SecretValue::copied_from);
}
