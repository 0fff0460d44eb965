//! Its path may.

use strongroom_core::SecretValue;

fn main() {
    let path = strongroom_core::path!("prod/db");
    let value = SecretValue::copied_from(b"s3cr3t");
    let _json = serde_json::to_string(&path);
    drop(value);
}
