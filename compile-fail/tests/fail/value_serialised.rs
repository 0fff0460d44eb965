//! A secret value goes into no document.

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    let _json = serde_json::to_string(&value); //~ E0277
}
