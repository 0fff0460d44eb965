//! Its target is.

use strongroom_core::{Read, SecretRef};

use crate::permit::Permit;

pub(crate) fn copy(permit: &Permit<Read>) -> SecretRef {
    permit.target().clone()
}
