//! A configuration names its secret by path.

use serde::Deserialize;
use strongroom_core::SecretPath;

#[derive(Deserialize)]
struct Configuration {
    password: String,
}

fn main() {
    let read = serde_json::from_str::<Configuration>("{\"password\":\"prod/db\"}");
    let path = read.map(|configuration| SecretPath::try_from(configuration.password));
    assert!(path.is_ok_and(|path| path.is_ok()));
}
