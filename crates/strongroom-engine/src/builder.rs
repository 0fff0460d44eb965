//! Putting a store together, step by step; each step is a type.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use strongroom_core::{Anchor, AuditSink, Clock, Durability, Entropy, PolicyEngine, Seal, Storage};

use crate::budget::Budget;
use crate::error::{ConflictKind, Error, NotFound};
use crate::refusals::DEFAULT_REFUSAL_WINDOW;
use crate::room::{Ingredients, SealedStrongroom, Strongroom};
use crate::system::{SystemClock, SystemEntropy};
use crate::vault::{Opening, Parts};

/// How long a permit holds where nothing else is said.
pub const DEFAULT_PERMIT_LIFETIME: Duration = Duration::from_secs(60);
/// How long a policy engine may take for a decision where nothing else is said.
pub const DEFAULT_DECISION_LIMIT: Duration = Duration::from_secs(5);
/// How many bytes of encrypted heads are cached where nothing else is said.
pub const DEFAULT_CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// The first step: where records are kept.
#[must_use]
#[derive(Debug)]
pub struct NeedsStorage(());

/// The second step: who holds the key that opens the store.
#[must_use]
#[derive(Debug)]
pub struct NeedsSeal(Arc<dyn Storage>);

/// The third step: who decides.
#[must_use]
#[derive(Debug)]
pub struct NeedsPolicy(Arc<dyn Storage>, Arc<dyn Seal>);

/// The fourth step: where decisions and writes are recorded. Without it no permit is granted.
#[must_use]
#[derive(Debug)]
pub struct NeedsAudit(Arc<dyn Storage>, Arc<dyn Seal>, Arc<dyn PolicyEngine>);

impl NeedsStorage {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Keeps records there.
    pub fn storage(self, storage: impl Storage) -> NeedsSeal {
        NeedsSeal(Arc::new(storage))
    }
}

impl NeedsSeal {
    /// Opens the store with that key holder.
    pub fn seal(self, seal: impl Seal) -> NeedsPolicy {
        NeedsPolicy(self.0, Arc::new(seal))
    }
}

impl NeedsPolicy {
    /// Lets that engine decide.
    pub fn policy(self, policy: impl PolicyEngine) -> NeedsAudit {
        NeedsAudit(self.0, self.1, Arc::new(policy))
    }
}

impl NeedsAudit {
    /// Records there.
    pub fn audit(self, sink: impl AuditSink) -> Builder {
        Builder(Ingredients {
            parts: Parts {
                storage: self.0,
                seal: self.1,
                sink: Arc::new(sink),
                clock: Arc::new(SystemClock),
                entropy: Arc::new(SystemEntropy),
                anchor: None,
                accepts_rollback: None,
                cache_bytes: DEFAULT_CACHE_BYTES,
                durability: Durability::Flushed,
            },
            policy: self.2,
            permit_lifetime: DEFAULT_PERMIT_LIFETIME,
            decision_limit: DEFAULT_DECISION_LIMIT,
            refusal_window: DEFAULT_REFUSAL_WINDOW,
            budget: None,
        })
    }
}

/// A store that is complete and not open yet.
#[must_use]
pub struct Builder(Ingredients);

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Builder {
    /// Another source of time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.0.parts.clock = Arc::new(clock);
        self
    }

    /// Another source of randomness.
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.0.parts.entropy = Arc::new(entropy);
        self
    }

    /// Where to keep, outside of storage and log, how far both have come. None if not said.
    ///
    /// A storage and a log that are set back together are found by it as the store is opened, and
    /// by reads with [`Freshness::Pinned`](crate::Freshness::Pinned). The own log is pinned as the
    /// store is opened, by a write after 1,024 records or a minute, by
    /// [`checkpoint`](crate::Strongroom::checkpoint), and as it is closed: what happened after its
    /// last pin can be set back unseen. An anchor that is away keeps a store from being opened, and
    /// fails `checkpoint`; writes and `close` go on without it.
    pub fn anchor(mut self, anchor: impl Anchor) -> Self {
        self.0.parts.anchor = Some(Arc::new(anchor));
        self
    }

    /// Opens the store though storage, logs and anchor disagree, which
    /// [`Tampered::AuditLogRolledBack`](crate::Tampered::AuditLogRolledBack) or
    /// [`Tampered::StorageRolledBack`](crate::Tampered::StorageRolledBack) said: since the storage was
    /// restored from a backup, or a log is gone for good.
    ///
    /// Each thing that disagrees is recorded as a decision of the system, with the reason; logs that
    /// lack lines are registered as lost, and pins of what the storage does not have are forgotten.
    /// Keep copies of storage and logs before, as evidence. `verify` goes on to name each secret that
    /// is older than its last write. For one opening: leave it out of the next.
    pub fn accept_rollback(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.0.parts.accepts_rollback = Some(reason.into());
        self
    }

    /// How long a permit holds. [`DEFAULT_PERMIT_LIFETIME`] if not said.
    pub fn permit_lifetime(mut self, lifetime: Duration) -> Self {
        self.0.permit_lifetime = lifetime;
        self
    }

    /// How long the policy engine may take for a decision. [`DEFAULT_DECISION_LIMIT`] if not said.
    ///
    /// A decision that comes later, an `Allow` too, counts as an outage, and its record says so.
    /// There is no timer in strongroom, which runs under any executor: an engine that hangs is
    /// given up when the task of the call next runs. One that asks somebody over a network brings
    /// a deadline of its own, which wakes it; a host that drops the call meanwhile gets no record.
    pub fn decision_limit(mut self, limit: Duration) -> Self {
        self.0.decision_limit = limit;
        self
    }

    /// For how long equal denials are counted. [`DEFAULT_REFUSAL_WINDOW`] if not said; zero counts
    /// none.
    ///
    /// The first is recorded at once, and so are refusals of which anything else differs than the time
    /// and the request's id. Those that follow within the window are counted in memory, up to 1,024
    /// different ones at a time, and a record with their count is written with the first request
    /// after its end, by [`seal`](crate::Strongroom::seal) or by [`close`](crate::Strongroom::close).
    /// A process that is killed, or that drops a store without `close`, loses the counts that are not
    /// written yet.
    pub fn refusal_window(mut self, window: Duration) -> Self {
        self.0.refusal_window = window;
        self
    }

    /// How often each principal may ask. As often as it likes if not said, but 10 times a second while
    /// the audit log [has little room left](AuditSink::is_scarce).
    ///
    /// Each decision takes one of the budget of its principal's id, whatever is decided; what a write
    /// records besides is not counted. Who has none left is told
    /// [`Unavailable::Throttled`](crate::Unavailable::Throttled) before anything is decided or loaded,
    /// and all such refusals of a principal within the [window](Self::refusal_window) share a record.
    /// An action that [takes access away](strongroom_core::ActionName::takes_access_away) is carried
    /// out all the same where it is allowed. 4,096 principals have a budget of their own at a time;
    /// others share one.
    pub fn audit_budget(mut self, budget: Budget) -> Self {
        self.0.budget = Some(budget);
        self
    }

    /// How many bytes of encrypted heads to cache. [`DEFAULT_CACHE_BYTES`] if not said.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.0.parts.cache_bytes = bytes;
        self
    }

    /// How safe the record of a decision is before it takes effect.
    ///
    /// [`Durability::Flushed`] if not said: a kill loses none, and a write's intent is also synced
    /// before `Ok`. [`Durability::Synced`] waits for the medium at each decision. With
    /// [`Durability::Held`] a kill loses the last records: choose it only where that is accepted.
    pub fn audit_durability(mut self, durability: Durability) -> Self {
        self.0.parts.durability = durability;
        self
    }

    /// Opens a store that exists. For services: a mistyped place is an error, not a new store.
    ///
    /// # Errors
    /// [`NotFound::Store`] where there is none; what storage, seal or sink say otherwise.
    pub async fn open(self) -> Result<Strongroom, Error> {
        self.0.open(Opening::Existing).await
    }

    /// Creates a store where there is none. For installers.
    ///
    /// # Errors
    /// [`Error::Conflict`] where there is one; what storage, seal or sink say otherwise.
    pub async fn create(self) -> Result<Strongroom, Error> {
        self.0.open(Opening::New).await
    }

    /// Opens the store that exists, or creates one.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create). A file that is empty, is no store, or
    /// belongs to another store than the log is refused, never replaced.
    pub async fn open_or_create(self) -> Result<Strongroom, Error> {
        let again = self.0.clone();
        match self.0.open(Opening::Existing).await {
            Err(Error::NotFound(NotFound::Store)) => {}
            opened => return opened,
        }
        let last = again.clone();
        match again.open(Opening::New).await {
            // Somebody else created it meanwhile.
            Err(error) if is_store_exists(&error) => last.open(Opening::Existing).await,
            created => created,
        }
    }

    /// The store, closed, to be unsealed later. Nothing is read.
    ///
    /// # Errors
    /// None now.
    pub async fn sealed(self) -> Result<SealedStrongroom, Error> {
        Ok(SealedStrongroom::new(self.0))
    }

    /// The same steps for callers without a runtime.
    pub fn blocking(self) -> crate::blocking::Builder {
        crate::blocking::Builder::new(self)
    }
}

fn is_store_exists(error: &Error) -> bool {
    let exists = crate::error::Conflict::new(ConflictKind::Store);
    matches!(error, Error::Conflict(conflict) if *conflict == exists)
}
