//! Finding the head of a secret: from the cache where that is fresh enough, else from storage.

use std::sync::Arc;
use std::time::Duration;

use strongroom_core::{
    Clock, Digest, Entry, Key, Loaded, LoadedHead, Monotonic, Revision, SecretFacts, SecretPath,
    Stage, Version, VersionSelector, VersionState,
};
use strongroom_crypto::{HeadRef, LiveRef, RecordError, Stages, VersionRef, record_key_id};
use zeroize::Zeroizing;

use super::cache::{CachedHead, HeadPlace, digest};
use super::keys::{OpenKeys, OpenNamespace, Verified};
use super::{Freshness, Vault};
use crate::error::{Error, NotFound, Tampered, Unavailable};

/// How often a load starts again when keys change under it.
const ATTEMPTS: usize = 16;
/// How often a head must be met whose key is unknown, the first time perhaps in the cache, until that
/// is believed. The keys of a head that is in force are in the namespace record that is, so that only
/// a head which was in storage before *and* after a look at the keys does not open.
const LOOKS: u32 = 3;

/// What there is at a path. The head is decrypted, its values are not.
pub(crate) struct LoadedSecret {
    pub(super) namespace: Option<Arc<OpenNamespace>>,
    pub(super) key: Option<Key>,
    pub(super) head: Option<OpenedHead>,
    /// Where it was looked for, if there is none.
    pub(super) absent: Option<SecretPath>,
    pub(super) checked: Monotonic,
}

/// A decrypted head, wiped on drop, with the record that it came from.
pub(super) struct OpenedHead {
    pub(super) cached: Arc<CachedHead>,
    plaintext: Zeroizing<Vec<u8>>,
    seq: u64,
    stages: Stages,
}

impl Drop for OpenedHead {
    fn drop(&mut self) {
        // `Zeroizing` then wipes the whole capacity at once, where it would wipe what is in use
        // byte by byte.
        self.plaintext.clear();
    }
}

impl OpenedHead {
    pub(super) fn view(&self) -> Result<HeadRef<'_>, Error> {
        parsed(&self.plaintext)
    }

    pub(super) fn revision(&self) -> &Revision {
        &self.cached.revision
    }
}

/// A decrypted head, checked whole.
pub(super) fn parsed(plaintext: &[u8]) -> Result<HeadRef<'_>, Error> {
    HeadRef::parse(plaintext).map_err(|_| Tampered::Content("a head of another form").into())
}

impl LoadedSecret {
    /// What the audit record says of it. `None` where there is no namespace.
    pub(crate) fn summary(&self, which: VersionSelector) -> Option<Loaded> {
        let head = self.head.as_ref().map(|head| {
            let version = match which {
                VersionSelector::Version(version) => Some(version),
                VersionSelector::Stage(stage) => pointed_at(head.stages, stage),
            };
            LoadedHead { seq: head.seq, digest: head.cached.digest, version }
        });
        Some(Loaded { key: self.key.clone()?, head })
    }

    /// What a policy may know of it. An absent secret has no facts.
    pub(crate) fn facts(&self) -> Option<SecretFacts> {
        let view = self.head.as_ref()?.view().ok()?;
        let live = view.live?;
        let metadata = live.metadata().ok()?;
        let mut facts = SecretFacts::default();
        facts.kind = live.kind.to_owned();
        facts.owner = metadata.owner;
        facts.labels = metadata.labels;
        Some(facts)
    }

    /// How long ago the storage was last known to hold this.
    pub(super) fn age(&self, now: Monotonic) -> Duration {
        now.saturating_since(self.checked)
    }
}

pub(super) fn pointed_at(stages: Stages, stage: Stage) -> Option<Version> {
    match stage {
        Stage::Current => stages.current,
        Stage::Pending => stages.pending,
        Stage::Previous => stages.previous,
        _ => None,
    }
}

/// The version that a reference means, whatever its state.
pub(super) fn select<'a>(
    live: &LiveRef<'a>,
    which: VersionSelector,
) -> Result<VersionRef<'a>, NotFound> {
    let version = match which {
        VersionSelector::Version(version) => version,
        VersionSelector::Stage(stage) => {
            pointed_at(live.stages, stage).ok_or(NotFound::Stage(stage))?
        }
    };
    live.version(version).ok_or(NotFound::Version(version))
}

/// Whether a version can be read now, and if not, why.
pub(super) fn readable(
    live: &LiveRef<'_>,
    entry: &VersionRef<'_>,
    clock: &dyn Clock,
) -> Result<(), NotFound> {
    match entry.state {
        VersionState::Enabled if live.expires.is_some_and(|expires| expires <= clock.now()) => {
            Err(NotFound::Expired)
        }
        VersionState::Enabled => Ok(()),
        VersionState::Disabled => Err(NotFound::Disabled {
            version: entry.version,
            newest_enabled: live
                .versions()
                .filter(|other| other.state == VersionState::Enabled)
                .map(|other| other.version)
                .last(),
        }),
        VersionState::Deleted => Err(NotFound::Deleted(entry.version)),
        VersionState::Destroyed => Err(NotFound::Destroyed(entry.version)),
    }
}

impl Vault {
    /// Loads what there is at a path. Called by `authorize` for allowed requests only.
    pub(crate) async fn load(
        &self,
        path: &SecretPath,
        freshness: Freshness,
    ) -> Result<LoadedSecret, Error> {
        // Boxed, so that who asks for no pins does not carry the room for it.
        let freshness = match freshness {
            Freshness::Pinned => Box::pin(self.as_pinned()).await?,
            other => other,
        };
        self.load_from(path, Some(freshness)).await
    }

    /// Loads what there is at a path for a request that is not decided yet: always from storage.
    /// The cache holds what exists, so the calls would tell a refused caller what does not.
    pub(crate) async fn load_undecided(&self, path: &SecretPath) -> Result<LoadedSecret, Error> {
        self.load_from(path, None).await
    }

    /// With a freshness, from the cache where that is fresh enough.
    async fn load_from(
        &self,
        path: &SecretPath,
        cache: Option<Freshness>,
    ) -> Result<LoadedSecret, Error> {
        let keys = self.keys.get()?;
        // A head whose key is unknown, and how often it was met.
        let mut unknown: Option<(Digest, u32)> = None;
        for _ in 0..ATTEMPTS {
            let now = self.clock.elapsed();
            let Some(namespace) = self.namespace(&keys, path.namespace_str()).await? else {
                return Ok(self.absent(path, None, now));
            };
            let Some((id, names, _)) = namespace.parts() else { continue };
            // A cached head knows its storage key, unless its namespace was created again since.
            let known = self.heads.get(path).filter(|cached| cached.place.namespace == id);
            let place = match &known {
                Some(cached) => cached.place.clone(),
                None => HeadPlace::new(path, id, names),
            };
            // What is cached may be older than the keys; others may put it there again meanwhile.
            let cache = cache.filter(|_| unknown.is_none());
            let known = known.filter(|_| cache.is_some());
            let freshness = cache.unwrap_or_default();
            let Some((cached, checked)) =
                self.cached_or_read(&namespace, &place, known, freshness, now).await?
            else {
                continue;
            };
            let Some(cached) = cached else {
                return Ok(self.absent(path, Some((namespace, place.key)), checked));
            };
            match self.open_head(&keys, &namespace, &cached).await {
                Err(Error::Tampered(Tampered::Record(RecordError::UnknownKey(id)))) => {
                    // Another process may have rotated keys.
                    let met = unknown.filter(|(digest, _)| *digest == cached.digest);
                    let times = met.map_or(1, |(_, times)| times + 1);
                    if times >= LOOKS {
                        return Err(RecordError::UnknownKey(id).into());
                    }
                    unknown = Some((cached.digest, times));
                    self.namespaces.remove(path.namespace_str());
                    self.heads.remove(path);
                }
                opened => {
                    let head = Some(opened?);
                    let (namespace, key) = (Some(namespace), Some(place.key));
                    return Ok(LoadedSecret { namespace, key, head, absent: None, checked });
                }
            }
        }
        Err(Unavailable::StalePermit.into())
    }

    /// There is no head at a path, and so none in the cache: one that is there later came later.
    pub(super) fn absent(
        &self,
        path: &SecretPath,
        place: Option<(Arc<OpenNamespace>, Key)>,
        checked: Monotonic,
    ) -> LoadedSecret {
        self.heads.remove(path);
        let (namespace, key) = place.unzip();
        LoadedSecret { namespace, key, head: None, absent: Some(path.clone()), checked }
    }

    /// Whether this process has seen another head than that one, or one where there was none.
    pub(crate) fn is_outdated(&self, loaded: &LoadedSecret) -> bool {
        let Some(head) = &loaded.head else {
            return loaded.absent.as_ref().is_some_and(|path| self.heads.get(path).is_some());
        };
        self.heads
            .get(&head.cached.place.path)
            .is_some_and(|cached| cached.revision != *head.revision())
    }

    pub(super) fn is_fresh(
        verified: Verified,
        freshness: Freshness,
        now: Monotonic,
        mark: Option<strongroom_core::ChangeMark>,
    ) -> bool {
        match freshness {
            // By time alone: where it has run out the storage is read, since the mark of a storage
            // may take some calls to notice what others than strongroom have done.
            Freshness::AtMost(limit) => now.saturating_since(verified.at) <= limit,
            Freshness::Current | Freshness::Pinned => mark.is_some() && verified.mark == mark,
        }
    }

    /// The cached head if it and its namespace are fresh, else what the storage holds. `None`:
    /// the namespace changed, start again.
    async fn cached_or_read(
        &self,
        namespace: &Arc<OpenNamespace>,
        place: &HeadPlace,
        cached: Option<Arc<CachedHead>>,
        freshness: Freshness,
        now: Monotonic,
    ) -> Result<Option<(Option<Arc<CachedHead>>, Monotonic)>, Error> {
        if let (Freshness::AtMost(_), Some(cached)) = (freshness, &cached)
            && Self::is_fresh(namespace.verified(), freshness, now, None)
            && Self::is_fresh(cached.verified(), freshness, now, None)
        {
            return Ok(Some((Some(cached.clone()), cached.verified().at)));
        }
        // INVARIANT: the mark is taken before the read, so that what is committed between the two
        // makes the answer look older than it is, never fresher.
        let mark = self.storage.change_mark();
        let verified = Verified { mark, at: now };
        let namespace_fresh = Self::is_fresh(namespace.verified(), freshness, now, mark);
        if let Some(cached) = &cached
            && namespace_fresh
            && Self::is_fresh(cached.verified(), freshness, now, mark)
        {
            let at = match freshness {
                Freshness::Current | Freshness::Pinned => now,
                Freshness::AtMost(_) => cached.verified().at,
            };
            return Ok(Some((Some(cached.clone()), at)));
        }
        let entry = if namespace_fresh {
            let mut answers = self.storage.read(std::slice::from_ref(&place.key)).await?;
            answers.pop().flatten()
        } else {
            let keys = [namespace.key.clone(), place.key.clone()];
            let mut answers = self.storage.read(&keys).await?;
            let head = answers.pop().flatten();
            match answers.pop().flatten() {
                Some(entry) if entry.revision == namespace.revision => namespace.verify(verified),
                _ => {
                    self.namespaces.remove(namespace.record.name.as_str());
                    return Ok(None);
                }
            }
            head
        };
        let head = entry.map(|entry| self.remember(place, cached, entry, verified));
        Ok(Some((head, now)))
    }

    /// Caches a head as it was read; one of the same revision is only marked as fresh.
    pub(super) fn remember(
        &self,
        place: &HeadPlace,
        cached: Option<Arc<CachedHead>>,
        entry: Entry,
        verified: Verified,
    ) -> Arc<CachedHead> {
        match cached {
            Some(cached) if cached.revision == entry.revision && cached.record == entry.value => {
                cached.verify(verified);
                cached
            }
            _ => {
                let head = Arc::new(CachedHead::new(place.clone(), entry, verified));
                self.heads.insert(head.clone());
                // What goes on after the store was sealed leaves nothing behind.
                if !self.is_open() {
                    self.heads.clear();
                }
                head
            }
        }
    }

    /// Decrypts and checks a head: it opens, says the path that it was found under, and names no
    /// newer keys than there are.
    pub(super) async fn open_head(
        &self,
        keys: &Arc<OpenKeys>,
        namespace: &OpenNamespace,
        cached: &Arc<CachedHead>,
    ) -> Result<OpenedHead, Error> {
        let path = &cached.place.path;
        let plaintext = self.decrypt_cached(namespace, cached)?;
        let view = parsed(&plaintext)?;
        if view.path != path.as_str() {
            return Err(Tampered::Content("a head that names another path").into());
        }
        let (keyring, record) = (view.base.keyring_generation, view.base.namespace_generation);
        let (seq, stages) = (view.base.seq, view.live.map(|live| live.stages).unwrap_or_default());
        let opened = OpenedHead { cached: cached.clone(), plaintext, seq, stages };
        if keyring > keys.keyring.generation
            && self.reload_keyring().await?.keyring.generation < keyring
        {
            return Err(Tampered::KeyringRolledBack.into());
        }
        if record > namespace.record.generation {
            // The cached record may be older than the head; the stored one must not be.
            match self.namespace_now(keys, &path.namespace()).await? {
                // It was destroyed, and the keys of the head with it: whoever looks once more finds
                // no namespace.
                None => {
                    let id = record_key_id(&cached.record)?;
                    return Err(RecordError::UnknownKey(id).into());
                }
                Some(namespace) if namespace.record.generation < record => {
                    return Err(Tampered::KeyringRolledBack.into());
                }
                Some(_) => {}
            }
        }
        Ok(opened)
    }

    /// Decrypts a head under whichever epoch it names.
    pub(super) fn decrypt_head(
        &self,
        namespace: &OpenNamespace,
        key: &Key,
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let id = record_key_id(record)?;
        let epoch = namespace.epoch(id).ok_or(RecordError::UnknownKey(id))?;
        Ok(epoch.decrypt(&super::commit::head_context(self.store, &[key.as_bytes()]), record)?)
    }

    /// The same for a cached head, whose key is derived and checked once.
    fn decrypt_cached(
        &self,
        namespace: &OpenNamespace,
        cached: &CachedHead,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        // An epoch that was destroyed opens nothing, what it opened before included.
        let id = record_key_id(&cached.record)?;
        let epoch = namespace.epoch(id).ok_or(RecordError::UnknownKey(id))?;
        let opener = match cached.opener.get() {
            Some(opener) => opener,
            None => {
                let parts = [cached.place.key.as_bytes()];
                let context = super::commit::head_context(self.store, &parts);
                let opener = epoch.opener(&context, &cached.record)?;
                cached.opener.get_or_init(|| opener)
            }
        };
        Ok(opener.decrypt(&cached.record)?)
    }

    /// The keyring as the storage holds it now, opened with the root key at hand.
    pub(super) async fn reload_keyring(&self) -> Result<Arc<OpenKeys>, Error> {
        let keys = self.keys.get()?;
        let key = strongroom_crypto::keyring_key();
        let mut answers = self.storage.read(std::slice::from_ref(&key)).await?;
        let entry = answers.pop().flatten().ok_or(Tampered::KeyringRolledBack)?;
        if entry.revision == keys.revision {
            return Ok(keys);
        }
        let keyring = super::open::reopen(&self.seal, &*self.entropy, &keys, &entry).await?;
        if keyring.generation < keys.keyring.generation {
            return Err(Tampered::KeyringRolledBack.into());
        }
        self.keys.replace(OpenKeys { keyring, revision: entry.revision })
    }

    /// The digest under which a record is named in intents.
    pub(super) fn digest_of(record: &[u8]) -> Digest {
        digest(record)
    }
}
