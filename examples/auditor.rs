//! A store's log for those who watch it: `cargo run --example auditor key|read DIRECTORY`.
//!
//! `key` opens the store in the directory with the passphrase in `ROOM_PASSPHRASE` and writes its
//! auditor's key to standard output. `read` needs that key in `ROOM_AUDITOR_KEY` and nothing else:
//! it verifies the logs in the directory, and writes them in clear, a JSON object a line. What it
//! noticed goes to standard error, and accusations make it fail.
#![expect(clippy::print_stderr, reason = "an example says what went wrong")]

use std::error::Error;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use strongroom::audit::export_in_clear;
use strongroom::{
    AuditorKey, FileLog, Passphrase, Policy, Principal, SecretText, SqliteStorage, Strongroom,
    verify_logs,
};

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    eprint!("{error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        eprint!(": {next}");
        cause = next.source();
    }
    eprintln!();
    ExitCode::FAILURE
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["key", dir] => key(Path::new(dir)),
        ["read", dir] => read(Path::new(dir)),
        _ => Err("usage: auditor key DIRECTORY | read DIRECTORY".into()),
    }
}

fn key(dir: &Path) -> Result<(), Box<dyn Error>> {
    let passphrase = variable("ROOM_PASSPHRASE", "the passphrase of the store")?;
    let owner = Principal::user("owner");
    let room = Strongroom::builder()
        .storage(SqliteStorage::open_inline(dir.join("secrets.db"))?)
        .seal(Passphrase::new(passphrase))
        .policy(Policy::owned_by(&owner))
        .audit(FileLog::open_inline(dir.join("audit"))?)
        .blocking()
        .open()?;
    let key = room.session(owner).auditor_key()?;
    let mut out = std::io::stdout();
    key.to_text().expose(|text| writeln!(out, "{text}"))?;
    room.close()?;
    Ok(())
}

fn read(dir: &Path) -> Result<(), Box<dyn Error>> {
    let text = SecretText::new(variable("ROOM_AUDITOR_KEY", "what `auditor key` wrote")?);
    let key = AuditorKey::from_text(&text)?;
    let logs = dir.join("audit");
    if !logs.is_dir() {
        return Err(format!("{} is no directory of logs", logs.display()).into());
    }
    let report = verify_logs(&logs, Some(key.store()))?;
    let mut out = BufWriter::new(std::io::stdout());
    let done = export_in_clear(&logs, |log, name| key.name(log, name).ok(), &mut out)?;
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    if done.unnamed > 0 {
        eprintln!("{} names do not open under this key", done.unnamed);
    }
    if report.accuses() { Err("the logs were tampered with".into()) } else { Ok(()) }
}

fn variable(name: &str, what: &str) -> Result<String, Box<dyn Error>> {
    std::env::var(name).map_err(|_| format!("set {name} to {what}").into())
}
