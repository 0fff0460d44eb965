//! The lock that writers of all processes queue for.
//!
//! SQLite's own waiting polls without an order: under load one process can wait for ever. Here
//! each writer first takes the file `…-next`, then waits for the main one, then lets go of the
//! first: whoever has just written cannot overtake the one who waits next.

use std::fs::{File, TryLockError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use strongroom_core::{NotDoneKind, StorageError};

use crate::count::Counting;
use crate::error;
use crate::place::{Place, open_lock_file};

/// How long to wait for other writers before `Busy`.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// The two files, opened at first use.
#[derive(Debug)]
pub(crate) struct Turnstile {
    place: Place,
    files: Option<Files>,
    /// Held for the life of the storage.
    for_good: bool,
}

#[derive(Debug)]
struct Files {
    main: File,
    next: File,
}

/// The lock while it is held.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    main: &'a File,
    for_good: bool,
}

impl Turn<'_> {
    /// Counts a commit, from before it can be seen until the result is dropped.
    pub(crate) fn counting(&self) -> Result<Counting<'_>, StorageError> {
        Counting::begin(self.main)
    }
}

impl Turnstile {
    pub(crate) const fn new(place: Place) -> Self {
        Self { place, files: None, for_good: false }
    }

    /// Waits for the lock. The directory must be there. Stops early as `Busy` where `stop` is set.
    pub(crate) fn acquire(&mut self, stop: &AtomicBool) -> Result<Turn<'_>, StorageError> {
        let for_good = self.for_good;
        let first = self.files.is_none();
        let files = match self.files.take() {
            Some(files) => files,
            None => Files { main: self.open(".lock")?, next: self.open(".lock-next")? },
        };
        let files = self.files.insert(files);
        if for_good {
            return Ok(Turn { main: &files.main, for_good });
        }
        wait(&files.next, PATIENCE, stop)?;
        let main = wait(&files.main, PATIENCE, stop);
        // Letting go fails only for a lock that is not held.
        let _ = files.next.unlock();
        main?;
        let turn = Turn { main: &files.main, for_good };
        if first {
            probe(&self.place)?;
        }
        Ok(turn)
    }

    /// Takes the lock at once or not at all, and keeps it until the storage is dropped.
    pub(crate) fn acquire_for_good(&mut self) -> Result<(), StorageError> {
        let main = self.open(".lock")?;
        try_lock(&main)?.then_some(()).ok_or_else(|| {
            StorageError::not_done(
                NotDoneKind::Busy,
                format!("another process uses {} now", self.place.database().display()),
            )
        })?;
        probe(&self.place)?;
        let next = self.open(".lock-next")?;
        self.files = Some(Files { main, next });
        self.for_good = true;
        Ok(())
    }

    fn open(&self, ending: &str) -> Result<File, StorageError> {
        open_lock_file(&self.place.beside(ending))
            .map_err(|e| error::io("opening the lock file", e))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.for_good {
            let _ = self.main.unlock();
        }
    }
}

fn wait(file: &File, patience: Duration, stop: &AtomicBool) -> Result<(), StorageError> {
    let (mut waited, mut pause) = (Duration::ZERO, FIRST_PAUSE);
    while !try_lock(file)? {
        if waited >= patience || stop.load(Ordering::Relaxed) {
            let detail = "another process has been writing for some seconds";
            return Err(StorageError::not_done(NotDoneKind::Busy, detail));
        }
        thread::sleep(pause);
        waited += pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

fn try_lock(file: &File) -> Result<bool, StorageError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(error::io("locking the lock file", e)),
    }
}

/// Whether locks are honoured at all: a second handle must be refused what the first one holds.
fn probe(place: &Place) -> Result<(), StorageError> {
    let second = open_lock_file(&place.beside(".lock"))
        .map_err(|e| error::io("opening the lock file", e))?;
    if !try_lock(&second)? {
        return Ok(());
    }
    Err(StorageError::not_done(
        NotDoneKind::Unsuitable,
        "locks are not honoured on this file system; use a local one, or a backend that is a server",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_stopped_do_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::resolve(&dir.path().join("x.db")).unwrap();
        let (mut a, mut b) = (Turnstile::new(place.clone()), Turnstile::new(place));
        let run = AtomicBool::new(false);
        let stop = AtomicBool::new(true);
        let turn = a.acquire(&run).unwrap();
        assert_eq!(b.acquire(&stop).unwrap_err().kind(), Some(NotDoneKind::Busy));
        assert!(b.acquire_for_good().is_err());
        drop(turn);
        b.acquire_for_good().unwrap();
        drop(b.acquire(&run).unwrap());
        assert_eq!(a.acquire(&stop).unwrap_err().kind(), Some(NotDoneKind::Busy));
    }
}
