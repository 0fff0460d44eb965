//! An open store, a closed one, and the way between them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use strongroom_core::{
    AuditError, AuditSink, Clock, Durability, LogId, Names, PolicyEngine, Principal, Seal,
    SecretPath, StoreId, TreeHead,
};

use crate::budget::{Budget, Budgets};
use crate::builder::NeedsStorage;
use crate::error::Error;
use crate::future::at_once;
use crate::refusals::Refusals;
use crate::session::Session;
use crate::vault::{Opening, Parts, Vault};

/// What an open store is made of. `vault` keeps storage and keys to itself.
pub(crate) struct Inner {
    pub(crate) vault: Vault,
    pub(crate) policy: Arc<dyn PolicyEngine>,
    pub(crate) sink: Arc<dyn AuditSink>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) durability: Durability,
    pub(crate) permit_lifetime: Duration,
    pub(crate) decision_limit: Duration,
    pub(crate) refusals: Refusals,
    pub(crate) budget: Option<Budget>,
    pub(crate) budgets: Budgets,
    parts: Parts,
}

impl Inner {
    /// Records the refusals that are only counted so far. From here on each has a record.
    async fn record_refusals(&self, at_least: Durability) -> Result<(), AuditError> {
        // What is not with the kernel is not there for whoever opens the store next.
        let durability = at_least.max(Durability::Flushed);
        self.refusals.end(&*self.sink, durability, self.clock.elapsed()).await
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.vault.fmt(f)
    }
}

/// What a closed store is made of.
#[derive(Debug, Clone)]
pub(crate) struct Ingredients {
    pub(crate) parts: Parts,
    pub(crate) policy: Arc<dyn PolicyEngine>,
    pub(crate) permit_lifetime: Duration,
    pub(crate) decision_limit: Duration,
    pub(crate) refusal_window: Duration,
    pub(crate) budget: Option<Budget>,
}

impl Ingredients {
    /// Opens or creates, and settles what dead processes left open.
    pub(crate) async fn open(self, opening: Opening) -> Result<Strongroom, Error> {
        let Self { parts, policy, permit_lifetime, decision_limit, refusal_window, budget } = self;
        let (vault, dead) = match opening {
            Opening::Existing => crate::vault::open(&parts).await?,
            Opening::New => crate::vault::create(&parts).await?,
        };
        let inner = Arc::new(Inner {
            vault,
            policy,
            sink: parts.sink.clone(),
            clock: parts.clock.clone(),
            durability: parts.durability,
            permit_lifetime,
            decision_limit,
            refusals: Refusals::new(refusal_window),
            budget,
            budgets: Budgets::default(),
            parts,
        });
        inner.vault.settle_dead_logs(&inner, dead).await?;
        Ok(Strongroom(inner))
    }
}

/// An open store. Clones are the same store.
///
/// ```
/// use strongroom_engine::core::{Credential, Principal};
/// # futures_executor::block_on(async {
/// # let kit = strongroom_testkit::TestRoom::allowing_all();
/// # let room = kit.room();
/// let billing = room.session(Principal::service("billing"));
/// billing.put("prod/billing/db", Credential::new("billing_rw", "s3cr3t")).await?;
/// let db: Credential = billing.get("prod/billing/db").await?;
/// assert_eq!(db.username(), "billing_rw");
/// # Ok::<(), strongroom_engine::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Strongroom(Arc<Inner>);

impl Strongroom {
    /// Begins to put a store together. Each step is a type, so that a forgotten part does not
    /// compile.
    pub fn builder() -> NeedsStorage {
        NeedsStorage::new()
    }

    /// A session for a caller, whom the host has authenticated.
    #[must_use]
    pub fn session(&self, principal: Principal) -> Session {
        Session::new(self.0.clone(), principal)
    }

    /// Which store this is.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.0.vault.store()
    }

    /// The audit log that this open of the store writes.
    #[must_use]
    pub fn log(&self) -> LogId {
        self.0.vault.log()
    }

    /// Whether the store can be used; false once it is sealed or closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.vault.is_open()
    }

    /// What others than the owner could do to the store's files, now: a sentence each, with what to
    /// do. A service shows them where its operators look, once it has opened the store.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.0.parts.storage.warnings();
        warnings.extend(self.0.sink.warnings());
        warnings
    }

    /// Forgets what is cached of a path: the next read asks the storage, whatever its freshness.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the text is no path.
    pub fn invalidate(&self, path: impl Names<SecretPath>) -> Result<(), Error> {
        let path: SecretPath = path.try_into().map_err(|error| Error::from(error.into()))?;
        self.0.vault.invalidate(&path);
        Ok(())
    }

    /// Signs the audit log as it is now, and registers that in the storage: from here on a log that
    /// has less, or something else, is found as the store is opened.
    ///
    /// The first write does so by itself, and later ones every 1,024 records or every minute, and so
    /// does [`close`](Self::close). A host that reads much and writes little calls this from time to time.
    ///
    /// # Errors
    /// Where the log or the storage cannot be written; nothing is lost then.
    pub async fn checkpoint(&self) -> Result<TreeHead, Error> {
        self.0.vault.checkpoint().await
    }

    /// Wipes all keys now. Clones, sessions and permits of this store answer [`Error::Sealed`]
    /// from here on. What was open in the log is settled by the next `unseal` or `open`.
    #[must_use]
    pub fn seal(self) -> SealedStrongroom {
        // A sink that is not done at once, such as one over a network, loses what is counted.
        let _ = at_once(self.0.record_refusals(Durability::Flushed));
        self.0.vault.wipe();
        SealedStrongroom::new(Ingredients {
            parts: self.0.parts.clone(),
            policy: self.0.policy.clone(),
            permit_lifetime: self.0.permit_lifetime,
            decision_limit: self.0.decision_limit,
            refusal_window: self.0.refusals.window(),
            budget: self.0.budget,
        })
    }

    /// Settles what is in doubt, closes the log, and wipes all keys. Clones, sessions and permits
    /// answer [`Error::Sealed`] from here on.
    ///
    /// # Errors
    /// Where something could not be settled or the log not closed; the next opener does both. Where
    /// refusals that were counted could not be recorded any more. So it
    /// is with [`Unavailable::LogLeftOpen`](crate::Unavailable::LogLeftOpen) where another caller's
    /// write is under way, or was dropped just as its intent was recorded. The keys are wiped all
    /// the same. [`Error::Sealed`] where the store is sealed or closed already: the sink's log may
    /// be that of its successor.
    pub async fn close(self) -> Result<(), Error> {
        if !self.is_open() {
            return Err(Error::Sealed);
        }
        // Once all is settled no write begins: the log would end without its outcome.
        self.0.vault.erase_garbage().await;
        let closed = match self.0.vault.settle_all().await {
            Ok(()) if !self.is_open() => Err(Error::Sealed),
            Ok(()) => {
                let counted = self.0.record_refusals(self.0.durability).await;
                match self.0.sink.close(self.log()).await {
                    Ok(head) => {
                        self.0.vault.register_end(head).await;
                        counted.map_err(Error::from)
                    }
                    Err(error) => Err(error.into()),
                }
            }
            // A log that does not end says to the next opener that there is something to settle.
            Err(error) => {
                let _ = self.0.record_refusals(self.0.durability).await;
                Err(error)
            }
        };
        self.0.vault.wipe();
        closed
    }

    /// The same store for callers without a runtime.
    #[must_use]
    pub fn blocking(self) -> crate::blocking::Strongroom {
        crate::blocking::Strongroom::new(self)
    }
}

/// A store whose keys are wiped, or were never there. It can only be unsealed.
#[derive(Debug)]
pub struct SealedStrongroom(Box<Ingredients>);

impl SealedStrongroom {
    pub(crate) fn new(ingredients: Ingredients) -> Self {
        Self(Box::new(ingredients))
    }

    /// Opens the store with a seal.
    ///
    /// # Errors
    /// The store, still sealed, and what was in the way.
    pub async fn unseal(mut self, seal: impl Seal) -> Result<Strongroom, (Self, Error)> {
        self.0.parts.seal = Arc::new(seal);
        match self.0.clone().open(Opening::Existing).await {
            Ok(room) => Ok(room),
            Err(error) => Err((self, error)),
        }
    }
}
