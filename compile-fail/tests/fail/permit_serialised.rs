//! A permit is not sent elsewhere.

use strongroom_core::Read;
use strongroom_engine::Permit;

fn send(permit: &Permit<Read>) -> String {
    serde_json::to_string(permit).unwrap() //~ E0277
}

fn main() {
    let _send: fn(&Permit<Read>) -> String = send;
}
