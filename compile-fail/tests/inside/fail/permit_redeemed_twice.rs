//! A permit is opened once.

use strongroom_core::Write;

use crate::error::Error;
use crate::permit::{Permit, Redeemed};

pub(crate) fn twice(permit: Permit<Write>) -> Result<[Redeemed<Write>; 2], Error> {
    Ok([permit.redeem()?, permit.redeem()?]) //~ E0382
}
