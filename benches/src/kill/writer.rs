//! The process that is killed.

use std::path::PathBuf;

use strongroom::{Error, NotFound, Session};

use super::{PATHS, WRITERS, path};
use crate::children::word;
use crate::oracle::value;
use crate::{Dice, Outcome, Room, in_tasks, owner, say};

/// Writes until it is killed: a line before each write, and one after it returned.
pub(crate) fn write(words: &[String]) -> Outcome {
    let (dir, seed): (PathBuf, u64) = (word(words, 0)?, word(words, 1)?);
    let room = futures_executor::block_on(Room::builder(&dir)?.open())?;
    let session = room.session(owner());
    // One task more, that gives the namespace new keys.
    in_tasks(WRITERS + 1, WRITERS + 1, move |writer| {
        let (session, dice) = (session.clone(), Dice::of(seed, writer));
        async move {
            match writer {
                WRITERS => change_keys(&session, dice).await,
                writer => fill(&session, writer, dice).await,
            }
        }
    })
}

async fn fill(session: &Session, writer: usize, mut dice: Dice) -> Result<(), Error> {
    loop {
        let (number, tag) = (dice.below(PATHS), dice.roll());
        let path = path(writer, number)?;
        if dice.below(10) == 0 {
            say(format!("try {path} delete"));
            match session.delete(&path).await {
                Ok(version) => say(format!("done {path} delete {version}")),
                Err(Error::NotFound(NotFound::Secret | NotFound::Namespace)) => {
                    say(format!("done {path} nothing"));
                }
                Err(Error::NotFound(NotFound::Deleted(_))) => say(format!("done {path} nothing")),
                Err(error) => return Err(error),
            }
        } else {
            say(format!("try {path} put {tag}"));
            let version = session.put(&path, value(tag)).await?;
            say(format!("done {path} put {version} {tag}"));
        }
    }
}

async fn change_keys(session: &Session, mut dice: Dice) -> Result<(), Error> {
    loop {
        tokio::task::yield_now().await;
        // Keys change now and then only; the time between is spent as a reader.
        for _ in 0..dice.below(40) {
            let writer = usize::try_from(dice.below(3)).unwrap_or_default();
            let read = session.get::<strongroom::Opaque>(path(writer, dice.below(PATHS))?).await;
            match read {
                Ok(_) | Err(Error::NotFound(_)) => tokio::task::yield_now().await,
                Err(error) => return Err(error),
            }
        }
        let changed = match dice.below(3) {
            0 => match session.rotate_keys("prod").await {
                // Too many epochs wait to leave.
                Err(Error::Invalid(_)) => session.rewrap("prod").await.map(drop),
                rotated => rotated,
            },
            1 => session.rewrap("prod").await.map(drop),
            _ => session.sweep("prod").await.map(drop),
        };
        match changed {
            // There is no namespace before the first put; others win some races.
            Ok(()) | Err(Error::NotFound(NotFound::Namespace) | Error::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
}
