//! First the place.

use strongroom_engine::Strongroom;
use strongroom_testkit::{MemorySeal, MemoryStorage};

fn main() {
    let builder = Strongroom::builder().storage(MemoryStorage::new());
    let _builder = builder.seal(MemorySeal::new());
}
