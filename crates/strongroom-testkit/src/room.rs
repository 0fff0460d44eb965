//! A whole store in memory, for tests of programs that use strongroom.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use strongroom_core::{AccessRequest, Decision, PolicyEngine, Principal, Subject, async_trait};
use strongroom_engine::{Builder, Error, Strongroom};

use crate::{ManualClock, MemorySeal, MemorySink, MemoryStorage, SeededEntropy};

/// A store in memory with a clock that the test moves and a log that the test reads.
///
/// ```
/// use strongroom_core::{Password, Principal};
/// use strongroom_testkit::TestRoom;
///
/// let kit = TestRoom::allowing_all();
/// let alice = kit.room().session(Principal::user("alice"));
/// futures_executor::block_on(alice.put("home/router", Password::new("s3cr3t")))?;
/// assert!(kit.log.decisions().iter().any(|record| record.action == strongroom_core::ActionName::Write));
/// # Ok::<(), strongroom_engine::Error>(())
/// ```
#[derive(Debug)]
pub struct TestRoom {
    /// The store's clock.
    pub clock: ManualClock,
    /// The store's log.
    pub log: MemorySink,
    /// The store's storage.
    pub storage: MemoryStorage,
    /// The store's seal.
    pub seal: MemorySeal,
    room: Strongroom,
    /// The seed of the next open: two with the same would begin the same log.
    next_seed: AtomicU64,
}

impl TestRoom {
    /// A store in which everybody may do everything. No engine outside tests is like that.
    ///
    /// # Panics
    /// Never: a new store in memory opens.
    #[must_use]
    pub fn allowing_all() -> Self {
        Self::with_policy(AllowAll)
    }

    /// A store with a policy of the test's.
    ///
    /// # Panics
    /// Where the policy engine panics as the store is opened.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that cannot begin has failed")]
    pub fn with_policy(policy: impl PolicyEngine) -> Self {
        let (clock, log) = (ManualClock::new(), MemorySink::new());
        let (storage, seal) = (MemoryStorage::new(), MemorySeal::new());
        let builder = assemble(&clock, &log, &storage, &seal, policy);
        match now(builder.create()) {
            Ok(room) => Self { clock, log, storage, seal, room, next_seed: AtomicU64::new(2) },
            Err(error) => panic!("the store in memory does not open: {error}"),
        }
    }

    /// The store.
    #[must_use]
    pub fn room(&self) -> Strongroom {
        self.room.clone()
    }

    /// The same storage opened once more, as another process would, with a log of its own beside
    /// the others: [`log`](Self::log) shows its records, too. It settles what a process left open
    /// that died before, such as an earlier one of these that was dropped without `close`, or this
    /// room's after [`MemorySink::kill`].
    ///
    /// # Errors
    /// What opening a store says.
    pub fn open_again(&self, policy: impl PolicyEngine) -> Result<Strongroom, Error> {
        let log = self.log.beside();
        let builder = assemble(&self.clock, &log, &self.storage, &self.seal, policy);
        let seed = self.next_seed.fetch_add(1, Ordering::Relaxed);
        now(builder.entropy(SeededEntropy::new(seed)).open())
    }

    /// The same storage opened once more, in which everybody may do everything.
    ///
    /// # Errors
    /// What opening a store says.
    pub fn open_again_allowing_all(&self) -> Result<Strongroom, Error> {
        self.open_again(AllowAll)
    }
}

/// Runs a future over parts in memory, which never wait for anything. Not `block_on`: a test may
/// make its room inside an executor, and some do not nest.
fn now<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

fn assemble(
    clock: &ManualClock,
    log: &MemorySink,
    storage: &MemoryStorage,
    seal: &MemorySeal,
    policy: impl PolicyEngine,
) -> Builder {
    Strongroom::builder()
        .storage(storage.clone())
        .seal(seal.clone())
        .policy(policy)
        .audit(log.clone())
        .clock(clock.clone())
        .entropy(SeededEntropy::new(1))
}

#[derive(Debug)]
pub(crate) struct AllowAll;

#[async_trait]
impl PolicyEngine for AllowAll {
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
        Decision::allow().by_rule("test-allows-all")
    }
}
