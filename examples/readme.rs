//! The front page of the README, as it stands there.
#![expect(clippy::print_stdout, clippy::panic, reason = "an example shows what it does")]

use strongroom::{
    Credential, Error, FileLog, Passphrase, Policy, Principal, SqliteStorage, Strongroom,
};

const POLICY: &str = r#"
    [[rule]]
    id = "billing-owns-its-database"
    effect = "allow"
    principals = ["service:billing"]
    actions = ["read", "write", "create-namespace"]
    paths = ["prod", "prod/billing/**"]
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let room = Strongroom::builder()
        .storage(SqliteStorage::open("room/secrets.db")?)
        .seal(Passphrase::new("correct horse battery staple"))
        .policy(Policy::from_toml(POLICY)?)
        .audit(FileLog::open("room/audit")?)
        .open_or_create()
        .await?;

    // Who asks? Your own authentication says so: a verified JWT, a SPIFFE id, a peer certificate.
    let billing = room.session(Principal::service("billing"));
    billing.put("prod/billing/db", Credential::new("billing_rw", "s3cr3t")).await?;
    let db: Credential = billing.get("prod/billing/db").await?;
    let length = db.password().expose(str::len); // lent to the closure, never handed out
    println!("{db:?}, {length} bytes, read by {}", billing.principal().id());

    // Anyone else is refused, with a reason for you and a reference for them.
    match room.session(Principal::service("intern")).get::<Credential>("prod/billing/db").await {
        Err(Error::Denied(denied)) => println!("{denied}; {}", denied.explain()),
        other => panic!("expected a refusal, got {other:?}"),
    }
    room.close().await?;
    Ok(())
}
