//! Secret text is not compared with `==`.

use strongroom_core::SecretText;

fn main() {
    let text = SecretText::from("s3cr3t");
    assert!(text != SecretText::from("guess")); //~ E0369
}
