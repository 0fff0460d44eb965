//! Comparing in constant time.

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    let same = value.ct_eq(&SecretValue::copied_from(b"guess"));
    assert!(!same);
}
