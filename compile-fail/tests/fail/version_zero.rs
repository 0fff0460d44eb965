//! There is no version 0 to fall back to.

use strongroom_core::{Version, path};

fn main() {
    let _secret = path!("prod/db").at(0); //~ E0277
}
