//! `verify` while another process dies and a third settles its log: it accuses nobody. Found by a
//! simulated run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use strongroom_core::{
    Attached, AuditError, AuditReader, AuditRecord, AuditSink, Durability, LogCut, LogId, Opaque,
    Principal, Receipt, StoreId, StoreIdentity, TreeHead, async_trait,
};
use strongroom_engine::{Builder, Session, Strongroom};
use strongroom_policy::Policy;
use strongroom_testkit::{MemorySink, SeededEntropy, TestRoom};

/// A sink that does something once, after the nth page of its log was read.
#[derive(Clone)]
struct Hooked {
    inner: MemorySink,
    pages: Arc<Mutex<u32>>,
    then: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

#[async_trait]
impl AuditSink for Hooked {
    async fn owner(&self) -> Result<Option<StoreId>, AuditError> {
        self.inner.owner().await
    }
    async fn attach(&self, store: Arc<dyn StoreIdentity>) -> Result<Attached, AuditError> {
        self.inner.attach(store).await
    }
    async fn append(
        &self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError> {
        self.inner.append(records, at_least).await
    }
    async fn sync(&self, up_to: &Receipt) -> Result<(), AuditError> {
        self.inner.sync(up_to).await
    }
    async fn close(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        self.inner.close(log).await
    }
    fn cut(&self) -> Result<LogCut, AuditError> {
        self.inner.cut()
    }
    async fn backup(&self, dir: &Path, cut: &LogCut) -> Result<(), AuditError> {
        self.inner.backup(dir, cut).await
    }
    fn reader(&self) -> Option<&dyn AuditReader> {
        Some(self)
    }
}

#[async_trait]
impl AuditReader for Hooked {
    async fn read(
        &self,
        after: Option<&Receipt>,
        limit: NonZeroU32,
    ) -> Result<Vec<(Receipt, Vec<u8>)>, AuditError> {
        let page = self.inner.read(after, limit).await;
        let is_due = {
            let mut left = self.pages.lock().unwrap();
            *left = left.wrapping_sub(1);
            *left == 0
        };
        if is_due {
            (self.then)();
        }
        page
    }
}

/// The output of a future over parts in memory, which wait for nothing. Inside another such, too.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("memory waits"),
    }
}

fn alice(room: &Strongroom) -> Session {
    room.session(Principal::user("alice"))
}

fn builder(kit: &TestRoom, sink: impl AuditSink, seed: u64) -> Builder {
    Strongroom::builder()
        .storage(kit.storage.clone())
        .seal(kit.seal.clone())
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(sink)
        .clock(kit.clock.clone())
        .entropy(SeededEntropy::new(seed))
}

/// Logs are read one after the other: a log that comes late may tell of one that came early.
#[test]
fn a_log_that_is_settled_while_logs_are_read_lost_no_tail() {
    // Of logs that are begun while others are read, only those at the end are seen.
    let scratch = TestRoom::allowing_all();
    let id = |seed: &u64| now(builder(&scratch, scratch.log.beside(), *seed).open()).unwrap().log();
    let last = (200..240).max_by_key(id).unwrap();
    for pages in 1..8 {
        let kit = Arc::new(TestRoom::allowing_all());
        now(alice(&kit.room()).put("prod/db", Opaque::new(b"one"))).unwrap();
        let sink = kit.log.beside();
        let dying = now(builder(&kit, sink.clone(), 100).open()).unwrap();
        let then = {
            let kit = Arc::clone(&kit);
            move || {
                now(alice(&dying).put("prod/db", Opaque::new(b"two"))).unwrap();
                sink.kill();
                let next = now(builder(&kit, kit.log.beside(), last).open()).unwrap();
                assert!(next.log() > dying.log() && next.log() > kit.room().log());
            }
        };
        let (inner, then) = (kit.log.beside(), Arc::new(then));
        let hooked = Hooked { inner, pages: Arc::new(Mutex::new(pages)), then };
        let room = now(builder(&kit, hooked, 300).open()).unwrap();
        let report = now(alice(&room).verify()).unwrap();
        let accused: Vec<_> = report.accusations().map(ToString::to_string).collect();
        assert_eq!(accused, [""; 0], "after page {pages}");
    }
}
