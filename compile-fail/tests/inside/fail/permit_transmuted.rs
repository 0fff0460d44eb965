//! The engine has no `unsafe` to turn one permit into another.

use strongroom_core::{Delete, Destroy};

use crate::permit::Permit;

pub(crate) fn turn(permit: Permit<Delete>) -> Permit<Destroy> {
    unsafe { std::mem::transmute(permit) } //~ unsafe_code
}
