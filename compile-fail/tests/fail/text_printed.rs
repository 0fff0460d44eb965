//! Secret text has no `Display`.

use strongroom_core::SecretText;

fn main() {
    let text = SecretText::from("s3cr3t");
    println!("{text}"); //~ E0277
}
