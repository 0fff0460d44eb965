//! Storage and keys, and all that is done with them.
//!
//! The fields of [`Vault`] are private to this module and its children, and what acts on a secret
//! takes a `Redeemed` permit: no other module can read a record or use a key around it.

mod anchor;
mod auditor;
mod backup;
mod cache;
mod cite;
mod commit;
mod doubt;
mod edit;
mod garbage;
mod keys;
mod list;
mod load;
mod load_many;
mod met;
mod namespaces;
mod open;
mod prune;
mod read;
mod registry;
mod replace;
mod rewrap;
mod settle;
mod sweep;
mod untold;
mod verify;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use strongroom_core::{
    Anchor, AuditSink, Clock, Durability, Entropy, LogId, Seal, SecretPath, Storage, StoreId,
};

use self::cache::HeadCache;
pub(crate) use self::doubt::Doubt;
use self::doubt::Doubts;
pub(crate) use self::edit::Content;
use self::garbage::Garbage;
use self::keys::{KeySlot, Namespaces};
pub use self::list::Child;
pub(crate) use self::list::Walk;
pub(crate) use self::load::LoadedSecret;
pub(crate) use self::open::{Opening, create, open};
pub use self::prune::PruneReport;
pub use self::read::Versioned;
use self::registry::Registry;
pub(crate) use self::replace::Step;
pub use self::rewrap::RewrapReport;
pub use self::sweep::SweepReport;

/// How old an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// What the storage holds now, other processes' writes included.
    #[default]
    Current,
    /// At most this old. A version that was disabled or destroyed elsewhere is refused no later.
    AtMost(Duration),
    /// What the storage holds now, once it is certain that it has all that its
    /// [anchor](crate::Builder::anchor) was told. Each such read asks the anchor, and the storage
    /// for the records that are pinned.
    Pinned,
}

/// What a store is made of.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) seal: Arc<dyn Seal>,
    pub(crate) sink: Arc<dyn AuditSink>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) anchor: Option<Arc<dyn Anchor>>,
    /// Why the host opens the store though storage, logs and anchor disagree.
    pub(crate) accepts_rollback: Option<Arc<str>>,
    pub(crate) cache_bytes: u64,
    pub(crate) durability: Durability,
}

/// Storage and keys of an open store.
pub(crate) struct Vault {
    storage: Arc<dyn Storage>,
    seal: Arc<dyn Seal>,
    sink: Arc<dyn AuditSink>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    anchor: Option<Arc<dyn Anchor>>,
    store: StoreId,
    log: LogId,
    keys: Arc<KeySlot>,
    namespaces: Namespaces,
    heads: HeadCache,
    doubts: Doubts,
    garbage: Garbage,
    registry: Registry,
    durability: Durability,
}

impl Vault {
    /// Forgets what is cached of a path, so that the next read of any freshness asks the storage.
    pub(crate) fn invalidate(&self, path: &SecretPath) {
        self.heads.remove(path);
        self.namespaces.remove(path.namespace_str());
    }

    /// Wipes the keys and all that is cached.
    pub(crate) fn wipe(&self) {
        self.keys.wipe();
        self.namespaces.clear();
        self.heads.clear();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.keys.is_open()
    }

    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    pub(crate) fn log(&self) -> LogId {
        self.log
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("store", &self.store).finish_non_exhaustive()
    }
}
