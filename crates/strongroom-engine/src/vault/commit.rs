//! The one way in which a record of the store is replaced: intent, blobs, compare-and-swap beside
//! the sync of the intent, outcome.

use std::sync::Arc;

use strongroom_core::{
    AuditRecord, Batch, Digest, Durability, Expect, Importance, IntentRecord, Key, LogId,
    Namespace, Op, Outcome, OutcomeRecord, Receipt, RecordKind, Revision, SecretPath, StorageError,
    StoreId, Target, Version, WriteId, Written,
};
use strongroom_crypto::{Context, Purpose};

use super::Vault;
use super::doubt::Doubt;
use crate::error::{Error, Indeterminate, Unavailable};
use crate::future::join;
use crate::permit::Cause;

/// Which record a change is about, by name.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Head(SecretPath),
    Namespace(Namespace),
}

impl Place {
    fn kind(&self) -> RecordKind {
        match self {
            Self::Head(_) => RecordKind::Head,
            Self::Namespace(_) => RecordKind::Namespace,
        }
    }

    fn target(&self) -> Target {
        match self {
            Self::Head(path) => path.clone().into(),
            Self::Namespace(namespace) => namespace.clone().into(),
        }
    }
}

/// A record and what it replaces.
pub(super) struct Change {
    pub(super) place: Place,
    pub(super) key: Key,
    pub(super) seq: u64,
    pub(super) prev: Option<(Digest, LogId)>,
    pub(super) expect: Expect,
    pub(super) record: Vec<u8>,
    pub(super) write: WriteId,
    pub(super) version: Option<Version>,
    /// The record whose revision must not have changed, so that no key goes out of use meanwhile.
    pub(super) check: (Key, Revision),
    pub(super) blobs: Vec<(Key, Vec<u8>)>,
    pub(super) erases: Vec<Vec<u8>>,
}

/// What became of a change.
pub(super) enum Committed {
    /// It took effect.
    Done {
        /// The new revision of the record.
        revision: Revision,
        /// The new record.
        record: Vec<u8>,
        /// Whether the check was part of the batch. Where a batch is one operation it was not.
        checked: bool,
        /// What tells that it took effect, for a caller who cannot be told `Ok` yet.
        told: Indeterminate,
    },
    /// It did not: the record of this key was not as expected.
    Conflict(Key),
}

/// What a head is bound to.
pub(super) fn head_context<'a>(store: StoreId, parts: &'a [&'a [u8]]) -> Context<'a> {
    Context { purpose: Purpose::Head, store, parts }
}

impl Vault {
    /// Replaces a record under the decision with that receipt.
    pub(super) async fn commit(&self, cause: Cause, change: Change) -> Result<Committed, Error> {
        let atomic = self.storage.profile().atomic_ops.get();
        let together = change.blobs.len() + 2 <= atomic;
        let checked = atomic >= 2;
        let next = Self::digest_of(&change.record);
        let (check_key, check_revision) = change.check;

        let mut ops = Vec::with_capacity(if together { change.blobs.len() + 2 } else { 2 });
        ops.push(Op::Put {
            key: change.key.clone(),
            expect: change.expect,
            value: change.record.clone(),
        });
        if checked {
            ops.push(Op::Check { key: check_key, revision: check_revision });
        }
        let put_blob = |(key, value)| Op::Put { key, expect: Expect::Absent, value };
        let (mut before, mut before_keys) = (Vec::new(), Vec::new());
        if together {
            ops.extend(change.blobs.into_iter().map(put_blob));
        } else {
            before_keys = change.blobs.iter().map(|(key, _)| key.clone()).collect();
            before = change.blobs.into_iter().map(put_blob).collect();
        }
        let batch = Batch::new(ops)?;
        let intent = AuditRecord::Intent(IntentRecord {
            at: self.clock.now(),
            decision: cause.receipt.index,
            action: cause.action,
            kind: change.place.kind(),
            key: change.key.clone(),
            seq: change.seq,
            prev: change.prev.map_or(Digest::from_bytes([0; 32]), |(digest, _)| digest),
            prev_log: change.prev.map_or(self.log, |(_, log)| log),
            next,
            write: change.write,
            target: change.place.target(),
            erases: change.erases,
        });
        let is_essential = intent.importance() == Importance::Essential;
        let batch = if is_essential { batch.essential() } else { batch };
        let doubt = Doubt::new(
            change.place,
            change.key,
            change.seq,
            change.write,
            change.version,
            batch.clone(),
            before_keys,
        );
        let guard = self.doubts.enter(doubt)?;
        let receipt =
            match self.sink.append(&[intent], self.durability.max(Durability::Flushed)).await {
                Ok(receipts) => match receipts.first() {
                    Some(receipt) => *receipt,
                    None => {
                        guard.never_began();
                        return Err(
                            Unavailable::Unsupported("the audit sink gave no receipt").into()
                        );
                    }
                },
                Err(error) => {
                    guard.never_began();
                    return Err(error.into());
                }
            };
        guard.doubt().recorded(receipt);

        if let Err(error) = self.write_blobs(before, atomic).await {
            // The head was never sent: whatever became of the blobs, nothing names them. An outcome
            // that cannot be recorded now stays with the doubt.
            guard.settle(Outcome::Lost);
            self.erase_unnamed(guard.doubt(), Outcome::Lost).await;
            if self.record_outcome(receipt, Outcome::Lost).await {
                guard.finish();
            }
            return Err(error);
        }

        guard.doubt().sending();
        let (written, synced) = if self.durability == Durability::Held {
            (self.storage.write(batch).await, Ok(()))
        } else {
            join(self.storage.write(batch), self.sink.sync(&receipt)).await
        };
        let outcome = match &written {
            Ok(Written::Committed { .. }) => Outcome::Done,
            Ok(Written::Conflict { .. }) | Err(StorageError::NotDone { .. }) => Outcome::Lost,
            Err(StorageError::Indeterminate { .. }) => {
                let source = written.err().map(|error| Arc::new(Unavailable::Storage(error)));
                let doubt = guard.doubt().clone();
                return Err(Error::Indeterminate(Indeterminate { doubt, source }));
            }
        };
        if let (Outcome::Done, Err(error)) = (outcome, synced) {
            // It took effect, and a power cut could leave it without a record: not an `Ok`.
            let source = Some(Arc::new(Unavailable::Audit(error)));
            let doubt = guard.doubt().clone();
            return Err(Error::Indeterminate(Indeterminate { doubt, source }));
        }
        guard.settle(outcome);
        self.erase_unnamed(guard.doubt(), outcome).await;
        let told = Indeterminate { doubt: guard.doubt().clone(), source: None };
        if self.record_outcome(receipt, outcome).await {
            guard.finish();
        }
        self.renew_registry().await;
        match written {
            Ok(Written::Committed { revisions }) => {
                let revision = revisions.into_iter().next();
                let revision = revision
                    .ok_or(Unavailable::Unsupported("the storage committed without a revision"))?;
                Ok(Committed::Done { revision, record: change.record, checked, told })
            }
            Ok(Written::Conflict { key }) => Ok(Committed::Conflict(key)),
            Err(error) => Err(error.into()),
        }
    }

    /// Blobs go before the head that names them, where one batch cannot hold both.
    async fn write_blobs(&self, mut blobs: Vec<Op>, atomic: usize) -> Result<(), Error> {
        while !blobs.is_empty() {
            let rest = blobs.split_off(blobs.len().min(atomic));
            if let Written::Conflict { .. } = self.storage.write(Batch::new(blobs)?).await? {
                return Err(
                    Unavailable::Unsupported("the storage has a blob that it cannot").into()
                );
            }
            blobs = rest;
        }
        Ok(())
    }

    /// Records an outcome. One that cannot be recorded now is settled by the next write on that
    /// path, by `close` or by the next opener: what happened is known already.
    async fn record_outcome(&self, intent: Receipt, outcome: Outcome) -> bool {
        let record = AuditRecord::Outcome(OutcomeRecord { at: self.clock.now(), intent, outcome });
        self.sink.append(&[record], Durability::Flushed).await.is_ok()
    }

    pub(super) fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes)?;
        Ok(bytes)
    }
}
