//! It is asked for.

use futures_executor::block_on;
use strongroom_core::{Principal, Write};
use strongroom_engine::Permit;
use strongroom_testkit::TestRoom;

fn main() {
    let kit = TestRoom::allowing_all();
    let session = kit.room().session(Principal::user("alice"));
    let granted: Permit<Write> = block_on(session.authorize("prod/db")).unwrap();
    assert_eq!(granted.target().to_string(), "prod/db");
}
