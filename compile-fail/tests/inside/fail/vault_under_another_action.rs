//! Under leave to read nothing is written.

use strongroom_core::{Expected, Read, Version};

use crate::error::Error;
use crate::permit::Redeemed;
use crate::vault::{Content, Step};

pub(crate) async fn write(
    mut grant: Redeemed<Read>,
    content: Content,
) -> Result<Step<Version>, Error> {
    let inner = grant.inner().clone();
    inner.vault.put(&mut grant, &content, Expected::Any).await //~ E0308
}
