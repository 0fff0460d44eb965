//! What was read is not lent for longer than the closure, inside a future either.

use strongroom_core::Password;
use strongroom_engine::{Error, Session};

async fn connect(_password: &str) {}

async fn open(session: Session) -> Result<(), Error> {
    let secret: Password = session.get("prod/db").await?;
    let mut lent = "";
    secret.password().expose(|text| lent = text); //~ E0521
    connect(lent).await;
    Ok(())
}

fn main() {
    let _open = open;
}
