//! Four workers that share one refresh token, which can be used once:
//! `cargo run --example shared_token [DIRECTORY]`.
//!
//! Each worker opens the store for itself, as a process of its own would. When the access token is over, all of
//! them ask for the next one at the same moment; one asks the issuer, the others get what it
//! stored. An issuer that sees a refresh token twice takes it for stolen, and revokes all.
#![expect(clippy::print_stderr, reason = "an example says what went wrong")]

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Barrier, Mutex};
use std::thread;

use futures_executor::block_on;
use strongroom::rotation::{Coordinator, Failed};
use strongroom::{
    Builder, Expected, FileLog, Passphrase, Policy, Principal, SqliteStorage, Strongroom, Token,
};

const PATH: &str = "prod/issuer/refresh-token";
const WORKERS: usize = 4;
const ROUNDS: usize = 5;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Stands for an OAuth server: a refresh token gives the next one, once.
#[derive(Default)]
struct Issuer(Mutex<(u32, BTreeSet<String>)>);

impl Issuer {
    fn log_in(&self) -> Token {
        self.issue(|_| true).unwrap_or_else(|| Token::new("unreachable"))
    }

    fn refresh(&self, old: &Token) -> Option<Token> {
        // EXPOSE: the request to the issuer carries it.
        old.token().expose(|old| self.issue(|spent| spent.insert(old.to_owned())))
    }

    fn issue(&self, may: impl FnOnce(&mut BTreeSet<String>) -> bool) -> Option<Token> {
        let mut issuer = self.0.lock().ok()?;
        let (issued, spent) = &mut *issuer;
        if !may(spent) {
            return None;
        }
        *issued += 1;
        Some(Token::new(format!("refresh-token-{issued}")))
    }
}

fn builder(dir: &Path) -> Outcome<Builder> {
    Ok(Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db"))?)
        .seal(Passphrase::new("correct horse battery staple"))
        .policy(Policy::owned_by(&Principal::service("worker")))
        .audit(FileLog::open(dir.join("audit"))?))
}

fn run() -> Outcome<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let scratch = tempfile::tempdir()?;
    let dir = match arguments.as_slice() {
        [] => scratch.path().join("room"),
        [dir] => dir.clone(),
        _ => return Err("usage: shared_token [DIRECTORY]".into()),
    };
    let issuer = Issuer::default();
    let room = block_on(builder(&dir)?.open_or_create())?;
    let session = room.session(Principal::service("worker"));
    let first = block_on(session.put_with(PATH, issuer.log_in(), Expected::Absent));
    first.map_err(|error| format!("{error} (this example wants a directory of its own)"))?;

    let together = Barrier::new(WORKERS);
    let asked = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..WORKERS).map(|_| scope.spawn(|| work(&dir, &issuer, &together))).collect();
        let joined = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|_| Err("a worker panicked".into()))
        };
        workers.into_iter().map(joined).collect::<Outcome<Vec<usize>>>()
    })?;

    let mut out = std::io::stdout();
    for (number, times) in (1..).zip(asked) {
        writeln!(out, "worker {number} asked the issuer {times} times of {ROUNDS}")?;
    }
    let spent = issuer.0.lock().map(|issuer| issuer.1.len()).unwrap_or(0);
    writeln!(
        out,
        "the issuer gave {spent} tokens to {WORKERS} workers, and saw none of them twice"
    )?;
    let report = block_on(session.verify())?;
    writeln!(out, "the log accuses {} of anything", report.accusations().count())?;
    block_on(room.close())?;
    Ok(())
}

/// Wants the next token so often, and says how often it was the one that asked for it.
fn work(dir: &Path, issuer: &Issuer, together: &Barrier) -> Outcome<usize> {
    let room = block_on(builder(dir)?.open())?;
    let session = room.session(Principal::service("worker"));
    let coordinator = Coordinator::new(session.clone());
    let mut spent = 0;
    for _ in 0..ROUNDS {
        let held = block_on(session.read::<Token>(PATH))?.version;
        // The access token of all is over at one moment.
        together.wait();
        let refresh = async |old: Token| {
            spent += 1;
            issuer.refresh(&old).ok_or_else(|| Failed::unknown("the issuer has revoked all"))
        };
        block_on(coordinator.exchange(PATH, held, refresh))?;
        together.wait();
    }
    block_on(room.close())?;
    Ok(spent)
}
