//! Its version is.

use strongroom_core::{Credential, Version};
use strongroom_engine::Versioned;

fn version(read: &Versioned<Credential>) -> Version {
    read.version
}

fn main() {
    let _version: fn(&Versioned<Credential>) -> Version = version;
}
