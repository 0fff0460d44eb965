//! Who asks is asserted in code.

use strongroom_core::Principal;

fn main() {
    let _who = Principal::user("alice").with_role("reader");
}
