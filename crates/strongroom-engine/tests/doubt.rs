//! A write in doubt, while another process changes what it was made under.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::cell::{OnceCell, RefCell};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_executor::block_on;
use strongroom_core::{Opaque, Principal, Profile, Storage as _, Version};
use strongroom_engine::{Builder, Error, Indeterminate, Session, Strongroom, WriteOutcome};
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

    fn resolve(&self, write: &Indeterminate) -> WriteOutcome {
        block_on(self.writer().resolve(write)).unwrap()
    }
}

/// It took effect, others read it, and then it was destroyed with all there was: nothing of that is
/// left to see, and "it did not" would be wrong.
#[test]
fn a_write_that_was_destroyed_with_its_namespace_is_not_called_lost() {
    for fault in [Fault::LostReply, Fault::LostRequest] {
        let world = World::new(&MemoryStorage::new());
        let write = world.put_in_doubt(fault);
        let read = block_on(world.admin().get::<Opaque>("prod/db"));
        assert_eq!(read.is_ok(), fault == Fault::LostReply);
        block_on(world.admin().destroy_namespace("prod")).unwrap();
        assert_eq!(world.resolve(&write), WriteOutcome::Unknown, "{fault:?}");
    }
}

#[test]
fn a_first_write_that_new_keys_refuse_is_lost() {
    let world = World::new(&MemoryStorage::new());
    let write = world.put_in_doubt(Fault::LostRequest);
    block_on(world.admin().rotate_keys("prod")).unwrap();
    assert_eq!(world.resolve(&write), WriteOutcome::DidNot);
}

/// Where nothing is checked beside a write, what is sent again after its epoch was destroyed would
/// be the first record of a path that nobody can ever open.
#[test]
fn where_nothing_is_checked_a_write_is_not_sent_again_under_an_epoch_that_left() {
    let memory = MemoryStorage::new();
    let profile = Profile { atomic_ops: NonZeroUsize::MIN, ..memory.profile() };
    for fault in [Fault::LostReply, Fault::LostRequest] {
        let world = World::new(&MemoryStorage::new().with_profile(profile));
        let write = world.put_in_doubt(fault);
        block_on(world.admin().rotate_keys("prod")).unwrap();
        let first = block_on(world.admin().rewrap("prod")).unwrap();
        assert_eq!((first.epochs_destroyed, first.epochs_left), (0, 1));
        world.clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
        assert_eq!(block_on(world.admin().rewrap("prod")).unwrap().epochs_destroyed, 1);

        let outcome = world.resolve(&write);
        let read = block_on(world.writer().get::<Opaque>("prod/db"));
        if fault == Fault::LostReply {
            assert_eq!(outcome, WriteOutcome::TookEffect(Version::new(1)));
            assert!(read.is_ok(), "{read:?}");
        } else {
            assert_eq!(outcome, WriteOutcome::Unknown);
            assert!(matches!(read, Err(Error::NotFound(_))), "{read:?}");
        }
        block_on(world.writer().put("prod/db", Opaque::new(b"again"))).unwrap();
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
