//! Leave to write is for a path; a version is never overwritten.

use strongroom_core::{SecretRef, Write};
use strongroom_engine::Session;

async fn write(session: Session, version: SecretRef) {
    let _permit = session.authorize::<Write>(version).await; //~ E0277
}

fn main() {
    let _write = write;
}
