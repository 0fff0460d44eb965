//! No store in which nobody decides.

use strongroom_engine::Strongroom;
use strongroom_testkit::{MemorySeal, MemorySink, MemoryStorage};

fn main() {
    let builder = Strongroom::builder().storage(MemoryStorage::new());
    let builder = builder.seal(MemorySeal::new());
    let _builder = builder.audit(MemorySink::new()); //~ E0599
}
