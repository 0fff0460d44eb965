//! Its target may.

use strongroom_core::SecretPath;

fn main() {
    let name: String = serde_json::from_str("\"prod/db\"").unwrap();
    assert!(SecretPath::try_from(name).is_ok());
}
