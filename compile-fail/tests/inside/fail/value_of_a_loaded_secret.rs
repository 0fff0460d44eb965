//! A secret that was loaded is not decrypted around its permit: nobody else gets at its versions,
//! which hold the keys of the values.

use strongroom_core::{Opaque, VersionSelector};

use crate::error::Error;
use crate::room::Inner;
use crate::vault::LoadedSecret;

pub(crate) fn decrypt(
    inner: &Inner,
    loaded: &LoadedSecret,
    which: VersionSelector,
) -> Result<(), Error> {
    inner.vault.readable_version::<Opaque>(loaded, which).map(drop) //~ E0624
}
