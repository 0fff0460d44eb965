//! Secret text goes into no document.

use strongroom_core::SecretText;

fn main() {
    let text = SecretText::from("s3cr3t");
    let _json = serde_json::to_string(&text); //~ E0277
}
