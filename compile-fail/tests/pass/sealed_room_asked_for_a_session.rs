//! It is unsealed first.

use futures_executor::block_on;
use strongroom_core::Principal;
use strongroom_testkit::TestRoom;

fn main() {
    let kit = TestRoom::allowing_all();
    let sealed = kit.room().seal();
    let room = block_on(sealed.unseal(kit.seal.clone())).map_err(|(_, error)| error).unwrap();
    let _session = room.session(Principal::user("alice"));
}
