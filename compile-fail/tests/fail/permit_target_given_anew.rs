//! Nor does what acts under a permit take a target of its own.

use strongroom_core::{Password, Read, path};
use strongroom_engine::Permit;

async fn read(permit: Permit<Read>) {
    let _read = permit.read::<Password>(path!("prod/elsewhere")).await; //~ E0061
}

fn main() {
    let _read = read;
}
