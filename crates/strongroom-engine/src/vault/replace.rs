//! Replacing the head of a secret by what an edit makes of it.

use std::sync::Arc;

use strongroom_core::{
    Action, Delete, Destroy, Disable, Enable, Entry, Expect, Expected, Hold, HoldMetadata,
    MetadataUpdate, Promote, Purge, SecretPath, SecretRef, Undelete, UpdateMetadata, Version,
    VersionState, Write, WriteId,
};
use strongroom_crypto::Lineage;

use super::cache::HeadPlace;
use super::commit::{Change, Committed, Place, head_context};
use super::edit::{Content, Draft, MAX_SECRET_BYTES, check_expected};
use super::keys::Verified;
use super::load::LoadedSecret;
use super::{Freshness, Vault};
use crate::error::{ConflictKind, Error, Indeterminate, Invalid, NotFound};
use crate::permit::{Cause, Redeemed};

/// How often a write starts again when keys change under it, or others write the same secret.
const ATTEMPTS: usize = 64;

/// What became of a write.
pub(crate) enum Step<T> {
    /// It took effect.
    Done(T),
    /// Somebody else was faster, and no expectation says what to do: decide again.
    Raced,
}

type Edit<'e, T> = &'e mut (dyn FnMut(&mut Draft<'_>) -> Result<T, Error> + Send);

macro_rules! on_version {
    ($($(#[$doc:meta])* $name:ident($action:ty) = |$draft:ident, $which:ident| $edit:expr;)*) => {
        $(
            $(#[$doc])*
            pub(crate) async fn $name(
                &self,
                grant: &mut Redeemed<$action>,
                expected: Expected,
            ) -> Result<Step<Version>, Error> {
                let $which = grant.target().which();
                self.write_head(grant, expected, &mut |$draft| $edit).await
            }
        )*
    };
}

/// The secret that an action's target is about.
pub(crate) trait OfSecret {
    fn secret(&self) -> &SecretPath;
}

impl OfSecret for SecretPath {
    fn secret(&self) -> &SecretPath {
        self
    }
}

impl OfSecret for SecretRef {
    fn secret(&self) -> &SecretPath {
        self.path()
    }
}

impl Vault {
    /// Puts a version.
    pub(crate) async fn put(
        &self,
        grant: &mut Redeemed<Write>,
        content: &Content,
        expected: Expected,
    ) -> Result<Step<Version>, Error> {
        let bytes = content.value.len();
        if bytes > MAX_SECRET_BYTES {
            let whose = "the limit on one secret";
            return Err(Invalid::TooLarge { bytes, limit: MAX_SECRET_BYTES, whose }.into());
        }
        self.write_head(grant, expected, &mut |draft| draft.put(content)).await
    }

    on_version! {
        /// Deletes softly.
        delete(Delete) = |draft, which| draft.set_state(
            which, &[VersionState::Enabled, VersionState::Disabled], VersionState::Deleted);
        /// Brings a softly deleted version back.
        undelete(Undelete) = |draft, which| draft.set_state(
            which, &[VersionState::Deleted], VersionState::Enabled);
        /// Makes a version unreadable for a time.
        disable(Disable) = |draft, which| draft.set_state(
            which, &[VersionState::Enabled], VersionState::Disabled);
        /// Makes a disabled version readable again.
        enable(Enable) = |draft, which| draft.set_state(
            which, &[VersionState::Disabled], VersionState::Enabled);
        /// Destroys a version for ever.
        destroy(Destroy) = |draft, which| draft.destroy(which);
        /// Puts a version in force.
        promote(Promote) = |draft, which| draft.promote(which);
    }

    /// Leaves a tombstone.
    pub(crate) async fn purge(
        &self,
        grant: &mut Redeemed<Purge>,
        expected: Expected,
    ) -> Result<Step<()>, Error> {
        self.write_head(grant, expected, &mut |draft| draft.purge()).await
    }

    /// Changes metadata.
    pub(crate) async fn update_metadata(
        &self,
        grant: &mut Redeemed<UpdateMetadata>,
        update: &MetadataUpdate,
        expected: Expected,
    ) -> Result<Step<()>, Error> {
        self.write_head(grant, expected, &mut |draft| draft.update_metadata(update)).await
    }

    /// Sets or removes a hold.
    pub(crate) async fn hold(
        &self,
        grant: &mut Redeemed<Hold>,
        hold: &HoldMetadata,
    ) -> Result<Step<Version>, Error> {
        let which = grant.target().which();
        // A hold changes no version: it needs no expectation, even where writes do.
        let seq = Expected::Head(grant.seq());
        match self.write_head(grant, seq, &mut |draft| draft.hold(which, hold)).await {
            Err(Error::Conflict(_)) => Ok(Step::Raced),
            step => step,
        }
    }

    async fn write_head<A: Action<Target: OfSecret>, T>(
        &self,
        grant: &mut Redeemed<A>,
        expected: Expected,
        edit: Edit<'_, T>,
    ) -> Result<Step<T>, Error> {
        let loaded = grant.take_loaded();
        self.replace(grant.cause(), grant.target().secret(), loaded, expected, edit).await
    }

    /// Replaces the head at a path.
    pub(super) async fn replace<T>(
        &self,
        cause: Cause,
        path: &SecretPath,
        mut loaded: Option<LoadedSecret>,
        expected: Expected,
        edit: Edit<'_, T>,
    ) -> Result<Step<T>, Error> {
        for _ in 0..ATTEMPTS {
            let secret = match loaded.take() {
                Some(secret) => secret,
                None => self.load(path, Freshness::Current).await?,
            };
            let Some(key) = &secret.key else { return Err(NotFound::Namespace.into()) };
            if self.has_doubt(key) {
                self.settle_key(key).await?;
                continue;
            }
            if let Some(namespace) = &secret.namespace
                && self.has_doubt(&namespace.key)
            {
                // Settled later, the end of the namespace would take this write with it.
                self.settle_key(&namespace.key).await?;
                self.namespaces.remove(path.namespace_str());
                continue;
            }
            let keys = self.keys.get()?;
            let (Some(namespace), key) = (&secret.namespace, key.clone()) else {
                return Err(NotFound::Namespace.into());
            };
            let Some((id, _, epoch)) = namespace.parts() else { continue };
            let old = match &secret.head {
                Some(head) => Some(
                    head.view()?
                        .to_head()
                        .map_err(|_| crate::error::Tampered::Content("a head of another form"))?,
                ),
                None => None,
            };
            check_expected(old.as_ref(), expected)?;
            let write = WriteId::from_bytes(self.random()?);
            let prev = match (&secret.head, &old) {
                (Some(head), Some(old)) => Some((head.cached.digest, old.base.lineage.log)),
                _ => None,
            };
            let generations = (keys.keyring.generation, namespace.record.generation);
            let mut draft = Draft::new(
                self,
                key.clone(),
                path,
                old,
                |base| match (base, prev) {
                    (Some(base), Some((digest, _))) => {
                        Ok((base.seq.saturating_add(1), base.lineage.next(digest, write, self.log)))
                    }
                    _ => Ok((1, Lineage::first(write, self.log))),
                },
                generations,
                self.clock.now(),
            )?;
            let output = edit(&mut draft)?;
            draft.move_out_unstaged()?;
            let plaintext = draft.head.encode().map_err(|_| Invalid::HeadTooLarge)?;
            let parts: &[&[u8]] = &[key.as_bytes()];
            let record = epoch.encrypt(
                keys.keyring.suite,
                &head_context(self.store, parts),
                &plaintext,
                &*self.entropy,
            )?;
            let limit = self.storage.profile().value_bytes.get();
            if record.len() > limit {
                let (bytes, whose) = (record.len(), "the storage's limit on one record");
                return Err(Invalid::TooLarge { bytes, limit, whose }.into());
            }
            let epoch_id = epoch.id();
            let Draft { head, blobs, dropped, erases, made, .. } = draft;
            let change = Change {
                place: Place::Head(path.clone()),
                key: key.clone(),
                seq: head.base.seq,
                prev,
                expect: match &secret.head {
                    Some(head) => Expect::Revision(head.revision().clone()),
                    None => Expect::Absent,
                },
                record,
                write,
                version: made,
                check: (namespace.key.clone(), namespace.revision.clone()),
                blobs,
                erases: Vec::new(),
            };
            match self.commit(cause, change).await? {
                Committed::Done { revision, record, checked, told } => {
                    let verified = Verified { mark: None, at: self.clock.elapsed() };
                    let place = HeadPlace { path: path.clone(), namespace: id, key: key.clone() };
                    self.remember(&place, None, Entry { revision, value: record }, verified);
                    if erases {
                        self.erase_blobs(&key, &dropped).await;
                    } else {
                        self.erase_blobs_later(&key, &dropped).await;
                    }
                    if !checked {
                        self.leave_no_old_epoch(cause, path, namespace, epoch_id)
                            .await
                            .map_err(|error| not_yet_ok(told, error))?;
                    }
                    return Ok(Step::Done(output));
                }
                Committed::Conflict(conflict) if conflict == key => {
                    self.heads.remove(path);
                    if expected == Expected::Any {
                        return Ok(Step::Raced);
                    }
                }
                // The namespace record changed: new keys, or none any more.
                Committed::Conflict(_) => self.namespaces.remove(path.namespace_str()),
            }
        }
        Err(ConflictKind::Contended.into())
    }

    /// Where a batch is one operation, a head may have been written under an epoch that left
    /// meanwhile: it is then written again before the caller hears `Ok`.
    async fn leave_no_old_epoch(
        &self,
        cause: Cause,
        path: &SecretPath,
        namespace: &Arc<super::keys::OpenNamespace>,
        epoch: strongroom_crypto::KeyId,
    ) -> Result<(), Error> {
        self.namespaces.remove(path.namespace_str());
        let keys = self.keys.get()?;
        match self.namespace(&keys, path.namespace_str()).await? {
            Some(now) if now.revision == namespace.revision => Ok(()),
            Some(now) if now.parts().is_some_and(|(_, _, active)| active.id() == epoch) => Ok(()),
            _ => match Box::pin(self.replace(cause, path, None, Expected::Any, &mut |_| Ok(())))
                .await
            {
                Ok(_) | Err(Error::Invalid(_)) => Ok(()),
                Err(error) => Err(error),
            },
        }
    }
}

/// The error of a write that took effect, where what has to follow before `Ok` failed.
fn not_yet_ok(told: Indeterminate, error: Error) -> Error {
    match error {
        // The head went with its namespace: there is nothing of it.
        Error::NotFound(NotFound::Namespace) => error,
        Error::Unavailable(source) => {
            Error::Indeterminate(Indeterminate { source: Some(Arc::new(source)), ..told })
        }
        _ => Error::Indeterminate(told),
    }
}
