//! A tool without a runtime: `cargo run --example offline_tool DIRECTORY put|get|list [PATH]`.
//!
//! The passphrase is read from the environment variable `ROOM_PASSPHRASE`, the value of `put` from
//! standard input, byte for byte. `get` writes it to standard output.
#![expect(clippy::print_stderr, reason = "an example says what went wrong")]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use strongroom::{FileLog, Opaque, Passphrase, Policy, Principal, SqliteStorage, Strongroom};

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    // An error's own text leaves its causes to `source`.
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
    let usage = "usage: offline_tool DIRECTORY put PATH | get PATH | list PREFIX";
    let [dir, command @ ("put" | "get" | "list"), name] = words.as_slice() else {
        return Err(usage.into());
    };
    let passphrase = std::env::var("ROOM_PASSPHRASE")
        .map_err(|_| "set ROOM_PASSPHRASE to the passphrase of the store")?;

    let dir = Path::new(dir);
    let owner = Principal::user("owner");
    let builder = Strongroom::builder()
        .storage(SqliteStorage::open_inline(dir.join("secrets.db"))?)
        .seal(Passphrase::new(passphrase))
        .policy(Policy::owned_by(&owner))
        .audit(FileLog::open_inline(dir.join("audit"))?)
        .blocking();
    // Only what has something to store makes a store: a mistyped directory is an error else.
    let room = if *command == "put" { builder.open_or_create()? } else { builder.open()? };
    let session = room.session(owner);
    let mut out = std::io::stdout();
    match *command {
        "put" => {
            let mut value = Vec::new();
            std::io::stdin().read_to_end(&mut value)?;
            let version = session.put(*name, Opaque::new(value))?;
            writeln!(out, "version {version}")?;
        }
        "get" => {
            let secret: Opaque = session.get(*name)?;
            secret.value().expose(|bytes| out.write_all(bytes))?;
        }
        "list" => {
            for path in session.list(*name)? {
                writeln!(out, "{path}")?;
            }
        }
        _ => return Err(usage.into()),
    }
    room.close()?;
    Ok(())
}
