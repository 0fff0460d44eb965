//! What is granted was recorded.

use std::sync::Arc;

use strongroom_core::{Read, Receipt, SecretRef};

use crate::error::Error;
use crate::permit::{Asker, Permit, authorize};
use crate::room::Inner;

pub(crate) async fn with_the_log(
    inner: Arc<Inner>,
    asker: Asker,
    target: SecretRef,
) -> Result<(Permit<Read>, Receipt), Error> {
    let permit = authorize::<Read>(&inner, &asker, target).await?;
    let receipt = *permit.receipt();
    Ok((permit, receipt))
}
