//! Leave to do a thing once is not leave to do it twice.

use strongroom_core::Read;
use strongroom_engine::Permit;

fn copy(permit: Permit<Read>) -> (Permit<Read>, Permit<Read>) {
    let again = permit.clone(); //~ E0599
    (permit, again)
}

fn main() {
    let _copy: fn(Permit<Read>) -> (Permit<Read>, Permit<Read>) = copy;
}
