//! One of the processes that are killed.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use futures_executor::block_on;
use strongroom::{Error, NotFound, Opaque, Session};

use super::{KEYS, MEMBERS, PATHS, PURGES, TASKS, path};
use crate::children::word;
use crate::oracle::{tag, value};
use crate::{Dice, Outcome, Room, in_tasks, owner, say};

/// Works until it is killed, or until its input ends: then it closes the store.
pub(crate) fn work(words: &[String]) -> Outcome {
    let dir: PathBuf = word(words, 0)?;
    let (member, seed): (usize, u64) = (word(words, 1)?, word(words, 2)?);
    let room = block_on(Room::builder(&dir)?.open())?;
    say(format!("opened {}", room.log()));
    let is_over = Arc::new(AtomicBool::new(false));
    let session = room.session(owner());
    in_tasks(TASKS, TASKS, {
        let is_over = Arc::clone(&is_over);
        thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                // Whether it ends or fails: nobody is there any more.
                let _ = std::io::stdin().read(&mut [0]);
                is_over.store(true, Ordering::Relaxed);
            }
        });
        move |task| {
            let (session, is_over) = (session.clone(), Arc::clone(&is_over));
            let mut task = Task { session, member, task, dice: Dice::of(seed, task) };
            async move {
                while !is_over.load(Ordering::Relaxed) {
                    task.act().await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    })?;
    block_on(room.close())?;
    say("closed");
    Ok(())
}

struct Task {
    session: Session,
    member: usize,
    task: usize,
    dice: Dice,
}

impl Task {
    async fn act(&mut self) -> Result<(), Error> {
        let own = path(self.member, self.task, self.dice.below(PATHS));
        match (self.member, self.task, self.dice.below(10)) {
            (KEYS, 0, _) => self.change_keys().await,
            (KEYS, _, _) | (_, _, 0 | 1) => self.read_any().await,
            (_, _, 2 | 3) => self.read_own(&own).await,
            (PURGES, _, 4) => self.delete(&own).await,
            (PURGES, _, 5) => self.destroy(&own).await,
            (PURGES, _, 6 | 7) => self.purge(&own).await,
            (_, _, 4) => self.delete(&own).await,
            _ => self.put(&own).await,
        }
    }

    async fn put(&mut self, path: &str) -> Result<(), Error> {
        let tag = self.dice.roll();
        say(format!("try {path} put {tag}"));
        let version = self.session.put(path, value(tag)).await?;
        say(format!("done {path} put {version} {tag}"));
        Ok(())
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        say(format!("try {path} delete"));
        match self.session.delete(path).await {
            Ok(version) => say(format!("done {path} delete {version}")),
            Err(Error::NotFound(_)) => say(format!("done {path} nothing")),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn destroy(&self, path: &str) -> Result<(), Error> {
        say(format!("try {path} destroy"));
        match self.session.destroy(path).await {
            Ok(version) => say(format!("done {path} destroy {version}")),
            Err(Error::NotFound(_)) => say(format!("done {path} nothing")),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn purge(&self, path: &str) -> Result<(), Error> {
        say(format!("try {path} purge"));
        match self.session.purge(path).await {
            Ok(()) => say(format!("done {path} purge")),
            Err(Error::NotFound(_)) => say(format!("done {path} nothing")),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What nobody else writes: the answer is known.
    async fn read_own(&self, path: &str) -> Result<(), Error> {
        match self.read(path).await? {
            Answer::Live(version, tag) => say(format!("saw {path} live {version} {tag}")),
            Answer::Not(NotFound::Deleted(version)) => say(format!("saw {path} deleted {version}")),
            Answer::Not(NotFound::Destroyed(version)) => {
                say(format!("saw {path} destroyed {version}"));
            }
            Answer::Not(_) => say(format!("saw {path} absent")),
        }
        Ok(())
    }

    /// What somebody may be writing, or have left open.
    async fn read_any(&mut self) -> Result<(), Error> {
        let mut below = |limit| usize::try_from(self.dice.below(limit)).unwrap_or_default();
        // Who changes keys writes no secret.
        let member = [0, 1, PURGES].get(below(3)).copied().unwrap_or(MEMBERS);
        let task = below(2) % TASKS;
        let path = path(member, task, self.dice.below(PATHS));
        self.read(&path).await.map(drop)
    }

    async fn read(&self, path: &str) -> Result<Answer, Error> {
        match self.session.read::<Opaque>(path).await {
            Ok(read) => {
                let (version, tag) = (read.version.number(), tag(&read.secret));
                // A value that is not whole has no tag, which the parent does not understand.
                let told = tag.map_or("torn".to_owned(), |tag| tag.to_string());
                say(format!("given {path} {version} {told}"));
                Ok(Answer::Live(version, tag.unwrap_or_default()))
            }
            Err(Error::NotFound(what)) => Ok(Answer::Not(what)),
            Err(error) => Err(error),
        }
    }

    async fn change_keys(&mut self) -> Result<(), Error> {
        let (what, changed) = match self.dice.below(3) {
            0 => match self.session.rotate_keys("prod").await {
                // Too many epochs wait to leave.
                Err(Error::Invalid(_)) => {
                    ("rewrapped", self.session.rewrap("prod").await.map(drop))
                }
                rotated => ("rotated", rotated),
            },
            1 => ("rewrapped", self.session.rewrap("prod").await.map(drop)),
            _ => ("swept", self.session.sweep("prod").await.map(drop)),
        };
        match changed {
            Ok(()) => say(format!("changed {what}")),
            // There is no namespace before the first put; others win some races.
            Err(Error::NotFound(NotFound::Namespace) | Error::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

enum Answer {
    Live(u64, u64),
    Not(NotFound),
}
