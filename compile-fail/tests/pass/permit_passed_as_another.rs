//! It takes what it asks for.

use strongroom_core::Destroy;
use strongroom_engine::Permit;

fn destroy(_permit: Permit<Destroy>) {}

fn main() {
    let _destroy: fn(Permit<Destroy>) = |permit| destroy(permit);
}
