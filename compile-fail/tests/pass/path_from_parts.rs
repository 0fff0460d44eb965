//! Parsing says what is wrong.

use strongroom_core::SecretPath;

fn main() {
    let _path: Result<SecretPath, _> = "prod/db".try_into();
}
