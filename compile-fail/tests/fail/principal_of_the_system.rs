//! No host can speak as strongroom itself.

use strongroom_core::Principal;

fn main() {
    let _who = Principal::system("strongroom"); //~ E0599
}
