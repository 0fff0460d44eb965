//! A process that does some of everything to a store, and says what it was told, in the words of
//! the [ledger](crate::oracle). It goes on after errors, as a service does.

use std::path::PathBuf;

use futures_executor::block_on;
use strongroom::{Error, NotFound, Opaque, Session, WriteOutcome};

use crate::children::word;
use crate::oracle::{chain, tag, value};
use crate::{Dice, Outcome, Room, owner, say};

/// How many paths there are.
const PATHS: u64 = 4;
/// How many acts come before they come again.
pub(crate) const ACTS: usize = 20;

/// The words of [`work`] that are no numbers.
pub(crate) const INLINE: &str = "inline";
pub(crate) const LEAVE_OPEN: &str = "leave-open";
/// What it says once the store is open; whoever reads this can ask for it from then on.
pub(crate) const OPENED: &str = "opened";
/// What it says where something is wrong whatever the medium does.
pub(crate) const FAULT: &str = "fault ";

/// Opens the store in a directory or makes it there, does so much by a seed, and closes it or not.
pub(crate) fn work(words: &[String]) -> Outcome {
    let dir: PathBuf = word(words, 0)?;
    let (seed, acts): (u64, usize) = (word(words, 1)?, word(words, 2)?);
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let builder = if has(INLINE) { Room::inline_builder(&dir) } else { Room::builder(&dir) };
    let room = match builder.map(|builder| block_on(builder.open_or_create())) {
        Ok(Ok(room)) => room,
        Ok(Err(error)) => {
            told("open", &error);
            return Ok(());
        }
        // What the place does not suit for.
        Err(error) => {
            say(format!("error open: {error}"));
            return Ok(());
        }
    };
    say(OPENED);
    let (session, mut dice, mut left) = (room.session(owner()), Dice::new(seed), Vec::new());
    for _ in 0..acts {
        // Each kind of act comes before any comes again as often as it does.
        if left.is_empty() {
            left.extend(0..ACTS);
        }
        let drawn = usize::try_from(dice.below(u64::try_from(left.len())?))?;
        let drawn = left.swap_remove(drawn);
        block_on(act(&session, drawn, &mut dice));
    }
    if has(LEAVE_OPEN) {
        // As a service that is killed: nothing is ended, nothing dropped.
        std::process::exit(0);
    }
    match block_on(room.close()) {
        Ok(()) => say("closed"),
        Err(error) => told("close", &error),
    }
    Ok(())
}

/// One of the things that can be done, half of them puts.
async fn act(session: &Session, drawn: usize, dice: &mut Dice) {
    let path = format!("prod/secret-{}", dice.below(PATHS));
    let (tag, asks) = (dice.roll(), dice.below(2) == 0);
    match drawn {
        0..=9 => put(session, &path, tag, asks).await,
        10..=11 => delete(session, &path, asks).await,
        12 => purge(session, &path, asks).await,
        13..=15 => read(session, &path).await,
        16 => changed("rotate_keys", session.rotate_keys("prod").await),
        17..=18 => changed("rewrap", session.rewrap("prod").await.map(drop)),
        _ => changed("sweep", session.sweep("prod").await.map(drop)),
    }
}

async fn put(session: &Session, path: &str, tag: u64, asks: bool) {
    say(format!("try {path} put {tag}"));
    match session.put(path, value(tag)).await {
        Ok(version) => say(format!("done {path} put {version} {tag}")),
        Err(error) => failed(session, path, error, asks).await,
    }
}

async fn delete(session: &Session, path: &str, asks: bool) {
    say(format!("try {path} delete"));
    match session.delete(path).await {
        Ok(version) => say(format!("done {path} delete {version}")),
        Err(Error::NotFound(_)) => say(format!("done {path} nothing")),
        Err(error) => failed(session, path, error, asks).await,
    }
}

async fn purge(session: &Session, path: &str, asks: bool) {
    say(format!("try {path} purge"));
    match session.purge(path).await {
        Ok(()) => say(format!("done {path} purge")),
        Err(Error::NotFound(_)) => say(format!("done {path} nothing")),
        Err(error) => failed(session, path, error, asks).await,
    }
}

/// A write that was not acknowledged: not done, or not known, and then this caller asks or not.
async fn failed(session: &Session, path: &str, error: Error, asks: bool) {
    told(path, &error);
    let Error::Indeterminate(doubt) = error else {
        say(format!("not-done {path}"));
        return;
    };
    say(format!("unknown {path}"));
    if !asks {
        return;
    }
    match session.resolve(&doubt).await {
        Ok(WriteOutcome::TookEffect(_)) => say(format!("resolved {path} took-effect")),
        Ok(WriteOutcome::DidNot) => say(format!("resolved {path} did-not")),
        Ok(WriteOutcome::Unknown) => {}
        Err(error) => told(path, &error),
    }
}

async fn read(session: &Session, path: &str) {
    match session.read::<Opaque>(path).await {
        Ok(read) => match tag(&read.secret) {
            Some(tag) => say(format!("saw {path} live {} {tag}", read.version)),
            None => say(format!("{FAULT}{path} is not what was put")),
        },
        Err(Error::NotFound(NotFound::Secret | NotFound::Namespace)) => {
            say(format!("saw {path} absent"));
        }
        Err(Error::NotFound(NotFound::Deleted(version))) => {
            say(format!("saw {path} deleted {version}"));
        }
        Err(error) => told(path, &error),
    }
}

fn changed(what: &str, changed: Result<(), Error>) {
    match changed {
        // There is no namespace before the first put, and two epochs at most.
        Ok(()) | Err(Error::NotFound(NotFound::Namespace) | Error::Invalid(_)) => {}
        Err(error) => told(what, &error),
    }
}

/// Says an error. One that accuses is a fault: nobody tampered here.
fn told(what: &str, error: &Error) {
    let kind = if matches!(error, Error::Tampered(_)) { FAULT } else { "error " };
    say(format!("{kind}{what}: {}", chain(error).replace('\n', " ")));
}
