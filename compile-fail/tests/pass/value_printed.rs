//! Its `Debug` is the name of its type.

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    println!("{value:?}");
}
