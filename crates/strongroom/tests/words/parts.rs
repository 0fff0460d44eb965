//! A store in memory whose every part can be made to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom::{
    AccessRequest, Builder, Decision, Entropy, EntropyError, Error, PolicyEngine, Principal,
    Session, Strongroom, Subject, async_trait,
};
use strongroom_testkit::{
    FaultyStorage, ManualClock, MemorySeal, MemorySink, MemoryStorage, SeededEntropy,
};

use crate::canary::CANARY;
use crate::heard::Heard;

/// What a [`Switch`] decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Allow,
    Deny,
    Unavailable,
    Obligation,
    Panic,
}

const MOODS: [Mood; 5] =
    [Mood::Allow, Mood::Deny, Mood::Unavailable, Mood::Obligation, Mood::Panic];

/// A policy engine with a switch. Its revision changes when it is turned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switch(Arc<AtomicU64>);

impl Switch {
    pub(crate) fn turn(&self, mood: Mood) {
        let at = MOODS.iter().position(|known| *known == mood).unwrap();
        let next = (self.0.load(Ordering::Relaxed) / 5 + 1) * 5;
        self.0.store(next + u64::try_from(at).unwrap(), Ordering::Relaxed);
    }
}

#[async_trait]
impl PolicyEngine for Switch {
    fn revision(&self) -> u64 {
        self.0.load(Ordering::Relaxed) / 5
    }
    fn needs_secret(&self, _: &AccessRequest) -> bool {
        true
    }
    fn subject(&self, _: &Principal) -> Subject {
        Subject::unresolved(self.revision())
    }
    async fn decide(&self, _: &Subject, _: &AccessRequest) -> Decision {
        let mood = usize::try_from(self.0.load(Ordering::Relaxed) % 5).unwrap();
        match MOODS.get(mood).unwrap() {
            Mood::Allow => Decision::allow().by_rule("switched-on"),
            Mood::Deny => Decision::deny().by_rule("switched-off").because("so it says"),
            Mood::Unavailable => Decision::unavailable("nobody is there"),
            Mood::Obligation => Decision::allow().requiring("a second pair of eyes"),
            // A panic whose message no hook prints.
            Mood::Panic => std::panic::resume_unwind(Box::new(CANARY.to_owned())),
        }
    }
}

/// A source of randomness with a switch.
#[derive(Debug, Clone)]
pub(crate) struct Well(Arc<SeededEntropy>, Arc<AtomicU64>);

impl Well {
    pub(crate) fn dry(&self, dry: bool) {
        self.1.store(u64::from(dry), Ordering::Relaxed);
    }
}

impl Entropy for Well {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        match self.1.load(Ordering::Relaxed) {
            0 => self.0.fill(buffer),
            _ => Err(EntropyError::new()),
        }
    }
}

/// The parts of a store, at hand.
#[derive(Debug)]
pub(crate) struct Kit {
    pub(crate) storage: FaultyStorage<MemoryStorage>,
    pub(crate) memory: MemoryStorage,
    pub(crate) seal: MemorySeal,
    pub(crate) sink: MemorySink,
    pub(crate) clock: ManualClock,
    pub(crate) policy: Switch,
    pub(crate) well: Well,
}

impl Kit {
    pub(crate) fn new() -> Self {
        Self::seeded(1)
    }

    /// Kits of two seeds are two stores.
    pub(crate) fn seeded(seed: u64) -> Self {
        let memory = MemoryStorage::new();
        Self {
            storage: FaultyStorage::new(memory.clone()),
            memory,
            seal: MemorySeal::new(),
            sink: MemorySink::new(),
            clock: ManualClock::new(),
            policy: Switch::default(),
            well: Well(Arc::new(SeededEntropy::new(seed)), Arc::default()),
        }
    }

    pub(crate) fn builder(&self) -> Builder {
        self.builder_with(self.sink.clone())
    }

    pub(crate) fn builder_with(&self, sink: MemorySink) -> Builder {
        Strongroom::builder()
            .storage(self.storage.clone())
            .seal(self.seal.clone())
            .policy(self.policy.clone())
            .audit(sink)
            .clock(self.clock.clone())
            .entropy(self.well.clone())
    }

    /// Opens the store once more, as another process would, with a log of its own.
    pub(crate) async fn again(&self) -> Result<Strongroom, Error> {
        self.well.dry(false);
        self.builder_with(MemorySink::new()).open().await
    }

    /// All that the parts print, and all that was recorded.
    pub(crate) fn tell(&self, heard: &mut Heard) {
        heard.text("parts", &format!("{self:?}"));
        for line in self.sink.lines() {
            heard.bytes("audit line", &line);
        }
        heard.text("decisions", &format!("{:?}", self.sink.decisions()));
        for (key, entry) in self.memory.snapshot() {
            heard.bytes("storage key", key.as_bytes());
            heard.bytes("record", &entry.value);
        }
    }
}

pub(crate) fn alice(room: &Strongroom) -> Session {
    room.session(Principal::user("alice"))
}
