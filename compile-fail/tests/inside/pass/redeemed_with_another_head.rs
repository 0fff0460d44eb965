//! What was loaded for it is taken out.

use strongroom_core::Read;

use crate::permit::Redeemed;
use crate::vault::LoadedSecret;

pub(crate) fn take(grant: &mut Redeemed<Read>) -> Option<LoadedSecret> {
    grant.take_loaded()
}
