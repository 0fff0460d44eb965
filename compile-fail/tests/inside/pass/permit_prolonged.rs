//! Leave is asked for anew.

use std::sync::Arc;

use strongroom_core::Read;

use crate::error::Error;
use crate::permit::{Asker, Permit, authorize};
use crate::room::Inner;

pub(crate) async fn renew(
    permit: Permit<Read>,
    inner: Arc<Inner>,
    asker: Asker,
) -> Result<Permit<Read>, Error> {
    authorize::<Read>(&inner, &asker, permit.target().clone()).await
}
