//! A bounded cache of encrypted heads. Nothing decrypted is ever kept; what is kept beside a record
//! that was opened is the key that opens it, which whoever reads this memory can derive anyway.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use strongroom_core::{Digest, Entry, Key, Revision, SecretPath};
use strongroom_crypto::{NameKey, NamespaceId, RecordOpener};

use super::keys::Verified;

/// Where a head is, and what its name is.
#[derive(Clone)]
pub(super) struct HeadPlace {
    pub(super) path: SecretPath,
    pub(super) namespace: NamespaceId,
    pub(super) key: Key,
}

impl HeadPlace {
    pub(super) fn new(path: &SecretPath, namespace: NamespaceId, names: &NameKey) -> Self {
        let key = strongroom_crypto::head_key(namespace, names, path);
        Self { path: path.clone(), namespace, key }
    }
}

/// An encrypted head as the storage held it.
pub(super) struct CachedHead {
    pub(super) place: HeadPlace,
    pub(super) revision: Revision,
    pub(super) digest: Digest,
    pub(super) record: Vec<u8>,
    pub(super) opener: OnceLock<RecordOpener>,
    verified: Mutex<Verified>,
}

impl CachedHead {
    pub(super) fn new(place: HeadPlace, entry: Entry, verified: Verified) -> Self {
        Self {
            place,
            revision: entry.revision,
            digest: digest(&entry.value),
            record: entry.value,
            opener: OnceLock::new(),
            verified: Mutex::new(verified),
        }
    }

    pub(super) fn verified(&self) -> Verified {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn verify(&self, now: Verified) {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// SHA-256 of a record as it is stored.
pub(super) fn digest(record: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(record).into())
}

#[derive(Clone)]
struct Bytes;

/// What an entry costs besides its record: key, revision, opener, counters, the cache's own tables.
const OVERHEAD: usize = 768 + size_of::<CachedHead>();

impl Weighter<SecretPath, Arc<CachedHead>> for Bytes {
    fn weight(&self, _: &SecretPath, head: &Arc<CachedHead>) -> u64 {
        u64::try_from(head.record.len() + OVERHEAD).unwrap_or(u64::MAX)
    }
}

/// The cache, bounded in bytes. It is asked by path, so that a head that is found needs no hashing
/// of its name.
pub(super) struct HeadCache(Cache<SecretPath, Arc<CachedHead>, Bytes>);

impl HeadCache {
    pub(super) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / 1024).unwrap_or(usize::MAX).max(1);
        Self(Cache::with_weighter(items, bytes, Bytes))
    }

    pub(super) fn get(&self, path: &SecretPath) -> Option<Arc<CachedHead>> {
        self.0.get(path)
    }

    pub(super) fn insert(&self, head: Arc<CachedHead>) {
        self.0.insert(head.place.path.clone(), head);
    }

    pub(super) fn remove(&self, path: &SecretPath) {
        self.0.remove(path);
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }
}
