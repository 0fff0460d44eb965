//! No store without a holder of its key.

use strongroom_core::{AccessRequest, Decision, PolicyEngine, Principal, Subject, async_trait};
use strongroom_engine::Strongroom;
use strongroom_testkit::MemoryStorage;

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
    let _builder = builder.policy(Nobody); //~ E0599
}
