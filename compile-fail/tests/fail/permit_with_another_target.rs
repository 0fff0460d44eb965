//! A permit keeps its target.

use strongroom_core::{SecretPath, Write};
use strongroom_engine::Permit;

fn turn(permit: &mut Permit<Write>, elsewhere: SecretPath) {
    *permit.target() = elsewhere; //~ E0594
}

fn main() {
    let _turn: fn(&mut Permit<Write>, SecretPath) = turn;
}
