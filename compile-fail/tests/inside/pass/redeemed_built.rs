//! It opens one that was granted.

use strongroom_core::Read;

use crate::error::Error;
use crate::permit::{Permit, Redeemed};

pub(crate) fn open(permit: Permit<Read>) -> Result<Redeemed<Read>, Error> {
    permit.redeem()
}
