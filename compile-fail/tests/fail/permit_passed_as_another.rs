//! A function that asks for leave to destroy does not take leave to delete.

use strongroom_core::{Delete, Destroy};
use strongroom_engine::Permit;

fn destroy(_permit: Permit<Destroy>) {}

fn delete(permit: Permit<Delete>) {
    destroy(permit); //~ E0308
}

fn main() {
    let _delete: fn(Permit<Delete>) = delete;
}
