//! Nothing is read by its path alone.

use strongroom_core::{Password, SecretRef};

use crate::error::Error;
use crate::room::Inner;
use crate::vault::Versioned;

pub(crate) async fn read(inner: &Inner, secret: SecretRef) -> Result<Versioned<Password>, Error> {
    inner.vault.read(&mut secret.clone()).await //~ E0308
}
