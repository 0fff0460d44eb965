//! A store that was closed is not used.

use futures_executor::block_on;
use strongroom_core::Principal;
use strongroom_testkit::TestRoom;

fn main() {
    let room = TestRoom::allowing_all().room();
    block_on(room.close()).unwrap();
    let _session = room.session(Principal::user("alice")); //~ E0382
}
