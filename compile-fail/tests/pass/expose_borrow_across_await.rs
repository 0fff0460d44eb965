//! A driver that must hold it gets a wiped copy of its own.

use secrecy::ExposeSecret;
use strongroom_core::SecretText;

async fn connect(_password: &str) {}

fn main() {
    let text = SecretText::from("s3cr3t");
    let copy = text.to_secrecy();
    drop(async move { connect(copy.expose_secret()).await });
}
