//! A credential comes out of no document.

use strongroom_core::Credential;

fn main() {
    let _read: Result<Credential, _> = serde_json::from_str("{}"); //~ E0277
}
