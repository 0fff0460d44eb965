//! Before, it may be used.

use strongroom_core::Principal;
use strongroom_testkit::TestRoom;

fn main() {
    let room = TestRoom::allowing_all().room();
    let _session = room.session(Principal::user("alice"));
    let _sealed = room.seal();
}
