//! What the parts of one storage share.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use strongroom_core::{NotDoneKind, StorageError};

use crate::lock::Turnstile;
use crate::place::Place;

/// How long the writer steps aside at most for a backup that waits for the lock.
const STEP_ASIDE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) busy_timeout: Duration,
    /// Set when the storage is dropped: nobody waits any longer.
    pub(crate) stop: AtomicBool,
    turnstile: Mutex<Turnstile>,
    waiting_backups: AtomicUsize,
    /// Odd while a commit of this storage is under way.
    commits: AtomicU64,
    process: u32,
}

impl Shared {
    pub(crate) fn new(place: Place, busy_timeout: Duration) -> Self {
        Self {
            turnstile: Mutex::new(Turnstile::new(place.clone())),
            place,
            busy_timeout,
            stop: AtomicBool::new(false),
            waiting_backups: AtomicUsize::new(0),
            commits: AtomicU64::new(0),
            process: process::id(),
        }
    }

    /// Refuses what SQLite cannot bear: connections that were carried into a forked process.
    pub(crate) fn check_process(&self) -> Result<(), StorageError> {
        if self.is_forked() {
            return Err(StorageError::not_done(
                NotDoneKind::Unsuitable,
                "the storage was opened before this process was forked; open it after the fork",
            ));
        }
        Ok(())
    }

    pub(crate) fn is_forked(&self) -> bool {
        process::id() != self.process
    }

    /// The writers' lock, for the writer of this storage.
    pub(crate) fn turnstile(&self) -> MutexGuard<'_, Turnstile> {
        let (mut aside, pause) = (Duration::ZERO, Duration::from_micros(100));
        while self.waiting_backups.load(Ordering::SeqCst) > 0 && aside < STEP_ASIDE {
            thread::sleep(pause);
            aside += pause;
        }
        self.turnstile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writers' lock, for a backup: the writer lets it pass.
    pub(crate) fn turnstile_for_backup(&self) -> MutexGuard<'_, Turnstile> {
        self.waiting_backups.fetch_add(1, Ordering::SeqCst);
        let turnstile = self.turnstile.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting_backups.fetch_sub(1, Ordering::SeqCst);
        turnstile
    }

    /// Counts a commit, from before it can be seen until after.
    pub(crate) fn commit_begins(&self) -> Commit<'_> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        Commit(&self.commits)
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

/// A commit under way.
pub(crate) struct Commit<'a>(&'a AtomicU64);

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::resolve(&dir.path().join("x.db")).unwrap();
        let mut shared = Shared::new(place, Duration::ZERO);
        assert!(shared.check_process().is_ok());
        shared.process = shared.process.wrapping_add(1);
        assert_eq!(shared.check_process().unwrap_err().kind(), Some(NotDoneKind::Unsuitable));
    }

    #[test]
    fn the_count_is_odd_during_a_commit() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::resolve(&dir.path().join("x.db")).unwrap();
        let shared = Shared::new(place, Duration::ZERO);
        let commit = shared.commit_begins();
        assert_eq!(shared.commits(), 1);
        drop(commit);
        assert_eq!(shared.commits(), 2);
    }
}
