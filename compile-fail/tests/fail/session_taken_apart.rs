//! A session's caller is not exchanged.

use strongroom_core::Principal;
use strongroom_engine::Session;

fn become_root(session: &mut Session) {
    session.principal = Principal::user("root"); //~ E0616
}

fn main() {
    let _become_root: fn(&mut Session) = become_root;
}
