//! A store is not opened around its builder.

use strongroom_engine::Strongroom;

fn main() {
    let _room = Strongroom(todo!()); //~ E0423
}
