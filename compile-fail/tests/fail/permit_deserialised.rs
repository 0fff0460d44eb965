//! No permit comes out of a document.

use strongroom_core::Read;
use strongroom_engine::Permit;

fn main() {
    let _permit: Result<Permit<Read>, _> = serde_json::from_str("{}"); //~ E0277
}
