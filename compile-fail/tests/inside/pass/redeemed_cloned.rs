//! Its target is.

use strongroom_core::{SecretPath, Write};

use crate::permit::Redeemed;

pub(crate) fn copy(grant: Redeemed<Write>) -> (SecretPath, Redeemed<Write>) {
    (grant.target().clone(), grant)
}
