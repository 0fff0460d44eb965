//! It is made of bytes.

use strongroom_core::SecretValue;

fn main() {
    let _value: SecretValue = Vec::from(*b"s3cr3t").into();
}
