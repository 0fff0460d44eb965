//! Nor is the storage reached by the parts of which a store is opened.

use std::sync::Arc;

use strongroom_core::Storage;

use crate::room::Inner;

pub(crate) fn take(inner: &Inner) -> Arc<dyn Storage> {
    inner.parts.storage.clone() //~ E0616
}
