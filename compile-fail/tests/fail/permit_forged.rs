//! A permit is not written down.

use strongroom_core::{SecretPath, Write};
use strongroom_engine::Permit;

fn forge(granted: Permit<Write>) -> Permit<Write> {
    let _target: &SecretPath = granted.target();
    Permit { policy_revision: 0, ..granted } //~ E0451 
}

fn main() {
    let _forge: fn(Permit<Write>) -> Permit<Write> = forge;
}
