//! A path in its only spelling.

use strongroom_core::{SecretPath, path};

fn main() {
    const DB: SecretPath = path!("prod/db");
    assert_eq!(DB.as_str(), "prod/db");
}
