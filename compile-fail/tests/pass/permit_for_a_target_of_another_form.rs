//! Leave to read may be for a version.

use strongroom_core::{Read, SecretRef};
use strongroom_engine::Session;

async fn read(session: Session, version: SecretRef) {
    let _permit = session.authorize::<Read>(version).await;
}

fn main() {
    let _read = read;
}
