//! What policies may know of it can be seen.

use strongroom_core::SecretFacts;

use crate::vault::LoadedSecret;

pub(crate) fn see(loaded: &LoadedSecret) -> Option<SecretFacts> {
    loaded.facts()
}
