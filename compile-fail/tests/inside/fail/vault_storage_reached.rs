//! So does the storage.

use strongroom_core::{Entry, Key, StorageError};

use crate::room::Inner;

pub(crate) async fn read(inner: &Inner, key: Key) -> Result<Vec<Option<Entry>>, StorageError> {
    inner.vault.storage.read(&[key]).await //~ E0616
}
