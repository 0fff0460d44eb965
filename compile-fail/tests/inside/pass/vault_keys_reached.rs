//! It says whether it has them.

use crate::room::Inner;

pub(crate) fn has(inner: &Inner) -> bool {
    inner.vault.is_open()
}
