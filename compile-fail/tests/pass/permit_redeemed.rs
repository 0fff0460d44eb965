//! A host does with it what it is for.

use strongroom_core::{Password, Read};
use strongroom_engine::Permit;

async fn open(permit: Permit<Read>) {
    let _read = permit.read::<Password>().await;
}

fn main() {
    let _open = open;
}
