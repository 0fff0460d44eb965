//! Under leave to write it is.

use strongroom_core::{Expected, Version, Write};

use crate::error::Error;
use crate::permit::Redeemed;
use crate::vault::{Content, Step};

pub(crate) async fn write(
    mut grant: Redeemed<Write>,
    content: Content,
) -> Result<Step<Version>, Error> {
    let inner = grant.inner().clone();
    inner.vault.put(&mut grant, &content, Expected::Any).await
}
