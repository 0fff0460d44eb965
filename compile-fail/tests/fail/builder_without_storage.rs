//! No store without a place for it.

use strongroom_engine::Strongroom;
use strongroom_testkit::MemorySeal;

fn main() {
    let _builder = Strongroom::builder().seal(MemorySeal::new()); //~ E0599
}
