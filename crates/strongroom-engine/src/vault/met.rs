//! Heads that a scan meets, while others replace heads and keys.

use strongroom_core::{Entry, Key, Namespace};
use strongroom_crypto::{HeadRef, KeyClass};
use zeroize::Zeroizing;

use super::Vault;
use super::keys::OpenNamespace;
use super::load::parsed;
use crate::error::{Error, Unavailable};

/// How often a head that keeps being replaced is read anew.
const ATTEMPTS: usize = 16;

/// A head, decrypted.
pub(super) struct Met {
    pub(super) plaintext: Zeroizing<Vec<u8>>,
    /// Whether it is a later head than the one that was met.
    pub(super) is_later: bool,
}

impl Met {
    pub(super) fn view(&self) -> Result<HeadRef<'_>, Error> {
        parsed(&self.plaintext)
    }
}

impl Vault {
    /// Opens a head that a scan met. Since then it may have been rewrapped and its key destroyed:
    /// one that does not open is read anew. `None`: it is gone, or its namespace is, perhaps with
    /// another of its name in its place, which is the one that is given.
    pub(super) async fn open_met(
        &self,
        namespace: &OpenNamespace,
        key: &Key,
        record: &[u8],
    ) -> Result<Option<Met>, Error> {
        if !lies_in(key, namespace) {
            return Ok(None);
        }
        if let Ok(plaintext) = self.decrypt_head(namespace, key, record) {
            return Ok(Some(Met { plaintext, is_later: false }));
        }
        let keys = self.keys.get()?;
        let Some(mut entry) = self.head_now(key).await? else { return Ok(None) };
        for _ in 0..ATTEMPTS {
            let Some(now) = self.namespace_now(&keys, &namespace.record.name).await? else {
                return Ok(None);
            };
            if !lies_in(key, &now) {
                return Ok(None);
            }
            let failed = match self.decrypt_head(&now, key, &entry.value) {
                Ok(plaintext) => {
                    return Ok(Some(Met { plaintext, is_later: entry.value != record }));
                }
                Err(failed) => failed,
            };
            // INVARIANT: the keys of a head that is in force are in the namespace record that is.
            // So only a head that was there before and after the look at the keys does not open.
            match self.head_now(key).await? {
                None => return Ok(None),
                Some(again) if again.revision == entry.revision => return Err(failed),
                Some(again) => entry = again,
            }
        }
        Err(Unavailable::StalePermit.into())
    }

    /// Whether the namespace of that head lives, by a look at storage. Where a batch is one
    /// operation, a head may land when its namespace is gone, and its blobs with it.
    ///
    /// INVARIANT: called after what is missed was read.
    pub(super) async fn still_lives(&self, head: &Key, name: &Namespace) -> Result<bool, Error> {
        let namespace = self.namespace_now(&self.keys.get()?, name).await?;
        Ok(namespace.is_some_and(|namespace| lies_in(head, &namespace)))
    }

    async fn head_now(&self, key: &Key) -> Result<Option<Entry>, Error> {
        Ok(self.storage.read(std::slice::from_ref(key)).await?.pop().flatten())
    }
}

/// Whether a head of that key is of this namespace, not of an earlier one of its name.
fn lies_in(head: &Key, namespace: &OpenNamespace) -> bool {
    match (KeyClass::parse(head.as_bytes()), namespace.parts()) {
        (Some(KeyClass::Head { namespace, .. }), Some((id, _, _))) => namespace == id,
        _ => false,
    }
}
