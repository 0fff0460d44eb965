//! Blobs that no head names any more, until enough of them are together to be erased.
//!
//! Each put beyond `max_versions` leaves one. To erase it at once takes a transaction of its own,
//! with its sync, for bytes whose data key has just left the head. Closing the store erases what
//! waits then; whatever else is left, by one that was killed, sealed or dropped say, `sweep` finds. Where erasing is
//! what was asked for (`destroy`, `purge`, a lower `max_versions`) it is done at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom_core::Key;
use strongroom_crypto::BlobRef;

use super::Vault;

/// So many records are erased together.
const ENOUGH: usize = 64;

/// The keys of what is to be erased.
#[derive(Debug, Default)]
pub(super) struct Garbage(Mutex<Vec<Key>>);

impl Garbage {
    fn lock(&self) -> MutexGuard<'_, Vec<Key>> {
        // INVARIANT: no code that can panic runs while this lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds keys, and gives all of them where there are as many as that.
    fn add(&self, keys: Vec<Key>, enough: usize) -> Vec<Key> {
        let mut all = self.lock();
        all.extend(keys);
        if all.len() < enough { Vec::new() } else { std::mem::take(&mut *all) }
    }
}

impl Vault {
    /// Erases blobs that a head no longer names, and with them all that waits: earlier versions of
    /// the same secret may be among it.
    pub(super) async fn erase_blobs(&self, head: &Key, blobs: &[BlobRef]) {
        self.erase(self.garbage.add(blob_keys(head, blobs), 0)).await;
    }

    /// Erases them together with others, later.
    pub(super) async fn erase_blobs_later(&self, head: &Key, blobs: &[BlobRef]) {
        self.erase(self.garbage.add(blob_keys(head, blobs), ENOUGH)).await;
    }

    /// Erases what waits.
    pub(crate) async fn erase_garbage(&self) {
        self.erase(self.garbage.add(Vec::new(), 0)).await;
    }

    async fn erase(&self, keys: Vec<Key>) {
        if !keys.is_empty() {
            // It is garbage whether or not it is erased now: what fails here is left to `sweep`.
            drop(self.storage.erase(&keys).await);
        }
    }
}

fn blob_keys(head: &Key, blobs: &[BlobRef]) -> Vec<Key> {
    blobs
        .iter()
        .flat_map(|blob| (0..blob.parts).map(move |part| (blob, part)))
        .filter_map(|(blob, part)| strongroom_crypto::blob_key(head, blob.seq, &blob.random, part))
        .collect()
}
