//! Text is no kind of secret: what is read stays wrapped.

use strongroom_engine::Session;

async fn read(session: Session) {
    let _password = session.get::<String>("prod/db").await; //~ E0277
}

fn main() {
    let _read = read;
}
