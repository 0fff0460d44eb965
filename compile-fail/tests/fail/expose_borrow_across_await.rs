//! What is lent to the closure is not held across an await.

use strongroom_core::SecretText;

async fn connect(_password: &str) {}

fn main() {
    let text = SecretText::from("s3cr3t");
    drop(async move { text.expose(|password| connect(password)).await }); //~ none
}
