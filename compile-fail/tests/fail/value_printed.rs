//! A secret value has no text to print.

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    println!("{value}"); //~ E0277
}
