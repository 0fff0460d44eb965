//! A store in memory of which each call can be made to wait before its effect and after it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use strongroom_core::{AuditSink, Principal, Profile, Seal, Storage};
use strongroom_engine::{Builder, Session, Strongroom};
use strongroom_policy::Policy;
use strongroom_testkit::{
    Call, Delaying, Fault, FaultyStorage, ManualClock, MemorySeal, MemorySink, MemoryStorage,
    SeededEntropy,
};

/// More polls than any operation on a small store takes.
const HANGS: usize = 20_000;
const EVERY_CALL: [Call; 5] = [Call::Read, Call::List, Call::Write, Call::Erase, Call::Backup];

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// A batch holds all of a write.
    Wide,
    /// A batch holds two operations: blobs go before the head that names them.
    Pairs,
    /// A batch is one operation: nothing is checked beside a write.
    Single,
}

impl Backend {
    fn profile(self, wide: Profile) -> Profile {
        let atomic_ops = match self {
            Self::Wide => wide.atomic_ops,
            Self::Pairs => NonZeroUsize::new(2).unwrap(),
            Self::Single => NonZeroUsize::MIN,
        };
        // So that a value of a few thousand bytes has several parts.
        Profile { atomic_ops, value_bytes: NonZeroUsize::new(4096).unwrap(), ..wide }
    }
}

pub(crate) struct World {
    pub(crate) memory: MemoryStorage,
    pub(crate) storage: FaultyStorage<MemoryStorage>,
    pub(crate) log: MemorySink,
    clock: ManualClock,
    seal: Delaying<MemorySeal>,
    room: RefCell<Option<Strongroom>>,
    seeds: Cell<u64>,
}

impl World {
    /// A store that is there, open and empty, or none.
    pub(crate) fn new(backend: Backend, exists: bool) -> Self {
        let wide = MemoryStorage::new();
        let profile = backend.profile(wide.profile());
        let memory = wide.with_profile(profile);
        let world = Self {
            storage: FaultyStorage::new(memory.clone()),
            memory,
            log: MemorySink::new(),
            clock: ManualClock::new(),
            seal: Delaying::new(MemorySeal::new()),
            room: RefCell::default(),
            seeds: Cell::new(0),
        };
        world.delay(false);
        if exists {
            let sink = world.seal.with(world.log.clone());
            let builder = world.assemble(world.storage.clone(), world.seal.clone(), sink);
            world.adopt(finish(builder.create()).unwrap());
        }
        world
    }

    fn assemble(&self, storage: impl Storage, seal: impl Seal, sink: impl AuditSink) -> Builder {
        self.seeds.set(self.seeds.get() + 1);
        Strongroom::builder()
            .storage(storage)
            .seal(seal)
            .policy(self.seal.with(Policy::owned_by(&Principal::user("alice"))))
            .audit(sink)
            .clock(self.clock.clone())
            .entropy(SeededEntropy::new(self.seeds.get()))
    }

    /// Another process, whose calls are delayed as those of the room are.
    pub(crate) fn another(&self) -> Builder {
        let sink = self.seal.with(self.log.beside());
        self.assemble(self.storage.clone(), self.seal.clone(), sink)
    }

    /// Another process of which no call waits or fails.
    pub(crate) fn healthy(&self) -> Builder {
        self.assemble(self.memory.clone(), self.seal.inner().clone(), self.log.beside())
    }

    pub(crate) fn seal(&self) -> Delaying<MemorySeal> {
        self.seal.clone()
    }

    pub(crate) fn room(&self) -> Strongroom {
        self.room.borrow().clone().unwrap()
    }

    pub(crate) fn adopt(&self, room: Strongroom) {
        *self.room.borrow_mut() = Some(room);
    }

    pub(crate) fn alice(&self) -> Session {
        alice(&self.room())
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&self) {
        self.log.kill();
        *self.room.borrow_mut() = None;
    }

    /// Whether each call waits once before its effect and once after it.
    pub(crate) fn delay(&self, on: bool) {
        self.seal.set_delaying(on);
        self.storage.heal();
        if on {
            for call in EVERY_CALL {
                self.storage.every(call, Fault::Delay { before: 1, after: 1 });
            }
        }
    }
}

pub(crate) fn alice(room: &Strongroom) -> Session {
    room.session(Principal::user("alice"))
}

/// Polls a future so many times, and drops it.
pub(crate) fn poll_and_drop<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}

/// Polls a future to its end, which must come.
pub(crate) fn finish<T>(future: impl Future<Output = T>) -> T {
    poll_and_drop(future, HANGS).expect("an operation hangs")
}
