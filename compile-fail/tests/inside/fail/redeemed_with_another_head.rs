//! Nor is another secret put into it.

use strongroom_core::Read;

use crate::permit::Redeemed;
use crate::vault::LoadedSecret;

pub(crate) fn exchange(grant: &mut Redeemed<Read>, other: LoadedSecret) {
    grant.loaded = Some(other); //~ E0616
}
