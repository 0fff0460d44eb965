//! Its length may.

use strongroom_core::SecretText;

fn main() {
    let text = SecretText::from("s3cr3t");
    let _json = serde_json::to_string(&text.len());
}
