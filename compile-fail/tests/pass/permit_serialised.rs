//! The number of its record may be.

use strongroom_core::Read;
use strongroom_engine::Permit;

fn send(permit: &Permit<Read>) -> String {
    serde_json::to_string(&permit.receipt().to_string()).unwrap()
}

fn main() {
    let _send: fn(&Permit<Read>) -> String = send;
}
