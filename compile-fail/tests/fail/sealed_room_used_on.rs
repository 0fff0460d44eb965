//! Whoever seals a store keeps no open one.

use strongroom_core::Principal;
use strongroom_testkit::TestRoom;

fn main() {
    let room = TestRoom::allowing_all().room();
    let _sealed = room.seal();
    let _session = room.session(Principal::user("alice")); //~ E0382
}
