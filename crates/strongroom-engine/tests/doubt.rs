//! A write in doubt, while another process changes what it was made under.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::cell::{OnceCell, RefCell};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_executor::block_on;
use strongroom_core::{Opaque, Principal};
use strongroom_engine::{Builder, Error, Indeterminate, Session, Strongroom};
use strongroom_policy::Policy;
use strongroom_testkit::{
    Call, Fault, FaultyStorage, ManualClock, MemorySeal, MemorySink, MemoryStorage, SeededEntropy,
};

/// A store with the namespace `prod`, open in two processes. Its storage can fail.
struct World {
    clock: ManualClock,
    storage: FaultyStorage<MemoryStorage>,
    log: MemorySink,
    seal: MemorySeal,
    room: OnceCell<Strongroom>,
    other: RefCell<Option<Strongroom>>,
}

impl World {
    fn new(memory: &MemoryStorage) -> Self {
        let world = Self {
            clock: ManualClock::new(),
            storage: FaultyStorage::new(memory.clone()),
            log: MemorySink::new(),
            seal: MemorySeal::new(),
            room: OnceCell::new(),
            other: RefCell::default(),
        };
        world.room.set(block_on(world.builder(1).create()).unwrap()).unwrap();
        block_on(world.admin().put("prod/other", Opaque::new(b"other"))).unwrap();
        *world.other.borrow_mut() = Some(block_on(world.builder(2).open()).unwrap());
        world
    }

    fn builder(&self, seed: u64) -> Builder {
        Strongroom::builder()
            .storage(self.storage.clone())
            .seal(self.seal.clone())
            .policy(Policy::owned_by(&Principal::user("alice")))
            .audit(self.log.beside())
            .clock(self.clock.clone())
            .entropy(SeededEntropy::new(seed))
    }

    fn admin(&self) -> Session {
        self.room.get().unwrap().session(Principal::user("alice"))
    }

    fn writer(&self) -> Session {
        self.other.borrow().as_ref().unwrap().session(Principal::user("alice"))
    }

    /// A put of which its writer does not know what became.
    fn put_in_doubt(&self, fault: Fault) -> Indeterminate {
        self.storage.every(Call::Write, fault);
        let put = block_on(self.writer().put("prod/db", Opaque::new(b"value")));
        self.storage.heal();
        match put {
            Err(Error::Indeterminate(write)) => write,
            other => panic!("{other:?}"),
        }
    }
}

/// Whenever that happens: the opener finds that nobody can tell any more, and opens.
#[test]
fn a_namespace_that_is_destroyed_while_its_writes_are_settled_keeps_nobody_from_opening() {
    for polls in 0..10_000 {
        let world = World::new(&MemoryStorage::new());
        drop(world.put_in_doubt(Fault::LostRequest));
        *world.other.borrow_mut() = None; // as a kill does: without `close`

        let mut open = pin!(world.builder(3).open());
        let mut context = Context::from_waker(Waker::noop());
        let mut poll = || open.as_mut().poll(&mut context);
        for call in [Call::Read, Call::List, Call::Write] {
            world.storage.every(call, Fault::Delay { before: 1, after: 1 });
        }
        if (0..polls).any(|_| poll().is_ready()) {
            assert!(polls > 10, "an open waits more often than that");
            return;
        }
        world.storage.heal();
        block_on(world.admin().destroy_namespace("prod")).unwrap();
        let opened = (0..10_000).find_map(|_| match poll() {
            Poll::Ready(opened) => Some(opened),
            Poll::Pending => None,
        });
        assert!(matches!(opened, Some(Ok(_))), "after {polls} polls: {opened:?}");
    }
    panic!("an open hangs");
}
