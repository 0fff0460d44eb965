//! The clock is for everybody.

use strongroom_core::Timestamp;

use crate::room::Inner;

pub(crate) fn now(inner: &Inner) -> Timestamp {
    inner.clock.now()
}
