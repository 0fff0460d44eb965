//! What it says is read through its methods.

use strongroom_core::{Read, Receipt};
use strongroom_engine::Permit;

fn record(permit: &Permit<Read>) -> Receipt {
    *permit.receipt()
}

fn main() {
    let _record: fn(&Permit<Read>) -> Receipt = record;
}
