//! A driver that must hold it gets a wiped copy of its own.

use secrecy::ExposeSecret;
use strongroom_core::Password;
use strongroom_engine::{Error, Session};

async fn connect(_password: &str) {}

async fn open(session: Session) -> Result<(), Error> {
    let secret: Password = session.get("prod/db").await?;
    let copy = secret.password().to_secrecy();
    connect(copy.expose_secret()).await;
    Ok(())
}

fn main() {
    let _open = open;
}
