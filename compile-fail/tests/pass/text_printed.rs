//! Its `Debug` is the name of its type.

use strongroom_core::SecretText;

fn main() {
    let text = SecretText::from("s3cr3t");
    println!("{text:?}");
}
