//! Once it may be.

use futures_executor::block_on;
use strongroom_core::{Password, Principal, Read};
use strongroom_engine::{Error, Permit};
use strongroom_testkit::TestRoom;

async fn read(permit: Permit<Read>) -> Result<Password, Error> {
    Ok(permit.read::<Password>().await?.secret)
}

fn main() {
    let kit = TestRoom::allowing_all();
    let session = kit.room().session(Principal::user("alice"));
    block_on(session.put("prod/db", Password::new("s3cr3t"))).unwrap();
    let permit = block_on(session.authorize("prod/db")).unwrap();
    assert_eq!(block_on(read(permit)).unwrap().password().len(), 6);
}
