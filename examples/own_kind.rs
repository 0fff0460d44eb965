//! A host's own kind of secret: `cargo run --example own_kind`.
//!
//! Says which part of it is secret and which only identifies it. A secret among the identifiers
//! would not compile.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use serde::{Deserialize, Serialize};
use strongroom::{
    KindError, KindName, Principal, SecretFields, SecretKind, SecretText, SecretValue,
};
use strongroom_testkit::TestRoom;

/// An OAuth client: two secrets, and an id that everybody may know.
struct OAuthClient {
    client_id: String,
    client_secret: SecretText,
    refresh_token: SecretText,
}

#[derive(Serialize, Deserialize)]
struct ClientId {
    client_id: String,
}

impl SecretKind for OAuthClient {
    const KIND: KindName = KindName::new("acme.oauth-client");
    type Identifiers = ClientId;

    fn into_parts(self) -> (ClientId, SecretValue) {
        let fields = SecretFields::new()
            .with("client_secret", &self.client_secret)
            .with("refresh_token", &self.refresh_token);
        (ClientId { client_id: self.client_id }, fields.into_value())
    }

    fn from_parts(ids: ClientId, value: SecretValue) -> Result<Self, KindError> {
        let field = |name| SecretFields::field(&value, name).ok_or(KindError::Part(name));
        Ok(Self {
            client_id: ids.client_id,
            client_secret: field("client_secret")?,
            refresh_token: field("refresh_token")?,
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kit = TestRoom::allowing_all(); // a store in memory: no files, a clock that we hold
    let alice = kit.room().session(Principal::user("alice"));
    let client = OAuthClient {
        client_id: "client-7".into(),
        client_secret: "s3cr3t".into(),
        refresh_token: "r-1".into(),
    };
    alice.put("prod/oauth/acme", client).await?;

    let ids = alice.identifiers::<OAuthClient>("prod/oauth/acme").await?;
    println!("known without a value: {}", ids.client_id);
    let client: OAuthClient = alice.get("prod/oauth/acme").await?;
    println!(
        "{}: {} and {} bytes of secrets",
        client.client_id,
        client.client_secret.len(),
        client.refresh_token.len()
    );
    Ok(())
}
