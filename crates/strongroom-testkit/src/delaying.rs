//! Sinks, seals and policy engines that keep their callers waiting on both sides of each effect.

use std::future::Future;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_core::{
    AccessRequest, Attached, AuditError, AuditReader, AuditRecord, AuditSink, Decision, Durability,
    KeyContext, LogCut, LogId, PolicyEngine, Principal, PruneRules, Pruned, Receipt, Removed, Seal,
    SealError, SecretValue, StoreId, StoreIdentity, Subject, TreeHead, WrappedKey, async_trait,
};

use crate::faulty::Pause;

/// Wraps an audit sink, a seal or a policy engine: the future of each call is pending once before
/// its effect and once after it. A caller that is dropped in between shows what cancellation does.
///
/// Clones delay together. For storage there is [`Fault::Delay`](crate::Fault::Delay).
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use strongroom_core::AuditSink;
/// use strongroom_testkit::{Delaying, MemorySink};
///
/// let sink = Delaying::new(MemorySink::new());
/// let mut owner = sink.owner();
/// let mut context = Context::from_waker(Waker::noop());
/// assert!(owner.as_mut().poll(&mut context).is_pending()); // not asked yet
/// assert!(owner.as_mut().poll(&mut context).is_pending()); // asked, and not told yet
/// assert!(matches!(owner.as_mut().poll(&mut context), Poll::Ready(Ok(None))));
/// ```
#[derive(Debug, Clone)]
pub struct Delaying<T> {
    inner: T,
    on: Arc<AtomicBool>,
}

impl<T> Delaying<T> {
    /// Delays from the first call on.
    pub fn new(inner: T) -> Self {
        Self { inner, on: Arc::new(AtomicBool::new(true)) }
    }

    /// What is inside.
    pub const fn inner(&self) -> &T {
        &self.inner
    }

    /// Another one that delays together with this one.
    #[must_use]
    pub fn with<U>(&self, inner: U) -> Delaying<U> {
        Delaying { inner, on: Arc::clone(&self.on) }
    }

    /// Whether calls are delayed that begin from now on.
    pub fn set_delaying(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
    }

    async fn around<O>(&self, effect: impl Future<Output = O> + Send) -> O {
        let turns = u32::from(self.on.load(Ordering::SeqCst));
        Pause(turns).await;
        let output = effect.await;
        Pause(turns).await;
        output
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: AuditSink> AuditSink for Delaying<T> {
    async fn owner(&self) -> Result<Option<StoreId>, AuditError> {
        self.around(self.inner.owner()).await
    }

    async fn attach(&self, store: Arc<dyn StoreIdentity>) -> Result<Attached, AuditError> {
        self.around(self.inner.attach(store)).await
    }

    async fn append(
        &self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError> {
        self.around(self.inner.append(records, at_least)).await
    }

    async fn sync(&self, up_to: &Receipt) -> Result<(), AuditError> {
        self.around(self.inner.sync(up_to)).await
    }

    fn checkpoint(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        self.inner.checkpoint(log)
    }

    fn signed(&self, log: LogId) -> Option<TreeHead> {
        self.inner.signed(log)
    }

    fn registered(&self, log: LogId, size: u64) {
        self.inner.registered(log, size);
    }

    async fn confirm_end(&self, log: LogId, store: StoreId) -> Result<bool, AuditError> {
        self.around(self.inner.confirm_end(log, store)).await
    }

    async fn prune(
        &self,
        log: LogId,
        rules: &PruneRules<'_>,
    ) -> Result<Option<Pruned>, AuditError> {
        self.around(self.inner.prune(log, rules)).await
    }

    async fn remove(&self, log: LogId, pruned: &Pruned) -> Result<Removed, AuditError> {
        self.around(self.inner.remove(log, pruned)).await
    }

    async fn discard(&self, log: LogId) -> Result<(), AuditError> {
        self.around(self.inner.discard(log)).await
    }

    async fn close(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        self.around(self.inner.close(log)).await
    }

    fn cut(&self) -> Result<LogCut, AuditError> {
        self.inner.cut()
    }

    async fn backup(&self, dir: &Path, cut: &LogCut) -> Result<(), AuditError> {
        self.around(self.inner.backup(dir, cut)).await
    }

    fn reader(&self) -> Option<&dyn AuditReader> {
        self.inner.reader().map(|_| self as &dyn AuditReader)
    }
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }
    fn is_scarce(&self) -> bool {
        self.inner.is_scarce()
    }
}

#[async_trait]
impl<T: AuditSink> AuditReader for Delaying<T> {
    async fn read(
        &self,
        after: Option<&Receipt>,
        limit: NonZeroU32,
    ) -> Result<Vec<(Receipt, Vec<u8>)>, AuditError> {
        match self.inner.reader() {
            Some(reader) => self.around(reader.read(after, limit)).await,
            None => Ok(Vec::new()),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Seal> Seal for Delaying<T> {
    fn kind(&self) -> &str {
        self.inner.kind()
    }

    async fn wrap_key(
        &self,
        key: &SecretValue,
        context: &KeyContext<'_>,
    ) -> Result<WrappedKey, SealError> {
        self.around(self.inner.wrap_key(key, context)).await
    }

    async fn unwrap_key(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext<'_>,
    ) -> Result<SecretValue, SealError> {
        self.around(self.inner.unwrap_key(wrapped, context)).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: PolicyEngine> PolicyEngine for Delaying<T> {
    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn needs_secret(&self, request: &AccessRequest) -> bool {
        self.inner.needs_secret(request)
    }

    fn subject(&self, principal: &Principal) -> Subject {
        self.inner.subject(principal)
    }

    async fn decide(&self, subject: &Subject, request: &AccessRequest) -> Decision {
        self.around(self.inner.decide(subject, request)).await
    }
}
