//! Nobody opens a permit without asking whether it still holds.

use strongroom_core::Read;

use crate::permit::{Permit, Redeemed};

pub(crate) fn open(permit: Permit<Read>) -> Redeemed<Read> {
    let Permit { grant, .. } = permit; //~ E0451
    grant
}
