//! A secret value is no key of a map.

use std::collections::HashMap;

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    let mut uses: HashMap<SecretValue, u32> = HashMap::new();
    uses.insert(value, 1); //~ E0599
}
