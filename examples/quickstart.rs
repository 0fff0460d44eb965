//! A tour: `cargo run --example quickstart [DIRECTORY]`.
//!
//! Makes a store, puts a credential, reads it, is refused for the wrong principal, replaces it by
//! compare-and-swap, rotates keys, looks for leaks from another process, tampers with a copy, and
//! verifies the log. Each line that is printed is something that just happened. Without a directory
//! it works in one that is removed at the end; nothing is written outside of these.
#![expect(clippy::print_stderr, reason = "an example says what went wrong")]

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

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
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [LOOK_FOR_LEAKS, dir] => look_for_leaks(Path::new(dir)),
        [] => tour(None, &mut io::stdout()).await,
        [dir] if !dir.is_empty() && !dir.starts_with('-') => {
            tour(Some(PathBuf::from(dir)), &mut io::stdout()).await
        }
        _ => Err("usage: quickstart [DIRECTORY]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the tour has seen enough, as `head` has.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", in_full(&*error));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(|e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe)
}

/// An error and what caused it. An error's own text leaves its causes to `source`.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

async fn tour(given: Option<PathBuf>, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let dir = given.unwrap_or_else(|| scratch.path().join("room"));
    let shown = dir.display();

    writeln!(out, "1. A store, in {shown}")?;
    let room = open(&dir).await?;
    writeln!(
        out,
        "   one file of encrypted records, one directory of audit log; store {}",
        room.id()
    )?;

    writeln!(out, "2. A secret goes in, and comes out")?;
    let billing = room.session(Principal::service("billing"));
    let db = path!("prod/billing/db");
    let first = billing.put(&db, Credential::new("billing_rw", VALUE)).await?;
    let read: Credential = billing.get(&db).await?;
    let length = read.password().expose(str::len);
    writeln!(out, "   version {first}: {read:?}, a password of {length} bytes")?;

    writeln!(out, "3. Nobody else gets it")?;
    match room.session(Principal::service("intern")).get::<Credential>(&db).await {
        Err(RoomError::Denied(denied)) => {
            writeln!(out, "   the caller is told: {denied}")?;
            writeln!(out, "   the operator reads: {}", denied.explain())?;
        }
        other => return Err(format!("the intern was not refused: {other:?}").into()),
    }

    writeln!(out, "4. It is replaced only by who saw what is there")?;
    let second = billing.put_with(&db, Credential::new("billing_rw", VALUE), first).await?;
    writeln!(out, "   expecting version {first}: done, version {second}")?;
    match billing.put_with(&db, Credential::new("billing_rw", "late"), first).await {
        Err(RoomError::Conflict(conflict)) => {
            writeln!(out, "   expecting version {first} again: {conflict}")?;
        }
        other => return Err(format!("a lost update went through: {other:?}").into()),
    }

    writeln!(out, "5. Keys are rotated while it is in use")?;
    let olga = room.session(Principal::user("olga"));
    olga.rotate_keys("prod").await?;
    let report = olga.rewrap("prod").await?;
    writeln!(
        out,
        "   secrets moved under the new key: {}; old keys destroyed: {}; no value was touched",
        report.rewrapped, report.epochs_destroyed
    )?;

    writeln!(out, "6. The directory tells nothing")?;
    let found = Command::new(std::env::current_exe()?).arg(LOOK_FOR_LEAKS).arg(&dir).status()?;
    if !found.success() {
        return Err("a file of the store holds something in clear".into());
    }

    writeln!(out, "7. Tampering is found")?;
    let copy = scratch.path().join("copy");
    olga.backup(&copy).await?;
    let older = std::fs::read(copy.join("secrets.db"))?;
    writeln!(out, "   a copy was made while the store was in use")?;
    billing.put(&db, Credential::new("billing_rw", "newer")).await?;
    let newer = scratch.path().join("rolled-back");
    olga.backup(&newer).await?;
    // What an attacker with the disk would do: put the old database beside the new log.
    std::fs::write(newer.join("secrets.db"), older)?;
    let tampered = open(&newer).await?;
    let report = tampered.session(Principal::user("olga")).verify().await?;
    let finding = report.accusations().next().ok_or("the rollback was not found")?;
    writeln!(
        out,
        "   a newer copy with this older database is opened, and `verify` says:\n   {finding}"
    )?;
    tampered.close().await?;

    writeln!(out, "8. The store is held against its log")?;
    let report = olga.verify().await?;
    if let Some(finding) = report.accusations().next() {
        return Err(format!("an honest store is accused: {finding}").into());
    }
    writeln!(
        out,
        "   log records: {}, in logs: {}; stored records: {}, all of them current; nobody is accused",
        report.counts.lines, report.counts.logs, report.counts.current
    )?;
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
    let mut out = io::stdout();
    writeln!(
        out,
        "   another process read {files} files: no value, no name, no principal in them"
    )?;
    Ok(())
}
