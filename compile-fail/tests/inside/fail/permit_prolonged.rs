//! A permit's life is not made longer.

use strongroom_core::{Monotonic, Read};

use crate::permit::Permit;

pub(crate) fn prolong(permit: &mut Permit<Read>, until: Monotonic) {
    permit.expires = until; //~ E0616
}
