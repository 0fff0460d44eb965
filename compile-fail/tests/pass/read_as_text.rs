//! A password is.

use strongroom_core::Password;
use strongroom_engine::Session;

async fn read(session: Session) {
    let _password = session.get::<Password>("prod/db").await;
}

fn main() {
    let _read = read;
}
