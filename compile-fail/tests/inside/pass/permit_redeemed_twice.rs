//! Two are opened once each.

use strongroom_core::Write;

use crate::error::Error;
use crate::permit::{Permit, Redeemed};

pub(crate) fn both(one: Permit<Write>, two: Permit<Write>) -> Result<[Redeemed<Write>; 2], Error> {
    Ok([one.redeem()?, two.redeem()?])
}
