//! A secret that was loaded is not decrypted around its permit.

use strongroom_core::{SecretValue, Version};

use crate::error::Error;
use crate::room::Inner;
use crate::vault::LoadedSecret;

pub(crate) async fn decrypt(
    inner: &Inner,
    loaded: LoadedSecret,
    version: Version,
) -> Result<SecretValue, Error> {
    inner.vault.value_of(&loaded, version).await //~ E0624
}
