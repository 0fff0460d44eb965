//! A permit is not copied inside either.

use strongroom_core::Read;

use crate::permit::Permit;

pub(crate) fn copy(permit: &Permit<Read>) -> Permit<Read> {
    permit.clone() //~ E0308
}
