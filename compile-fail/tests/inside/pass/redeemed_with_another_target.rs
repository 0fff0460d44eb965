//! The target can be looked at.

use strongroom_core::{SecretPath, Write};

use crate::permit::Redeemed;

pub(crate) fn is_about(grant: &Redeemed<Write>, path: &SecretPath) -> bool {
    grant.target() == path
}
