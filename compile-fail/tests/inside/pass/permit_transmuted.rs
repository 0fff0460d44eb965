//! The other is asked for.

use std::sync::Arc;

use strongroom_core::{Delete, Destroy};

use crate::error::Error;
use crate::permit::{Asker, Permit, authorize};
use crate::room::Inner;

pub(crate) async fn ask(
    permit: Permit<Delete>,
    inner: Arc<Inner>,
    asker: Asker,
) -> Result<Permit<Destroy>, Error> {
    authorize::<Destroy>(&inner, &asker, permit.target().clone()).await
}
