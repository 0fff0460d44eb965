//! Nor is an opened one.

use strongroom_core::Write;

use crate::permit::Redeemed;

pub(crate) fn copy(grant: Redeemed<Write>) -> (Redeemed<Write>, Redeemed<Write>) {
    (grant.clone(), grant) //~ E0599
}
