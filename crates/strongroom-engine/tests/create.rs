//! Two who create one store at the same time.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_executor::block_on;
use strongroom_engine::core::{
    Attached, AuditError, AuditReader, AuditRecord, AuditSink, Durability, LogCut, LogId,
    Principal, Receipt, StoreId, StoreIdentity, TreeHead, async_trait,
};
use strongroom_engine::{Builder, Error, Strongroom};
use strongroom_policy::Policy;
use strongroom_testkit::{MemorySeal, MemorySink, MemoryStorage};

/// The parts of one store, for as many builders as one likes.
#[derive(Debug, Clone)]
struct Place {
    storage: MemoryStorage,
    seal: MemorySeal,
    sink: MemorySink,
}

impl Place {
    fn new() -> Self {
        Self { storage: MemoryStorage::new(), seal: MemorySeal::new(), sink: MemorySink::new() }
    }

    fn builder(&self, sink: impl AuditSink) -> Builder {
        Strongroom::builder()
            .storage(self.storage.clone())
            .seal(self.seal.clone())
            .policy(Policy::owned_by(&Principal::user("alice")))
            .audit(sink)
    }
}

/// A sink that is slow: when it is asked for the n-th time whose it is, somebody else was faster.
#[derive(Debug)]
struct Slow {
    place: Place,
    sink: MemorySink,
    left: AtomicU32,
}

#[async_trait]
impl AuditSink for Slow {
    async fn owner(&self) -> Result<Option<StoreId>, AuditError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.place.builder(self.place.sink.clone()).create().await.unwrap();
        }
        self.sink.owner().await
    }

    async fn attach(&self, store: Arc<dyn StoreIdentity>) -> Result<Attached, AuditError> {
        self.sink.attach(store).await
    }

    async fn append(
        &self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError> {
        self.sink.append(records, at_least).await
    }

    async fn sync(&self, up_to: &Receipt) -> Result<(), AuditError> {
        self.sink.sync(up_to).await
    }

    async fn close(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        self.sink.close(log).await
    }

    fn cut(&self) -> Result<LogCut, AuditError> {
        self.sink.cut()
    }

    async fn backup(&self, dir: &Path, cut: &LogCut) -> Result<(), AuditError> {
        self.sink.backup(dir, cut).await
    }

    fn reader(&self) -> Option<&dyn AuditReader> {
        self.sink.reader()
    }
}

#[test]
fn who_is_slower_to_create_opens_what_the_faster_one_made() {
    // Asked once by the look for a store, and once before one is created.
    for overtaken_at in [1, 2] {
        let place = Place::new();
        let sink = place.sink.beside();
        let slow = Slow { place: place.clone(), sink, left: AtomicU32::new(overtaken_at) };
        let opened = block_on(place.builder(slow).open_or_create());
        assert!(opened.is_ok(), "overtaken at {overtaken_at}: {opened:?}");
    }
}

#[test]
fn a_store_that_exists_is_a_conflict_for_who_creates() {
    let place = Place::new();
    block_on(place.builder(place.sink.clone()).create()).unwrap();
    let again = block_on(place.builder(place.sink.beside()).create()).unwrap_err();
    assert!(matches!(again, Error::Conflict(_)), "{again:?}");
}
