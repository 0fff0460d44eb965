//! A copy is made on purpose.

use strongroom_core::SecretText;

fn main() {
    let text = SecretText::from("s3cr3t");
    // EXPOSE: the caller asks for a copy in so many words.
    let _copy = text.expose(|text| SecretText::from(text));
}
