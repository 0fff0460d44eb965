//! It is opened by one.

use strongroom_engine::Strongroom;
use strongroom_testkit::TestRoom;

fn main() {
    let room: Strongroom = TestRoom::allowing_all().room();
    assert!(room.is_open());
}
