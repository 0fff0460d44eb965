//! Erasing blobs that no head names, and what is left of destroyed namespaces.
//!
//! A blob carries the seq of the head that may name it. Blobs are listed first and the head is
//! read after: if the head has reached that seq and does not name the blob, none ever will. No
//! clock is involved.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_core::{Key, Namespace, Sweep, Timestamp};
use strongroom_crypto::{BlobRef, Identifiers, KeyClass, NamespaceId, NamespaceState, Place};

use super::Vault;
use crate::error::{Error, NotFound, Tampered};
use crate::permit::{Cause, Redeemed};

/// What a sweep did.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Records of blobs that were erased.
    pub erased: u64,
    /// Records of destroyed namespaces that were erased.
    pub remains_erased: u64,
}

impl Vault {
    /// Sweeps the namespace of the permit, a destroyed one too.
    pub(crate) async fn sweep(&self, grant: &Redeemed<Sweep>) -> Result<SweepReport, Error> {
        let remains = self.record_remains(grant.cause(), grant.target()).await?;
        let remains_erased = self.erase_remains(grant.cause(), grant.target(), &remains).await?;
        let mut report = SweepReport { erased: 0, remains_erased };
        let keys = self.keys.get()?;
        let name = grant.target();
        self.namespaces.remove(name.as_str());
        let Some(namespace) = self.namespace(&keys, name.as_str()).await? else {
            return Ok(report);
        };
        let Some((id, _, _)) = namespace.parts() else { return Ok(report) };
        let (prefix, mut after) = (strongroom_crypto::blobs_of(id), None);
        loop {
            let (blobs, more) = self.keys_below(&prefix, &mut after).await?;
            // In their order, so that the same store is swept by the same calls.
            let mut by_head: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
            for blob in blobs {
                let Some(KeyClass::Blob(parsed)) = KeyClass::parse(blob.as_bytes()) else {
                    return Err(Tampered::Content("a key among the blobs").into());
                };
                by_head.entry(parsed.head_key()).or_default().push(blob);
            }
            for (head, blobs) in by_head {
                let garbage = self.garbage(&namespace, &head, blobs).await?;
                if !garbage.is_empty() {
                    self.storage.erase(&garbage).await?;
                    report.erased += u64::try_from(garbage.len()).unwrap_or(u64::MAX);
                }
            }
            if !more {
                return Ok(report);
            }
        }
    }

    async fn garbage(
        &self,
        namespace: &super::keys::OpenNamespace,
        head: &Key,
        blobs: Vec<Key>,
    ) -> Result<Vec<Key>, Error> {
        let mut answers = self.storage.read(std::slice::from_ref(head)).await?;
        let Some(entry) = answers.pop().flatten() else {
            // No head yet: its first writer may be about to name them.
            return Ok(Vec::new());
        };
        let Some(met) = self.open_met(namespace, head, &entry.value).await? else {
            // The namespace is gone: what is left of it is erased as its remains.
            return Ok(Vec::new());
        };
        let view = met.view()?;
        let named: Vec<BlobRef> = view.live.iter().flat_map(named_blobs).collect();
        Ok(blobs
            .into_iter()
            .filter(|blob| match KeyClass::parse(blob.as_bytes()) {
                Some(KeyClass::Blob(blob)) => {
                    blob.seq <= view.base.seq
                        && !named.iter().any(|named| {
                            named.seq == blob.seq
                                && named.random == blob.random
                                && blob.part < named.parts
                        })
                }
                _ => false,
            })
            .collect())
    }

    /// Records of which namespaces of that name heads and blobs are to be erased.
    ///
    /// Whoever destroyed one recorded that, beside the write. A power cut may have left the write and
    /// not the record, and nothing would then tell why the heads are gone.
    async fn record_remains(
        &self,
        cause: Cause,
        name: &Namespace,
    ) -> Result<BTreeSet<NamespaceId>, Error> {
        let remains = self.remains(name).await?;
        if !remains.is_empty() {
            let mut same = |state: Option<NamespaceState>, _: Timestamp| {
                state.ok_or_else(|| NotFound::Namespace.into())
            };
            self.change_namespace_erasing(cause, name, &remains, &mut same).await?;
        }
        Ok(remains)
    }

    /// The namespaces of that name that were destroyed, and of which something may be left.
    pub(super) async fn remains(&self, name: &Namespace) -> Result<BTreeSet<NamespaceId>, Error> {
        let keys = self.reload_keyring().await?;
        let key = strongroom_crypto::namespace_key(&keys.keyring.store_names, name);
        let mut answers = self.storage.read(std::slice::from_ref(&key)).await?;
        let entry = answers.pop().flatten().ok_or(NotFound::Namespace)?;
        let record = self.open_namespace(&keys, &key, &entry.value).await?;
        let (NamespaceState::Live { erasing, .. } | NamespaceState::Destroyed { erasing }) =
            record.state;
        Ok(erasing)
    }

    /// Erases heads and blobs of namespaces of that name that were destroyed. That they are to be
    /// erased is on record.
    pub(super) async fn erase_remains(
        &self,
        cause: Cause,
        name: &Namespace,
        erasing: &BTreeSet<NamespaceId>,
    ) -> Result<u64, Error> {
        if erasing.is_empty() {
            return Ok(0);
        }
        let mut erased = 0;
        for id in erasing {
            for prefix in [strongroom_crypto::heads_of(*id), strongroom_crypto::blobs_of(*id)] {
                let mut after = None;
                loop {
                    let (gone, more) = self.keys_below(&prefix, &mut after).await?;
                    if !gone.is_empty() {
                        self.storage.erase(&gone).await?;
                        erased += u64::try_from(gone.len()).unwrap_or(u64::MAX);
                    }
                    if !more {
                        break;
                    }
                }
            }
        }
        self.heads.clear();
        self.change_namespace(cause, name, &mut |state, _| match state {
            Some(NamespaceState::Destroyed { erasing: mut ids }) => {
                ids.retain(|id| !erasing.contains(id));
                Ok(NamespaceState::Destroyed { erasing: ids })
            }
            Some(NamespaceState::Live { id, names, active, leaving, erasing: mut ids }) => {
                ids.retain(|id| !erasing.contains(id));
                Ok(NamespaceState::Live { id, names, active, leaving, erasing: ids })
            }
            None => Err(NotFound::Namespace.into()),
        })
        .await?;
        Ok(erased)
    }
}

/// The blobs that a head names.
pub(super) fn named_blobs(live: &strongroom_crypto::LiveRef<'_>) -> Vec<BlobRef> {
    let mut named = Vec::new();
    for entry in live.versions() {
        if let Some(Identifiers::Blob(slot)) = &entry.identifiers
            && let Place::Blob(blob) = &slot.place
        {
            named.push(*blob);
        }
        if let Some(slot) = &entry.value
            && let Place::Blob(blob) = &slot.place
        {
            named.push(*blob);
        }
    }
    named
}
