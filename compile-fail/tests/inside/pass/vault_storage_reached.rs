//! It says which store it is.

use strongroom_core::StoreId;

use crate::room::Inner;

pub(crate) fn store(inner: &Inner) -> StoreId {
    inner.vault.store()
}
