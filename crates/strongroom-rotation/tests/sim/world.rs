//! One store behind a bad line, processes with clocks that disagree, and time that passes when all wait.

use std::time::Duration;

use strongroom_core::{Clock, Entropy, Monotonic, Principal, Timestamp};
use strongroom_engine::{Error, Session, Strongroom};
use strongroom_policy::Policy;
use strongroom_rotation::Coordinator;
use strongroom_testkit::sim::{SimExecutor, SimFaults, SimStorage, TaskId};
use strongroom_testkit::{
    Delaying, ManualClock, MemorySeal, MemorySink, MemoryStorage, SeededEntropy,
};

/// A lease lasts so long here.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// What all processes share.
pub(crate) struct World {
    seed: u64,
    pub(crate) clock: ManualClock,
    storage: SimStorage<MemoryStorage>,
    memory: MemoryStorage,
    seal: MemorySeal,
    logs: MemorySink,
    dice: SeededEntropy,
    opened: std::cell::Cell<u64>,
}

/// A clock of a machine that is set wrong.
#[derive(Debug, Clone)]
struct Skewed {
    clock: ManualClock,
    ahead: Duration,
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.clock.now().saturating_add(self.ahead)
    }
    fn elapsed(&self) -> Monotonic {
        // Readings of two machines have nothing to do with each other.
        self.clock.elapsed().saturating_add(self.ahead * 7)
    }
}

/// A process: a store that it opened, and its clock.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) room: Strongroom,
    pub(crate) coordinator: Coordinator,
    pub(crate) session: Session,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let memory = MemoryStorage::new();
        Self {
            seed,
            clock: ManualClock::new(),
            storage: SimStorage::new(memory.clone(), seed, SimFaults::delays()),
            memory,
            seal: MemorySeal::new(),
            logs: MemorySink::new(),
            dice: SeededEntropy::new(seed),
            opened: std::cell::Cell::new(0),
        }
    }

    /// A number below a limit.
    pub(crate) fn below(&self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.dice.fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes) % limit
    }

    /// A process that opens the store, or makes it.
    pub(crate) async fn process(&self, faults: SimFaults, creates: bool) -> Process {
        let number = self.opened.get() + 1;
        self.opened.set(number);
        let own = self.seed.wrapping_mul(1_000_003).wrapping_add(number);
        let clock =
            Skewed { clock: self.clock.clone(), ahead: Duration::from_secs(self.below(4) * 100) };
        let owner = Principal::service("runner");
        let room = loop {
            let log = if creates { self.logs.clone() } else { self.logs.beside() };
            let builder = Strongroom::builder()
                .storage(self.storage.beside(
                    self.memory.clone(),
                    own ^ self.below(1 << 40),
                    faults,
                ))
                .seal(self.seal.clone())
                .policy(Policy::owned_by(&owner))
                .audit(Delaying::new(log.clone()))
                .clock(clock.clone())
                .entropy(SeededEntropy::new(own ^ self.below(1 << 40)));
            match if creates { builder.create().await } else { builder.open().await } {
                Ok(room) => break room,
                // As a process that gives up, and is begun again.
                Err(Error::Unavailable(_) | Error::Indeterminate(_) | Error::Conflict(_)) => {
                    log.kill();
                }
                Err(error) => panic!("the store does not open: {error:?}"),
            }
        };
        let session = room.session(owner);
        let coordinator = Coordinator::new(session.clone())
            .with_time(clock, self.clock.clone())
            .with_entropy(SeededEntropy::new(own ^ 0xfeed))
            .with_lease_time(LEASE);
        Process { room, coordinator, session }
    }

    /// Runs all tasks to their end: where all wait, time passes until the first one wakes.
    pub(crate) fn run(&self, executor: &mut SimExecutor<'_>) {
        for _ in 0..2_000_000 {
            if executor.turn().is_none() && !self.clock.advance_to_next_sleeper() {
                return;
            }
        }
        panic!("seed {}: the processes come to no end", self.seed);
    }

    /// Runs one task to its end, whatever becomes of others.
    pub(crate) fn run_task(&self, executor: &mut SimExecutor<'_>, task: TaskId) {
        for _ in 0..2_000_000 {
            if !executor.has(task) {
                return;
            }
            if executor.turn().is_none() && !self.clock.advance_to_next_sleeper() {
                panic!("seed {}: a task waits for ever", self.seed);
            }
        }
        panic!("seed {}: a task comes to no end", self.seed);
    }
}
