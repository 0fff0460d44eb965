//! A secret value comes out of no document.

use strongroom_core::SecretValue;

fn main() {
    let _value: Result<SecretValue, _> = serde_json::from_str("\"s3cr3t\""); //~ E0277
}
