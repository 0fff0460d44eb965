//! A configuration with a secret in it is not read by serde.

use serde::Deserialize;
use strongroom_core::SecretText;

#[derive(Deserialize)] //~ E0277
struct Configuration {
    password: SecretText, //~ E0277
}

fn main() {
    let read = serde_json::from_str::<Configuration>("{}");
    assert!(read.is_err_and(|error| error.is_data()));
}
