//! Leave to write is.

use futures_executor::block_on;
use strongroom_core::{Password, Principal, Version, Write};
use strongroom_engine::{Error, Permit, WriteOptions};
use strongroom_testkit::TestRoom;

async fn write(permit: Permit<Write>) -> Result<Version, Error> {
    permit.write(Password::new("s3cr3t"), WriteOptions::new()).await
}

fn main() {
    let kit = TestRoom::allowing_all();
    let session = kit.room().session(Principal::user("alice"));
    block_on(session.create_namespace("prod")).unwrap();
    let permit = block_on(session.authorize("prod/db")).unwrap();
    assert_eq!(block_on(write(permit)).unwrap(), Version::FIRST);
}
