//! A secret value is not copied by accident.

use strongroom_core::SecretValue;

fn main() {
    let value = SecretValue::copied_from(b"s3cr3t");
    let _copy = value.clone(); //~ E0599
}
