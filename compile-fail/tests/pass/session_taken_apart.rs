//! Another caller has another session.

use strongroom_core::Principal;
use strongroom_engine::{Session, Strongroom};

fn for_root(room: &Strongroom) -> Session {
    room.session(Principal::user("root"))
}

fn main() {
    let _for_root: fn(&Strongroom) -> Session = for_root;
}
