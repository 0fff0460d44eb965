//! Whoever needs two asks twice, and each is recorded.

use futures_executor::block_on;
use strongroom_core::{Principal, Read};
use strongroom_engine::Permit;
use strongroom_testkit::TestRoom;

fn main() {
    let kit = TestRoom::allowing_all();
    let session = kit.room().session(Principal::user("alice"));
    let one: Permit<Read> = block_on(session.authorize("prod/db")).unwrap();
    let two: Permit<Read> = block_on(session.authorize("prod/db")).unwrap();
    assert_ne!(one.receipt(), two.receipt());
}
