//! A tour: `cargo run --example quickstart [DIRECTORY]`.
//!
//! Makes a store, puts a credential, reads it, is refused for the wrong principal, replaces it by
//! compare-and-swap, rotates keys, looks for leaks from another process, tampers with a copy, and
//! verifies the log. Each line that is printed is something that just happened.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use strongroom::{
    Credential, Error as RoomError, FileLog, Passphrase, Policy, Principal, SqliteStorage,
    Strongroom, path,
};

const POLICY: &str = r#"
    [[rule]]
    id = "billing-owns-its-database"
    effect = "allow"
    principals = ["service:billing"]
    actions = ["read", "read-metadata", "write", "list", "create-namespace"]
    paths = ["prod", "prod/billing", "prod/billing/**"]

    [[rule]]
    id = "operations-keep-the-store"
    effect = "allow"
    principals = ["user:olga"]
    actions = ["rotate-keys", "rewrap", "backup", "verify"]
    paths = ["/", "prod"]
"#;

const PASSPHRASE: &str = "correct horse battery staple";
const VALUE: &str = "s3cr3t-of-the-tour-7f3a";
const LOOK_FOR_LEAKS: &str = "--look-for-leaks-in";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let given = arguments.next();
    if given.as_deref() == Some(LOOK_FOR_LEAKS) {
        return look_for_leaks(Path::new(&arguments.next().unwrap_or_default()));
    }
    let scratch = tempfile::tempdir()?;
    let dir = given.map_or_else(|| scratch.path().join("room"), PathBuf::from);
    let shown = dir.display();

    println!("1. A store, in {shown}");
    let room = open(&dir).await?;
    println!("   one file of encrypted records, one directory of audit log; store {}", room.id());

    println!("2. A secret goes in, and comes out");
    let billing = room.session(Principal::service("billing"));
    let db = path!("prod/billing/db");
    let first = billing.put(&db, Credential::new("billing_rw", VALUE)).await?;
    let read: Credential = billing.get(&db).await?;
    let length = read.password().expose(str::len);
    println!("   version {first}: {read:?}, a password of {length} bytes");

    println!("3. Nobody else gets it");
    match room.session(Principal::service("intern")).get::<Credential>(&db).await {
        Err(RoomError::Denied(denied)) => {
            println!("   the caller is told: {denied}");
            println!("   the operator reads: {}", denied.explain());
        }
        other => return Err(format!("the intern was not refused: {other:?}").into()),
    }

    println!("4. It is replaced only by who saw what is there");
    let second = billing.put_with(&db, Credential::new("billing_rw", VALUE), first).await?;
    println!("   expecting version {first}: done, version {second}");
    match billing.put_with(&db, Credential::new("billing_rw", "late"), first).await {
        Err(RoomError::Conflict(conflict)) => {
            println!("   expecting version {first} again: {conflict}")
        }
        other => return Err(format!("a lost update went through: {other:?}").into()),
    }

    println!("5. Keys are rotated while it is in use");
    let olga = room.session(Principal::user("olga"));
    olga.rotate_keys("prod").await?;
    let report = olga.rewrap("prod").await?;
    println!(
        "   {} heads under the new key, {} old keys destroyed, no value touched",
        report.rewrapped, report.epochs_destroyed
    );

    println!("6. The directory tells nothing");
    let found = Command::new(std::env::current_exe()?).arg(LOOK_FOR_LEAKS).arg(&dir).status()?;
    if !found.success() {
        return Err("a file of the store holds something in clear".into());
    }

    println!("7. Tampering is found");
    let copy = dir.with_extension("copy");
    if copy.exists() {
        std::fs::remove_dir_all(&copy)?;
    }
    olga.backup(&copy).await?;
    let older = std::fs::read(copy.join("secrets.db"))?;
    println!("   a copy was made while the store is in use");
    billing.put(&db, Credential::new("billing_rw", "newer")).await?;
    let newer = dir.with_extension("rolled-back");
    if newer.exists() {
        std::fs::remove_dir_all(&newer)?;
    }
    olga.backup(&newer).await?;
    // What an attacker with the disk would do: put the old database beside the new log.
    std::fs::write(newer.join("secrets.db"), older)?;
    let tampered = open(&newer).await?;
    let report = tampered.session(Principal::user("olga")).verify().await?;
    let finding = report.accusations().next().ok_or("the rollback was not found")?;
    println!("   the copy with yesterday's database: {finding}");
    tampered.close().await?;

    println!("8. The log proves itself");
    let report = olga.verify().await?;
    if let Some(finding) = report.accusations().next() {
        return Err(format!("an honest store is accused: {finding}").into());
    }
    println!(
        "   {} records in {} log, {} stored records, all of them current: nobody is accused",
        report.counts.lines, report.counts.logs, report.counts.current
    );
    room.close().await?;
    Ok(())
}

async fn open(dir: &Path) -> Result<Strongroom, Box<dyn Error>> {
    Ok(Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db"))?)
        .seal(Passphrase::new(PASSPHRASE)) // or a KMS, an HSM, Shamir shares
        .policy(Policy::from_toml(POLICY)?)
        .audit(FileLog::open(dir.join("audit"))?)
        .open_or_create()
        .await?)
}

/// Runs in a process of its own, which never knew a key: reads every byte of every file.
fn look_for_leaks(dir: &Path) -> Result<(), Box<dyn Error>> {
    let words = [VALUE, "billing", "intern", "olga"];
    let (mut files, mut pending) = (0, vec![dir.to_path_buf()]);
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path())?;
            files += 1;
            for word in words {
                if bytes.windows(word.len()).any(|window| window == word.as_bytes()) {
                    return Err(format!("{} holds {word:?}", entry.path().display()).into());
                }
            }
        }
    }
    println!("   another process read {files} files: no value, no name, no principal in them");
    Ok(())
}
