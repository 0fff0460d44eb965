//! A secret value is found by its name.

use std::collections::HashMap;

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    let mut uses: HashMap<&str, SecretValue> = HashMap::new();
    uses.insert("prod/db", value);
}
