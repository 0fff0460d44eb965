//! Several processes that hold one token that can be used once, and an issuer that revokes all of them
//! where one comes twice.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use strongroom::{Error, Session, Token, Version};
use strongroom_rotation::{Coordinator, ExchangeError, Failed};

use crate::children::word;
use crate::timing::time;
use crate::{Dice, Outcome, Room, owner, say, start_child};

const PATH: &str = "prod/issuer/refresh";
/// Short, so that a process that was killed does not hold the others up for long.
const LEASE: Duration = Duration::from_secs(1);

/// What came of exchanging.
#[derive(Debug)]
pub struct Exchanging {
    /// Tokens that were spent once.
    pub spent: usize,
    /// Tokens that came to the issuer again.
    pub reused: usize,
    /// Logins after the first: each is a token that a killed process may have spent.
    pub logins: usize,
    /// Processes that were killed.
    pub killed: usize,
    /// Processes that ended with the newest token.
    pub with_the_newest: usize,
    /// How long it took.
    pub took: Duration,
    /// What `verify` says that accuses.
    pub accusations: Vec<String>,
}

#[derive(Debug, Default)]
struct Issuer {
    issued: usize,
    spent: HashSet<String>,
    reused: usize,
    logins: usize,
    newest: String,
}

impl Issuer {
    fn issue(&mut self) -> &str {
        self.issued += 1;
        self.newest = format!("rt-{}", self.issued);
        &self.newest
    }

    fn answer(&mut self, request: &str) -> String {
        match request.split_once(' ') {
            Some(("spend", token)) if self.spent.insert(token.to_owned()) => {
                format!("token {}", self.issue())
            }
            Some(("spend", _)) => {
                self.reused += 1;
                "revoked".to_owned()
            }
            _ => {
                self.logins += 1;
                format!("token {}", self.issue())
            }
        }
    }
}

/// Lets that many processes exchange tokens until so many are spent, and kills one that often meanwhile.
///
/// # Errors
/// Where a process fails, or one that exchanges is told what it should not be.
pub fn exchange(processes: usize, tokens: usize, kills: usize) -> Outcome<Exchanging> {
    let scratch = tempfile::tempdir()?;
    let dir = scratch.path();
    let room = block_on(Room::builder(dir)?.create())?;
    let session = room.session(owner());
    let issuer = Arc::new(Mutex::new(Issuer::default()));
    let first = lock(&issuer).issue().to_owned();
    block_on(session.put(PATH, Token::new(first)))?;

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    {
        let issuer = Arc::clone(&issuer);
        // Ends with this process: it waits for connections for ever.
        thread::spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming().flatten()) {
                let issuer = Arc::clone(&issuer);
                thread::spawn(move || serve(&issuer, stream, number));
            }
        });
    }
    let start = || -> Outcome<Child> {
        let mut child = start_child("child-exchanges")?;
        Ok(child.arg(dir).arg(address.to_string()).arg(tokens.to_string()).spawn()?)
    };
    let mut outcome = None;
    let took = time(|| outcome = Some(run(processes, kills, tokens, &issuer, &start)));
    let (killed, versions) = outcome.ok_or("nothing ran")??;

    let last = block_on(session.read::<Token>(PATH))?;
    let is_newest = last.secret.token().expose(|token| token == lock(&issuer).newest);
    let with_the_newest = versions.iter().filter(|version| **version == last.version.number());
    let report = block_on(session.verify())?;
    let issuer = lock(&issuer);
    Ok(Exchanging {
        spent: issuer.spent.len(),
        reused: issuer.reused,
        logins: issuer.logins,
        killed,
        with_the_newest: if is_newest { with_the_newest.count() } else { 0 },
        took,
        accusations: report.accusations().map(ToString::to_string).collect(),
    })
}

/// Starts the processes, kills the last one now and then and starts another in its place, and gathers
/// the versions that they end with.
fn run(
    processes: usize,
    kills: usize,
    tokens: usize,
    issuer: &Mutex<Issuer>,
    start: &dyn Fn() -> Outcome<Child>,
) -> Outcome<(usize, Vec<u64>)> {
    let mut children = (0..processes).map(|_| start()).collect::<Outcome<Vec<_>>>()?;
    let mut killed = 0;
    for kill in 1..=kills {
        // Evenly over the run, as the issuer sees it.
        while lock(issuer).spent.len() < tokens * kill / (kills + 1) {
            thread::sleep(Duration::from_millis(1));
        }
        let Some(mut victim) = children.pop() else { break };
        victim.kill()?;
        victim.wait()?;
        killed += 1;
        children.push(start()?);
    }
    let mut versions = Vec::new();
    for child in children {
        let output = child.wait_with_output()?;
        let said = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            return Err(format!("a process failed: {said}").into());
        }
        versions.push(said.trim().parse()?);
    }
    Ok((killed, versions))
}

fn lock(issuer: &Mutex<Issuer>) -> std::sync::MutexGuard<'_, Issuer> {
    issuer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one process, each time after some milliseconds.
fn serve(issuer: &Mutex<Issuer>, stream: TcpStream, number: u64) {
    let mut dice = Dice::new(number);
    let Ok(mut replies) = stream.try_clone() else { return };
    for request in BufReader::new(stream).lines().map_while(Result::ok) {
        thread::sleep(Duration::from_micros(dice.roll() % 3_000));
        let answer = lock(issuer).answer(&request);
        thread::sleep(Duration::from_micros(dice.roll() % 3_000));
        if replies.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return;
        }
    }
}

/// Sends the issuer a line, and takes the token that it answers.
fn ask(
    issuer: &TcpStream,
    request: &str,
) -> Result<Token, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, mut answer) = (issuer, String::new());
    // In one piece: the second of two would wait for the first to be acknowledged.
    sender.write_all(format!("{request}\n").as_bytes())?;
    BufReader::new(issuer).read_line(&mut answer)?;
    let token = answer.trim().strip_prefix("token ").ok_or("the token was revoked")?;
    Ok(Token::new(token))
}

/// A process that wants the next token as soon as it has one, and says which version it ends with.
pub(crate) fn exchange_all(words: &[String]) -> Outcome {
    let (dir, address, last): (PathBuf, SocketAddr, u64) =
        (word(words, 0)?, word(words, 1)?, word(words, 2)?);
    let room = block_on(Room::builder(&dir)?.open())?;
    let session = room.session(owner());
    let issuer = TcpStream::connect(address)?;
    let coordinator = Coordinator::new(session.clone()).with_lease_time(LEASE);
    let mut held = block_on(session.read::<Token>(PATH))?.version;
    while held.number() <= last {
        held = block_on(next(&coordinator, &session, &issuer, held))?;
    }
    // Nobody spends a version beyond the last one: this is the newest.
    block_on(room.close())?;
    say(held.to_string());
    Ok(())
}

async fn next(
    coordinator: &Coordinator,
    session: &Session,
    issuer: &TcpStream,
    held: Version,
) -> Outcome<Version> {
    let spend = async |old: Token| {
        let request = old.token().expose(|token| format!("spend {token}"));
        ask(issuer, &request).map_err(Failed::unknown)
    };
    match coordinator.exchange(PATH, held, spend).await {
        Ok(next) => Ok(next.version),
        Err(ExchangeError::Abandoned(stale)) => {
            let token = ask(issuer, "login").map_err(|error| error.to_string())?;
            match session.put_with(PATH, token, stale).await {
                Ok(version) => Ok(version),
                // Another one has logged in, too, or the late one came after all.
                Err(Error::Conflict(_)) => Ok(session.read::<Token>(PATH).await?.version),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(format!("{error}: {error:?}").into()),
    }
}
