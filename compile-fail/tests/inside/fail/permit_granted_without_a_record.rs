//! Nobody grants a permit beside the one place that records it.

use std::sync::Arc;

use strongroom_core::{Read, Receipt, SecretRef};

use crate::error::Error;
use crate::permit::{Asker, Permit, grant, prepare}; //~ E0603
use crate::room::Inner;

pub(crate) async fn skip_the_log(
    inner: Arc<Inner>,
    asker: Asker,
    target: SecretRef,
    receipt: Receipt,
) -> Result<Permit<Read>, Error> {
    let decided = prepare::<Read>(&inner, &asker, target).await?;
    grant(&inner, &asker, decided, receipt)
}
