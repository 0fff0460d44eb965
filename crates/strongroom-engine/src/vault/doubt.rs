//! Writes of which it is not known whether they took effect, and how that is found out.
//!
//! A write is *in doubt* from before its intent is recorded until its outcome is known. What a
//! dropped future or a lost reply leaves in doubt is settled by sending the same bytes again: once
//! the storage answers, they can take effect no more than once, and then either the head carries
//! the write's id or it never will. A read alone would not prove that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use strongroom_core::{
    AuditRecord, Batch, Durability, Key, Namespace, Op, Outcome, OutcomeRecord, Receipt, Version,
    WriteId, Written,
};
use strongroom_crypto::{Lineage, NamespaceRecord, RECENT_WRITES, record_key_id};

use super::Vault;
use super::commit::Place;
use crate::error::{Error, Indeterminate, Unavailable, WriteOutcome};

/// One write in doubt.
pub(crate) struct Doubt {
    pub(super) place: Place,
    pub(super) key: Key,
    pub(super) seq: u64,
    pub(super) write: WriteId,
    /// The version that the write makes, if it makes one.
    pub(super) version: Option<Version>,
    /// The batch that carries the record itself. Encrypted, like all that is stored.
    pub(super) batch: Batch,
    /// Blobs that are written before the batch, because it cannot hold them.
    pub(super) blobs: Vec<Key>,
    /// The intent's place, once it is known to be recorded.
    receipt: Mutex<Option<Receipt>>,
    /// Whether the batch may have reached the storage.
    sent: AtomicBool,
    /// Whether nobody works on it any more.
    abandoned: AtomicBool,
    /// What became of it, once that is known.
    outcome: Mutex<Option<Outcome>>,
}

impl Doubt {
    pub(super) fn new(
        place: Place,
        key: Key,
        seq: u64,
        write: WriteId,
        version: Option<Version>,
        batch: Batch,
        blobs: Vec<Key>,
    ) -> Arc<Self> {
        Arc::new(Self {
            place,
            key,
            seq,
            write,
            version,
            batch,
            blobs,
            receipt: Mutex::new(None),
            sent: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            outcome: Mutex::new(None),
        })
    }

    pub(super) fn recorded(&self, receipt: Receipt) {
        *self.receipt.lock().unwrap_or_else(PoisonError::into_inner) = Some(receipt);
    }

    /// From here on the batch may land, whatever becomes of the future that sends it.
    pub(super) fn sending(&self) {
        self.sent.store(true, Ordering::Release);
    }

    fn receipt(&self) -> Option<Receipt> {
        *self.receipt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcome(&self) -> Option<Outcome> {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }
}

/// The writes in doubt of this process.
#[derive(Default)]
pub(super) struct Doubts {
    list: Mutex<Vec<Arc<Doubt>>>,
    /// Whether the log ends now. INVARIANT: read and written under the lock of the list, so that
    /// each write is in the list before that, or does not begin.
    log_ends: AtomicBool,
    /// Whether the log may have an intent that this process cannot settle: its place is not known.
    leaves_intent: AtomicBool,
}

impl Doubts {
    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Doubt>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a write. If the guard is dropped before [`DoubtGuard::settle`], the write stays in
    /// doubt and is anybody's to settle.
    ///
    /// # Errors
    /// [`Error::Sealed`] where the log ends: an intent in a log that is whole nobody would settle.
    pub(super) fn enter(&self, doubt: Arc<Doubt>) -> Result<DoubtGuard<'_>, Error> {
        let mut list = self.list();
        if self.log_ends.load(Ordering::Acquire) {
            return Err(Error::Sealed);
        }
        list.push(doubt.clone());
        Ok(DoubtGuard { doubts: self, doubt })
    }

    /// Lets no write begin any more, if nothing is in doubt. Answers whether that is so.
    fn end_log(&self) -> bool {
        let list = self.list();
        let ends = list.is_empty() && !self.leaves_intent.load(Ordering::Acquire);
        self.log_ends.store(ends, Ordering::Release);
        ends
    }

    fn abandoned(&self, key: Option<&Key>) -> Vec<Arc<Doubt>> {
        let matches =
            |doubt: &&Arc<Doubt>| doubt.is_abandoned() && key.is_none_or(|key| *key == doubt.key);
        self.list().iter().filter(matches).cloned().collect()
    }

    fn forget(&self, doubt: &Arc<Doubt>) {
        self.list().retain(|other| !Arc::ptr_eq(other, doubt));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list().is_empty()
    }
}

/// Held while a write is worked on.
pub(super) struct DoubtGuard<'a> {
    doubts: &'a Doubts,
    doubt: Arc<Doubt>,
}

impl DoubtGuard<'_> {
    pub(super) fn doubt(&self) -> &Arc<Doubt> {
        &self.doubt
    }

    /// Nothing was recorded or sent: there is nothing to be in doubt about.
    pub(super) fn never_began(self) {
        self.doubts.forget(&self.doubt);
    }

    /// The outcome is known. It is remembered until it is recorded.
    pub(super) fn settle(&self, outcome: Outcome) {
        *self.doubt.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// The outcome is known and recorded.
    pub(super) fn finish(self) {
        self.doubts.forget(&self.doubt);
    }
}

impl Drop for DoubtGuard<'_> {
    fn drop(&mut self) {
        self.doubt.abandoned.store(true, Ordering::Release);
    }
}

impl Vault {
    /// Whether something is in doubt on a key that nobody works on.
    pub(super) fn has_doubt(&self, key: &Key) -> bool {
        !self.doubts.is_empty() && !self.doubts.abandoned(Some(key)).is_empty()
    }

    /// Settles what is in doubt on a key, before the next write on it. Where that fails, nothing of
    /// the next one was done, and its caller is not told of a doubt that is another's.
    pub(super) async fn settle_key(&self, key: &Key) -> Result<(), Error> {
        for doubt in self.doubts.abandoned(Some(key)) {
            self.settle_doubt(&doubt).await.map_err(of_an_earlier_write)?;
        }
        Ok(())
    }

    /// Settles what is in doubt on the heads of a namespace, before it is destroyed: likewise.
    pub(super) async fn settle_within(&self, namespace: &Namespace) -> Result<(), Error> {
        for doubt in self.doubts.abandoned(None) {
            if matches!(&doubt.place, Place::Head(path) if path.namespace_str() == namespace.as_str())
            {
                self.settle_doubt(&doubt).await.map_err(of_an_earlier_write)?;
            }
        }
        Ok(())
    }

    /// Settles all that is in doubt, so that the log can be closed as whole. From then on no write
    /// begins.
    pub(crate) async fn settle_all(&self) -> Result<(), Error> {
        for doubt in self.doubts.abandoned(None) {
            self.settle_doubt(&doubt).await?;
        }
        if self.doubts.end_log() { Ok(()) } else { Err(Unavailable::LogLeftOpen.into()) }
    }

    /// Finds out what became of a write that a caller holds the error of.
    pub(crate) async fn resolve(&self, write: &Indeterminate) -> Result<WriteOutcome, Error> {
        self.keys.get()?;
        let outcome = match write.doubt.outcome() {
            Some(outcome) => outcome,
            None => self.settle_doubt(&write.doubt).await?,
        };
        Ok(match outcome {
            Outcome::Done => WriteOutcome::TookEffect(write.doubt.version),
            Outcome::Lost => WriteOutcome::DidNot,
            Outcome::Unknown => WriteOutcome::Unknown,
        })
    }

    async fn settle_doubt(&self, doubt: &Arc<Doubt>) -> Result<Outcome, Error> {
        let outcome = match doubt.outcome() {
            Some(outcome) => outcome,
            None => self.send_again(doubt).await?,
        };
        *doubt.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.erase_unnamed(doubt, outcome).await;
        match doubt.receipt() {
            Some(intent) => {
                let at = self.clock.now();
                let record = AuditRecord::Outcome(OutcomeRecord { at, intent, outcome });
                self.sink.append(&[record], Durability::Flushed).await?;
            }
            // The intent was perhaps recorded, nobody knows where, and nothing was sent. This log
            // is not closed as whole: the next opener finds the intent, if there is one.
            None => self.doubts.leaves_intent.store(true, Ordering::Release),
        }
        self.doubts.forget(doubt);
        Ok(outcome)
    }

    /// Erases the blobs of a write that cannot take effect any more. What fails here is left to
    /// `sweep`, which finds them once the path has a head.
    ///
    /// INVARIANT: before the outcome is recorded. A drop in between leaves the write in doubt, and
    /// the blobs to whoever settles it.
    pub(super) async fn erase_unnamed(&self, doubt: &Doubt, outcome: Outcome) {
        if outcome == Outcome::Lost && !doubt.blobs.is_empty() {
            drop(self.storage.erase(&doubt.blobs).await);
        }
    }

    async fn send_again(&self, doubt: &Arc<Doubt>) -> Result<Outcome, Error> {
        if !doubt.sent.load(Ordering::Acquire) {
            // The future was dropped while its intent was being recorded, or the blobs written. To
            // send the batch now could name blobs that are not there.
            return Ok(Outcome::Lost);
        }
        let sent = self.may_send_again(doubt).await?;
        // Essential like the outcome that is recorded then: without it nothing else is done on that
        // path.
        if sent {
            match self.storage.write(doubt.batch.clone().essential()).await {
                Ok(Written::Committed { .. }) => return Ok(Outcome::Done),
                Ok(Written::Conflict { .. }) => {}
                Err(error) => {
                    let source = Some(Arc::new(Unavailable::Storage(error)));
                    let doubt = doubt.clone();
                    return Err(Error::Indeterminate(Indeterminate { doubt, source }));
                }
            }
        }
        // Where it was sent, an expectation failed, and a revision never comes back: from now on
        // the batch cannot land. Did it before?
        let mut answers = self.storage.read(std::slice::from_ref(&doubt.key)).await?;
        let Some(entry) = answers.pop().flatten() else {
            return Ok(if sent && self.lives(doubt).await? {
                Outcome::Lost
            } else {
                Outcome::Unknown
            });
        };
        Ok(match self.lineage_of(doubt, &entry.value).await? {
            // The namespace is gone, and the keys of its heads with it.
            None => Outcome::Unknown,
            Some((_, lineage)) if lineage.contains(doubt.write) => Outcome::Done,
            Some((seq, _)) if !sent && seq < doubt.seq => Outcome::Unknown,
            Some((seq, _)) => lost_or_unknown(doubt.seq, seq),
        })
    }

    /// Whether the same bytes may be sent again. Where a batch is one operation it checks nothing:
    /// then only while the epoch of the record is active, since it may be destroyed any time after.
    async fn may_send_again(&self, doubt: &Doubt) -> Result<bool, Error> {
        let Place::Head(path) = &doubt.place else { return Ok(true) };
        let [Op::Put { value, .. }] = doubt.batch.ops() else { return Ok(true) };
        let epoch = record_key_id(value)?;
        let namespace = self.namespace_now(&self.keys.get()?, &path.namespace()).await?;
        let active = namespace.as_ref().and_then(|namespace| namespace.parts());
        Ok(active.is_some_and(|(_, _, active)| active.id() == epoch))
    }

    /// Whether the namespace of a record lives. No head is erased while it does: one that is absent
    /// was never there. After that nobody can tell.
    ///
    /// INVARIANT: called after the head was read.
    async fn lives(&self, doubt: &Doubt) -> Result<bool, Error> {
        let Place::Head(path) = &doubt.place else { return Ok(true) };
        self.still_lives(&doubt.key, &path.namespace()).await
    }

    /// Number and lineage of the record that is stored now; `None` where its keys are destroyed.
    async fn lineage_of(
        &self,
        doubt: &Doubt,
        record: &[u8],
    ) -> Result<Option<(u64, Lineage)>, Error> {
        let keys = self.keys.get()?;
        Ok(Some(match &doubt.place {
            Place::Head(path) => {
                // What is cached is perhaps what the batch was refused for.
                self.namespaces.remove(path.namespace_str());
                let namespace = self.namespace(&keys, path.namespace_str()).await?;
                let Some(namespace) = namespace else { return Ok(None) };
                let met = self.open_met(&namespace, &doubt.key, record).await?;
                let Some(met) = met else { return Ok(None) };
                let head = met.view()?;
                (head.base.seq, head.base.lineage)
            }
            Place::Namespace(_) => {
                let keyring = &keys.keyring;
                let record =
                    NamespaceRecord::decrypt(&keyring.root, self.store, &doubt.key, record)?;
                (record.generation, record.lineage)
            }
        }))
    }
}

/// Why a write was not begun: an earlier one is in doubt still.
fn of_an_earlier_write(error: Error) -> Error {
    match error {
        Error::Indeterminate(earlier) => {
            earlier.in_the_way("an earlier write is still in doubt, so that this one was not begun")
        }
        error => error,
    }
}

/// A write with that seq is not among the recent ones of a record at `found`.
pub(super) fn lost_or_unknown(seq: u64, found: u64) -> Outcome {
    let remembered = u64::try_from(RECENT_WRITES).unwrap_or(u64::MAX);
    if found.saturating_sub(seq) < remembered { Outcome::Lost } else { Outcome::Unknown }
}
