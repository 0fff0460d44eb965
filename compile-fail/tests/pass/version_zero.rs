//! A version is made of a number from 1.

use strongroom_core::{Version, path};

fn main() {
    let _secret = Version::new(1).map(|version| path!("prod/db").at(version));
}
