//! A configuration with a secret in it is not read by serde.

use serde::Deserialize;
use strongroom_core::SecretText;

#[derive(Deserialize)]
struct Configuration {
    password: SecretText,
}

fn main() {
    let read = serde_json::from_str::<Configuration>("{}");
    assert!(read.is_err_and(|error| error.is_data()));
}
