//! Who asks does not arrive in a request body.

use strongroom_core::Principal;

fn main() {
    let _who: Result<Principal, _> = serde_json::from_str("{\"id\":\"user:root\"}"); //~ E0277
}
