//! There is no way to a path around its parser.

use strongroom_core::SecretPath;

fn main() {
    let _path: SecretPath = "prod/db".into(); //~ E0277
}
