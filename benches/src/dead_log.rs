//! A store whose process was killed beside a long log.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use strongroom::{AuditSink, Durability, FileLog};
use tempfile::TempDir;

use crate::children::{start_child, word};
use crate::{Outcome, Room, owner, path, record_of_get, say, value};

/// Records that are appended by one call, so that making the log takes seconds.
const AT_ONCE: usize = 64;

/// The directory of a store whose last process was killed.
#[derive(Debug)]
pub struct DeadLog {
    dir: TempDir,
}

/// Makes a store, and a process that opens it, puts a secret, records so many reads of it and is
/// killed.
///
/// # Errors
/// Where that does not work.
pub fn dead_log(records: usize) -> Outcome<DeadLog> {
    let dir = tempfile::tempdir_in(".")?;
    block_on(block_on(Room::builder(dir.path())?.create())?.close())?;
    let mut child = start_child("child-leaves-a-log")?;
    let mut child = child.arg(dir.path()).arg(records.to_string()).spawn()?;
    let told = BufReader::new(child.stdout.take().ok_or("no output")?).lines().next();
    child.kill()?;
    child.wait()?;
    match told {
        Some(Ok(line)) if line == READY => Ok(DeadLog { dir }),
        _ => Err("the process that was to be killed ended by itself".into()),
    }
}

impl DeadLog {
    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.dir.path()
    }

    /// The same store once more: opening it settles the log, which is done once. The files of logs
    /// are shared, since nobody writes to them any more.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub fn copy(&self) -> Outcome<TempDir> {
        let copy = tempfile::tempdir_in(".")?;
        fs::create_dir(copy.path().join("audit"))?;
        for entry in fs::read_dir(self.place().join("audit"))? {
            let entry = entry?;
            fs::hard_link(entry.path(), copy.path().join("audit").join(entry.file_name()))?;
        }
        for entry in fs::read_dir(self.place())? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
            }
        }
        Ok(copy)
    }
}

const READY: &str = "ready";

/// The process that is killed.
pub(crate) fn leave(words: &[String]) -> Outcome {
    let (dir, records): (PathBuf, usize) = (word(words, 0)?, word(words, 1)?);
    let log = Arc::new(FileLog::open(dir.join("audit"))?);
    let room = block_on(Room::builder_beside(&dir, Arc::clone(&log))?.open())?;
    block_on(room.session(owner()).put(path(7)?, value(7)))?;
    let some = vec![record_of_get(&path(7)?)?; AT_ONCE];
    for _ in 0..records / AT_ONCE {
        block_on(log.append(&some, Durability::Flushed))?;
    }
    say(READY);
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}
