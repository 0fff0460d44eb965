//! The lock that writers of all processes queue for.
//!
//! SQLite's own waiting polls without an order: under load one process can wait for ever. Here
//! each writer first takes the file `…-next`, then waits for the main one, then lets go of the
//! first: whoever has just written cannot overtake the one who waits next.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use strongroom_core::{NotDoneKind, StorageError};

use crate::count::Counting;
use crate::error;
use crate::place::{Place, open_or_create_private};

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
    place: &'a Place,
    main: &'a File,
    for_good: bool,
}

impl Turn<'_> {
    /// Counts a commit, from before it can be seen until it is done. `first` is a number that was
    /// never used.
    pub(crate) fn counting(
        &self,
        first: impl FnOnce() -> u64,
    ) -> Result<Counting<'_>, StorageError> {
        // INVARIANT: asked while SQLite's own lock is held. Where the file goes after this, nobody
        // has counted in its successor yet, and readers ask SQLite.
        if !is_in_place(self.place, self.main)? {
            return Err(lost(self.for_good));
        }
        Counting::begin(self.main, first)
    }
}

impl Turnstile {
    pub(crate) const fn new(place: Place) -> Self {
        Self { place, files: None, for_good: false }
    }

    /// Waits for the lock. The directory must be there. Stops early as `Busy` where `stop` is set.
    pub(crate) fn acquire(&mut self, stop: &AtomicBool) -> Result<Turn<'_>, StorageError> {
        let for_good = self.for_good;
        let files = match self.files.take() {
            // Locked for good, it is refused when it is to count.
            Some(files) if for_good || is_in_place(&self.place, &files.main)? => Some(files),
            _ => None,
        };
        let first = files.is_none();
        let files = match files {
            Some(files) => files,
            None => Files { main: self.open(".lock")?, next: self.open(".lock-next")? },
        };
        let files = self.files.insert(files);
        if for_good {
            return Ok(Turn { place: &self.place, main: &files.main, for_good });
        }
        wait(&files.next, PATIENCE, stop)?;
        let main = wait(&files.main, PATIENCE, stop);
        // Letting go fails only for a lock that is not held.
        let _ = files.next.unlock();
        main?;
        let turn = Turn { place: &self.place, main: &files.main, for_good };
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
        open_or_create_private(&self.place.beside(ending))
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

/// Whether the file is still the one that its name leads to. A lock on one that was removed keeps
/// nobody out, and a count in it tells nobody.
fn is_in_place(place: &Place, main: &File) -> Result<bool, StorageError> {
    let failed = |e| error::io("looking at the lock file", e);
    let held = main.metadata().map_err(failed)?;
    match fs::metadata(place.beside(".lock")) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(failed(e)),
    }
}

fn lost(for_good: bool) -> StorageError {
    let (kind, what_next) = match for_good {
        // Somebody else may have written since.
        true => (NotDoneKind::Damaged, "open the store again"),
        false => (NotDoneKind::Busy, "write again"),
    };
    let detail = format!("the lock file was removed or replaced while it was held: {what_next}");
    StorageError::not_done(kind, detail)
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
    let second = open_or_create_private(&place.beside(".lock"))
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
