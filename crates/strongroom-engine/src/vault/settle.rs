//! Settling what a dead process left open, under a `Permit<Recover>`, able only to fence.
//!
//! An intent of a dead log is settled by its write's id: a head that carries it says `done`, one
//! that has passed its seq without it says `lost`. A head that is still behind proves nothing,
//! since the write may be on its way: a swap of the head onto itself takes the place.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom_audit::LogStage;
use strongroom_core::{
    AuditRecord, ClosedRecord, DeadLog, Durability, Expected, Namespace, NotDoneKind, OpenIntent,
    Outcome, OutcomeRecord, RecordKind, Recover, SecretPath, StorageError, TreeHead,
};
use strongroom_crypto::NamespaceState;

use super::doubt::lost_or_unknown;
use super::{Freshness, Vault};
use crate::error::{Error, Tampered, Unavailable};
use crate::permit::{Redeemed, authorize_recovery};
use crate::room::Inner;

/// How often a fence is tried while others write.
const ATTEMPTS: usize = 64;

impl Vault {
    /// Settles dead logs and records that they are closed. On read-only storage they stay open.
    pub(crate) async fn settle_dead_logs(
        &self,
        inner: &Arc<Inner>,
        dead: Vec<DeadLog>,
    ) -> Result<(), Error> {
        let mut grant = None;
        'logs: for log in dead {
            let mut records = Vec::with_capacity(log.open.len() + 1);
            for intent in &log.open {
                if grant.is_none() {
                    grant = Some(authorize_recovery(inner).await?);
                }
                let Some(grant) = &grant else { continue };
                let outcome = match self.settle_intent(grant, intent).await {
                    Err(error) if is_read_only(&error) => return Ok(()),
                    // One record that does not open keeps nobody out of the rest: reading it says
                    // what it is, and so does `verify`. Whoever can open it settles this log.
                    Err(Error::Tampered(Tampered::Record(_) | Tampered::Content(_))) => {
                        continue 'logs;
                    }
                    outcome => outcome?,
                };
                records.push(AuditRecord::Outcome(OutcomeRecord {
                    at: self.clock.now(),
                    intent: intent.receipt,
                    outcome,
                }));
            }
            records.push(AuditRecord::Closed(ClosedRecord {
                at: self.clock.now(),
                log: log.log,
                size: log.size,
                root: log.root,
            }));
            self.sink.append(&records, Durability::Synced).await?;
            let head = TreeHead { size: log.size, root: log.root };
            // Where the storage takes it not, the log's own end says enough.
            let _ = self.register(log.log, LogStage::Settled, head).await;
        }
        Ok(())
    }

    async fn settle_intent(
        &self,
        grant: &Redeemed<Recover>,
        intent: &OpenIntent,
    ) -> Result<Outcome, Error> {
        match intent.kind {
            RecordKind::Head => match SecretPath::try_from(intent.target.as_str()) {
                Ok(path) => self.settle_head(grant, intent, &path).await,
                Err(_) => Ok(Outcome::Unknown),
            },
            RecordKind::Namespace => match Namespace::try_from(intent.target.as_str()) {
                Ok(name) => self.settle_namespace(grant, intent, &name).await,
                Err(_) => Ok(Outcome::Unknown),
            },
            RecordKind::Keyring => self.settle_keyring(intent).await,
        }
    }

    async fn settle_head(
        &self,
        grant: &Redeemed<Recover>,
        intent: &OpenIntent,
        path: &SecretPath,
    ) -> Result<Outcome, Error> {
        for _ in 0..ATTEMPTS {
            let secret = self.load(path, Freshness::Current).await?;
            if secret.key.as_ref() != Some(&intent.key) {
                // The namespace is gone, and the keys of its heads with it.
                return Ok(Outcome::Unknown);
            }
            let seq = match &secret.head {
                None => 0,
                Some(head) => {
                    let base = head.view()?.base;
                    if base.lineage.contains(intent.write) {
                        return Ok(Outcome::Done);
                    }
                    base.seq
                }
            };
            if seq >= intent.seq {
                return Ok(lost_or_unknown(intent.seq, seq));
            }
            let same = &mut |_: &mut super::edit::Draft<'_>| Ok(());
            let expected = Expected::Head(seq);
            match self.replace(grant.cause(), path, Some(secret), expected, same).await {
                // Others were faster, or the namespace has gone meanwhile.
                Ok(_) | Err(Error::Conflict(_) | Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Outcome::Unknown)
    }

    async fn settle_namespace(
        &self,
        grant: &Redeemed<Recover>,
        intent: &OpenIntent,
        name: &Namespace,
    ) -> Result<Outcome, Error> {
        for _ in 0..ATTEMPTS {
            let keys = self.reload_keyring().await?;
            let key = strongroom_crypto::namespace_key(&keys.keyring.store_names, name);
            if key != intent.key {
                return Ok(Outcome::Unknown);
            }
            let mut answers = self.storage.read(std::slice::from_ref(&key)).await?;
            let generation = match answers.pop().flatten() {
                None => 0,
                Some(entry) => {
                    let record = self.open_namespace(&keys, &key, &entry.value).await?;
                    if record.lineage.contains(intent.write) {
                        return Ok(Outcome::Done);
                    }
                    record.generation
                }
            };
            if generation >= intent.seq {
                return Ok(lost_or_unknown(intent.seq, generation));
            }
            self.change_namespace(grant.cause(), name, &mut |state, _| {
                Ok(state.unwrap_or(NamespaceState::Destroyed { erasing: BTreeSet::new() }))
            })
            .await?;
        }
        Ok(Outcome::Unknown)
    }

    async fn settle_keyring(&self, intent: &OpenIntent) -> Result<Outcome, Error> {
        let keys = self.reload_keyring().await?;
        let keyring = &keys.keyring;
        Ok(if keyring.lineage.contains(intent.write) {
            Outcome::Done
        } else if keyring.generation >= intent.seq {
            lost_or_unknown(intent.seq, keyring.generation)
        } else {
            // Only the first keyring is written by this version, before there is a log.
            Outcome::Unknown
        })
    }
}

fn is_read_only(error: &Error) -> bool {
    matches!(
        error,
        Error::Unavailable(Unavailable::Storage(StorageError::NotDone {
            kind: NotDoneKind::ReadOnly,
            ..
        }))
    )
}
