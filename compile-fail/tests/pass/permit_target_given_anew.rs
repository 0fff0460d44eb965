//! The target is named where leave is asked for.

use futures_executor::block_on;
use strongroom_core::{Password, Principal, Read, path};
use strongroom_testkit::TestRoom;

fn main() {
    let kit = TestRoom::allowing_all();
    let session = kit.room().session(Principal::user("alice"));
    let there = path!("prod/elsewhere");
    block_on(session.put(&there, Password::new("s3cr3t"))).unwrap();
    let permit = block_on(session.authorize::<Read>(&there)).unwrap();
    assert!(block_on(permit.read::<Password>()).is_ok());
}
