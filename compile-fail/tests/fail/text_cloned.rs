//! Secret text is not copied by accident.

use strongroom_core::SecretText;

fn main() {
    let text = SecretText::from("s3cr3t");
    let _copy = text.clone(); //~ E0599
}
