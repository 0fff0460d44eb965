//! What a permit holds is opened by the engine alone.

use strongroom_core::Read;
use strongroom_engine::Permit;

fn open(permit: Permit<Read>) {
    let _grant = permit.redeem(); //~ E0624
}

fn main() {
    let _open: fn(Permit<Read>) = open;
}
