//! No other module of the engine writes a permit down.

use strongroom_core::{Monotonic, Read};

use crate::permit::{Permit, Redeemed};

pub(crate) fn forge(grant: Redeemed<Read>, expires: Monotonic) -> Permit<Read> {
    Permit { grant, expires, policy_revision: 0 } //~ E0451
}
