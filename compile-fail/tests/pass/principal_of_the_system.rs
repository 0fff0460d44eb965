//! A service of that name is another principal.

use strongroom_core::Principal;

fn main() {
    let _who = Principal::service("strongroom");
}
