//! Which can be looked at.

use strongroom_core::{SecretPath, Write};
use strongroom_engine::Permit;

fn is_about(permit: &Permit<Write>, path: &SecretPath) -> bool {
    permit.target() == path
}

fn main() {
    let _is_about: fn(&Permit<Write>, &SecretPath) -> bool = is_about;
}
