//! It is under a permit.

use strongroom_core::{Password, Read};

use crate::error::Error;
use crate::permit::Redeemed;
use crate::room::Inner;
use crate::vault::Versioned;

pub(crate) async fn read(
    inner: &Inner,
    mut grant: Redeemed<Read>,
) -> Result<Versioned<Password>, Error> {
    inner.vault.read(&mut grant).await
}
