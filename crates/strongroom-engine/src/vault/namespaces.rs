//! Namespace records: found, created, destroyed, given new epochs.

use std::collections::BTreeSet;
use std::sync::Arc;

use strongroom_core::{
    CreateNamespace, DestroyNamespace, Entry, Expect, Key, Namespace, Timestamp, WriteId,
};
use strongroom_crypto::{
    Epoch, Lineage, NameKey, NamespaceId, NamespaceRecord, NamespaceState, RecordKey,
};

use super::Vault;
use super::commit::{Change, Committed, Place};
use super::keys::{OpenKeys, OpenNamespace, Verified};
use crate::error::{ConflictKind, Error, NotFound, Tampered};
use crate::permit::{Cause, Redeemed};

/// How often a change starts again when others change the same record.
const ATTEMPTS: usize = 16;

impl Vault {
    /// The namespace of that name, from what is known or from storage. `None`: there is none.
    pub(super) async fn namespace(
        &self,
        keys: &Arc<OpenKeys>,
        name: &str,
    ) -> Result<Option<Arc<OpenNamespace>>, Error> {
        if let Some(namespace) = self.namespaces.get(name) {
            return Ok(Some(namespace));
        }
        let Ok(name) = Namespace::try_from(name) else { return Ok(None) };
        self.namespace_now(keys, &name).await
    }

    /// The namespace of that name as the storage holds it now, whatever is known.
    pub(super) async fn namespace_now(
        &self,
        keys: &Arc<OpenKeys>,
        name: &Namespace,
    ) -> Result<Option<Arc<OpenNamespace>>, Error> {
        let verified = Verified { mark: self.storage.change_mark(), at: self.clock.elapsed() };
        let key = strongroom_crypto::namespace_key(&keys.keyring.store_names, name);
        let mut answers = self.storage.read(std::slice::from_ref(&key)).await?;
        let Some(entry) = answers.pop().flatten() else { return Ok(None) };
        self.learn_namespace(keys, name, key, entry, verified).await
    }

    /// Opens a namespace record as it was read, and keeps it. `None`: it is destroyed.
    pub(super) async fn learn_namespace(
        &self,
        keys: &Arc<OpenKeys>,
        name: &Namespace,
        key: Key,
        entry: Entry,
        verified: Verified,
    ) -> Result<Option<Arc<OpenNamespace>>, Error> {
        let record = self.open_namespace(keys, &key, &entry.value).await?;
        if record.name != *name {
            return Err(Tampered::Content("a namespace record of another name").into());
        }
        let opened = OpenNamespace::new(key, entry.revision, record, verified).map(Arc::new);
        if let Some(namespace) = &opened {
            self.namespaces.insert(namespace.clone());
            // A store that was sealed meanwhile keeps no key.
            if !self.is_open() {
                self.namespaces.clear();
                return Err(Error::Sealed);
            }
        }
        Ok(opened)
    }

    /// Decrypts a namespace record, after another look at the keyring if its key is unknown.
    pub(super) async fn open_namespace(
        &self,
        keys: &Arc<OpenKeys>,
        key: &Key,
        record: &[u8],
    ) -> Result<NamespaceRecord, Error> {
        let id = strongroom_crypto::record_key_id(record)?;
        let known = |keys: &OpenKeys| {
            keys.keyring.root.id() == id
                || keys.keyring.leaving_root.as_ref().is_some_and(|root| root.id() == id)
        };
        let keys = if known(keys) { keys.clone() } else { self.reload_keyring().await? };
        let root = match &keys.keyring.leaving_root {
            Some(root) if root.id() == id => root,
            _ => &keys.keyring.root,
        };
        Ok(NamespaceRecord::decrypt(root, self.store, key, record)?)
    }

    /// Creates the namespace of the permit.
    pub(crate) async fn create_namespace(
        &self,
        grant: &Redeemed<CreateNamespace>,
    ) -> Result<(), Error> {
        self.change_namespace(grant.cause(), grant.target(), &mut |state, now| match state {
            Some(NamespaceState::Live { .. }) => Err(ConflictKind::Namespace.into()),
            gone => {
                // What is still to be erased of an earlier namespace of that name stays known.
                let erasing = match gone {
                    Some(NamespaceState::Destroyed { erasing }) => erasing,
                    _ => BTreeSet::new(),
                };
                Ok(NamespaceState::Live {
                    id: NamespaceId::from_bytes(self.random()?),
                    names: NameKey::generate(&*self.entropy)?,
                    active: Epoch {
                        number: 1,
                        key: RecordKey::generate(&*self.entropy)?,
                        since: now,
                    },
                    leaving: Vec::new(),
                    erasing,
                })
            }
        })
        .await
    }

    /// Destroys the namespace of the permit, and erases its heads and blobs.
    pub(crate) async fn destroy_namespace(
        &self,
        grant: &Redeemed<DestroyNamespace>,
    ) -> Result<(), Error> {
        // Once the keys are gone, nobody can tell what became of a write under them.
        self.settle_within(grant.target()).await?;
        let (cause, name) = (grant.cause(), grant.target());
        let mut remains = self.remains(name).await?;
        let mut ended = None;
        let mut end = |state: Option<NamespaceState>, _: Timestamp| match state {
            Some(NamespaceState::Live { id, mut erasing, .. }) => {
                ended = Some(id);
                erasing.insert(id);
                Ok(NamespaceState::Destroyed { erasing })
            }
            _ => Err(NotFound::Namespace.into()),
        };
        self.change_namespace_erasing(cause, name, &remains, &mut end).await?;
        remains.extend(ended);
        self.erase_remains(cause, name, &remains).await.map(|_| ())
    }

    /// Gives the namespace a new epoch; the old one leaves with the next `rewrap`.
    pub(crate) async fn rotate_keys(
        &self,
        grant: &Redeemed<strongroom_core::RotateKeys>,
    ) -> Result<(), Error> {
        self.change_namespace(grant.cause(), grant.target(), &mut |state, now| match state {
            Some(NamespaceState::Live { id, names, active, mut leaving, erasing }) => {
                if leaving.len() >= MAX_LEAVING {
                    return Err(crate::error::Invalid::Request(
                        "too many key epochs are waiting to leave: `rewrap` the namespace first",
                    )
                    .into());
                }
                let number = active.number.saturating_add(1);
                let key = RecordKey::generate(&*self.entropy)?;
                leaving.push(active);
                let active = Epoch { number, key, since: now };
                Ok(NamespaceState::Live { id, names, active, leaving, erasing })
            }
            _ => Err(NotFound::Namespace.into()),
        })
        .await
    }

    /// Replaces a namespace record by what `edit` makes of it.
    pub(super) async fn change_namespace(
        &self,
        cause: Cause,
        name: &Namespace,
        edit: &mut Edit<'_>,
    ) -> Result<(), Error> {
        self.change_namespace_erasing(cause, name, &BTreeSet::new(), edit).await
    }

    /// The same, and records that what is left of namespaces that have ended is erased after it.
    pub(super) async fn change_namespace_erasing(
        &self,
        cause: Cause,
        name: &Namespace,
        erased: &BTreeSet<NamespaceId>,
        edit: &mut Edit<'_>,
    ) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let keys = self.reload_keyring().await?;
            let key = strongroom_crypto::namespace_key(&keys.keyring.store_names, name);
            self.settle_key(&key).await?;
            let mut answers = self.storage.read(std::slice::from_ref(&key)).await?;
            let entry = answers.pop().flatten();
            let write = WriteId::from_bytes(self.random()?);
            let (old, prev, expect) = match entry {
                None => (None, None, Expect::Absent),
                Some(entry) => {
                    let old = self.open_namespace(&keys, &key, &entry.value).await?;
                    let prev = (Self::digest_of(&entry.value), old.lineage.log);
                    (Some(old), Some(prev), Expect::Revision(entry.revision))
                }
            };
            let (generation, lineage) = match (&old, prev) {
                (Some(old), Some((digest, _))) => {
                    (old.generation.saturating_add(1), old.lineage.next(digest, write, self.log))
                }
                _ => (1, Lineage::first(write, self.log)),
            };
            let was = old.as_ref().and_then(|old| live_id(&old.state));
            let state = edit(old.map(|old| old.state), self.clock.now())?;
            let ended = if live_id(&state) == was { None } else { was };
            let record = NamespaceRecord { name: name.clone(), generation, lineage, state };
            let bytes = record.encrypt(
                &keys.keyring.root,
                keys.keyring.suite,
                self.store,
                &key,
                &*self.entropy,
            )?;
            let change = Change {
                place: Place::Namespace(name.clone()),
                key: key.clone(),
                seq: generation,
                prev,
                expect,
                record: bytes,
                write,
                version: None,
                check: (strongroom_crypto::keyring_key(), keys.revision.clone()),
                blobs: Vec::new(),
                erases: ended
                    .iter()
                    .chain(erased)
                    .flat_map(|id| {
                        [strongroom_crypto::heads_of(*id), strongroom_crypto::blobs_of(*id)]
                    })
                    .collect(),
            };
            self.namespaces.remove(name.as_str());
            if let Committed::Done { .. } = self.commit(cause, change).await? {
                return Ok(());
            }
        }
        Err(ConflictKind::Contended.into())
    }
}

/// What becomes of a namespace record.
pub(super) type Edit<'a> =
    dyn FnMut(Option<NamespaceState>, Timestamp) -> Result<NamespaceState, Error> + Send + 'a;

/// The most epochs that wait to leave.
const MAX_LEAVING: usize = 4;

fn live_id(state: &NamespaceState) -> Option<NamespaceId> {
    match state {
        NamespaceState::Live { id, .. } => Some(*id),
        NamespaceState::Destroyed { .. } => None,
    }
}
