//! It asks as a session does.

use std::sync::Arc;

use strongroom_core::{Read, SecretRef};

use crate::error::Error;
use crate::permit::{Asker, Permit, authorize};
use crate::room::Inner;

pub(crate) async fn ask(
    inner: Arc<Inner>,
    asker: Asker,
    target: SecretRef,
) -> Result<Permit<Read>, Error> {
    authorize::<Read>(&inner, &asker, target).await
}
