//! No store without an audit log.

use futures_executor::block_on;
use strongroom_core::{AccessRequest, Decision, PolicyEngine, Principal, Subject, async_trait};
use strongroom_engine::Strongroom;
use strongroom_testkit::{MemorySeal, MemoryStorage};

#[derive(Debug)]
struct Nobody;

#[async_trait]
impl PolicyEngine for Nobody {
    fn revision(&self) -> u64 {
        0
    }
    fn needs_secret(&self, _: &AccessRequest) -> bool {
        false
    }
    fn subject(&self, _: &Principal) -> Subject {
        Subject::unresolved(0)
    }
    async fn decide(&self, _: &Subject, _: &AccessRequest) -> Decision {
        Decision::deny()
    }
}

fn main() {
    let builder = Strongroom::builder().storage(MemoryStorage::new());
    let builder = builder.seal(MemorySeal::new()).policy(Nobody);
    let _room = block_on(builder.create()); //~ E0599
}
