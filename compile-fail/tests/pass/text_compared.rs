//! Comparing in constant time.

use strongroom_core::SecretText;

fn main() {
    let text = SecretText::from("s3cr3t");
    assert!(!text.ct_eq(&SecretText::from("guess")));
}
