//! Nor is it taken apart.

use strongroom_core::Read;
use strongroom_engine::Permit;

fn open(permit: Permit<Read>) {
    let _grant = permit.grant; //~ E0616
}

fn main() {
    let _open: fn(Permit<Read>) = open;
}
