//! A path in the program is checked by the compiler.

use strongroom_core::{SecretPath, path};

fn main() {
    const DB: SecretPath = path!("prod//db"); //~ E0080
    assert_eq!(DB.as_str(), "prod//db");
}
