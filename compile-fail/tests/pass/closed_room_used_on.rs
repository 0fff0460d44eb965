//! Before, it may be.

use futures_executor::block_on;
use strongroom_core::Principal;
use strongroom_testkit::TestRoom;

fn main() {
    let room = TestRoom::allowing_all().room();
    let _session = room.session(Principal::user("alice"));
    block_on(room.close()).unwrap();
}
