//! What was granted for one path is not turned to another.

use strongroom_core::{SecretPath, Write};

use crate::permit::Redeemed;

pub(crate) fn turn(grant: &mut Redeemed<Write>, elsewhere: SecretPath) {
    grant.target = elsewhere; //~ E0616
}
