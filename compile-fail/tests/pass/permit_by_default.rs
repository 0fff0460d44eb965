//! There are options by default.

use strongroom_engine::WriteOptions;

fn main() {
    assert!(!WriteOptions::default().allow_empty);
}
