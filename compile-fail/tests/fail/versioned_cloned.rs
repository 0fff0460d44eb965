//! What was read is not copied with its secret.

use strongroom_core::Credential;
use strongroom_engine::Versioned;

fn copy(read: Versioned<Credential>) -> Versioned<Credential> {
    read.clone() //~ E0599
}

fn main() {
    let _copy: fn(Versioned<Credential>) -> Versioned<Credential> = copy;
}
