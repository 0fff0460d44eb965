//! SQLite as the storage of strongroom: one file, used by several processes at once.
//!
//! ```
//! use strongroom_core::{Batch, Expect, Key, Op, Storage, Written};
//! use strongroom_storage_sqlite::SqliteStorage;
//!
//! # futures_executor::block_on(async {
//! # let dir = tempfile::tempdir()?;
//! let storage = SqliteStorage::open(dir.path().join("room/secrets.db"))?;
//! assert!(!dir.path().join("room").exists()); // opening touches nothing
//!
//! let key = Key::new(*b"k");
//! let put = Op::Put { key: key.clone(), expect: Expect::Absent, value: b"sealed".to_vec() };
//! let written = storage.write(Batch::new(vec![put])?).await?;
//! assert!(matches!(written, Written::Committed { .. }));
//! assert_eq!(storage.read(&[key]).await?[0].as_ref().unwrap().value, b"sealed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # What lies on disk
//! Beside `secrets.db` lie SQLite's `secrets.db-wal` and `secrets.db-shm` while it is in use, and
//! `secrets.db.lock` and `secrets.db.lock-next`, at which writers queue; the first also counts
//! commits, so that a reader learns of one without a lock: leave them where they are while the
//! database is in use. `secrets.db.reserve` is half a mebibyte of zero bytes: on a full disk it
//! makes room for [what takes access away](Batch::is_essential) and for what erases. All are for
//! the owner alone (0600, directories 0700). The database appears whole with its first record.
//! **Never copy a database that is in use**: what was written last is in the `-wal` file, and a
//! copy of both is of two moments. [`SqliteStorage::backup`](Storage::backup) makes a consistent
//! one. Never open the file by other means in a process that uses it: closing it drops SQLite's
//! locks.
//!
//! # Where it can lie
//! On a local file system with hard links, locks and shared memory. Network file systems are
//! refused, and so is a single file mounted into a container: mount its directory.

mod backup;
mod connection;
mod count;
mod create;
mod error;
mod lock;
mod mark;
mod place;
mod reader;
mod reserve;
mod shared;
mod worker;
mod writer;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use strongroom_core::{
    Batch, ChangeMark, Entry, Erasure, Hints, Key, MAX_VALUE_BYTES, NotDoneKind, Page, Profile,
    Scan, Storage, StorageError, Written,
};

use crate::mark::Marks;
use crate::place::Place;
use crate::reader::Readers;
use crate::shared::Shared;
use crate::worker::Worker;
use crate::writer::{Done, Request, Writer};

/// The most operations of a batch.
const ATOMIC_OPS: usize = 1_024;

/// A database file as storage.
///
/// Reads run where they are polled, since they take microseconds. Commits wait for the disk: they
/// run on one thread, which is started by the first write and joined on drop, and which puts all
/// that waits into one transaction.
///
/// # Durability
/// `Committed` means that the write-ahead file was synced (`synchronous = FULL`).
///
/// # Erasure
/// Freed bytes are overwritten (`secure_delete`), in the database file when the write-ahead file
/// is carried over: after an `erase`, every few MiB, and when the last process closes it. Hence
/// [`Erasure::Eventually`].
#[derive(Debug)]
pub struct SqliteStorage {
    shared: Arc<Shared>,
    readers: Readers,
    marks: Marks,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Threaded(Mutex<Option<Worker>>),
    Inline(Mutex<Writer>),
}

impl SqliteStorage {
    /// The database at a path, or the place where the first write will make it. Touches nothing.
    ///
    /// # Errors
    /// `Unsuitable` on a network file system, for a link to nothing, for a file that is mounted by
    /// itself, or for what is no file; `Damaged` for an empty file, and for the side files of a
    /// database that is gone. A file that is `Foreign`, `Damaged` or `TooNew` inside is refused by
    /// the first read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::new(path.as_ref(), |_| Mode::Threaded(Mutex::default()))
    }

    /// The same without a thread: writes run where they are polled, as suits a tool that does
    /// nothing else meanwhile. Waits for other writers, of some seconds at most, are spent there
    /// too.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_inline(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::new(path.as_ref(), |shared| Mode::Inline(Mutex::new(Writer::new(Arc::clone(shared)))))
    }

    /// The storage for this process alone, for as long as it is open: nobody else can write, so
    /// that a change mark costs no call of the operating system. Makes the directory and the lock
    /// file where they are missing.
    ///
    /// # Errors
    /// `Busy` where another process has it for itself or is writing.
    pub fn exclusive(mut self) -> Result<Self, StorageError> {
        self.shared.place.make_directory()?;
        self.shared.turnstile().acquire_for_good()?;
        self.marks.set_exclusive();
        Ok(self)
    }

    /// The storage, if [`warnings`](Self::warnings) has nothing to say.
    ///
    /// # Errors
    /// `Denied` with all the warnings.
    pub fn strict(self) -> Result<Self, StorageError> {
        let warnings = self.warnings();
        if warnings.is_empty() {
            return Ok(self);
        }
        Err(StorageError::not_done(NotDoneKind::Denied, warnings.join("; ")))
    }

    /// What others than the owner could do to the files and their directory, now: a line each,
    /// with what to do.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.shared.place.loose_modes()
    }

    /// The path of the database, absolute and without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.place.database()
    }

    /// The size of the write-ahead file in bytes. It stays at some MiB, but for the time that a
    /// backup or another long reader takes.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        fs::metadata(self.shared.place.beside("-wal")).map_or(0, |found| found.len())
    }

    fn new(path: &Path, mode: impl FnOnce(&Arc<Shared>) -> Mode) -> Result<Self, StorageError> {
        let shared = Arc::new(Shared::new(Place::resolve(path)?, connection::BUSY_TIMEOUT));
        Ok(Self {
            readers: Readers::new(Arc::clone(&shared)),
            marks: Marks::new(Arc::clone(&shared)),
            mode: mode(&shared),
            shared,
        })
    }

    async fn submit(&self, request: Request) -> Result<Done, StorageError> {
        self.shared.check_process()?;
        let promised = match &self.mode {
            Mode::Inline(writer) => {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let lost = || StorageError::indeterminate("the writer gave no answer");
                return writer.run(&[request]).pop().unwrap_or_else(|| Err(lost()));
            }
            Mode::Threaded(worker) => {
                let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
                let worker = match &mut *worker {
                    Some(worker) => worker,
                    none => none.insert(Worker::start(Writer::new(Arc::clone(&self.shared)))?),
                };
                worker.submit(request)
            }
        };
        promised.await
    }
}

impl Drop for SqliteStorage {
    fn drop(&mut self) {
        self.shared.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        // The writer comes last: the last connection to close carries the write-ahead file over.
        self.readers.close();
        self.marks.close();
        match &mut self.mode {
            Mode::Threaded(worker) => {
                let worker = worker.get_mut().unwrap_or_else(PoisonError::into_inner).take();
                match worker {
                    Some(worker) if self.shared.is_forked() => worker.abandon(),
                    worker => drop(worker),
                }
            }
            Mode::Inline(writer) => {
                let writer = writer.get_mut().unwrap_or_else(PoisonError::into_inner);
                writer.close(self.shared.is_forked());
            }
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Storage for SqliteStorage {
    fn profile(&self) -> Profile {
        Profile {
            atomic_ops: NonZeroUsize::new(ATOMIC_OPS).unwrap_or(NonZeroUsize::MIN),
            value_bytes: NonZeroUsize::new(MAX_VALUE_BYTES).unwrap_or(NonZeroUsize::MIN),
            erasure: Erasure::Eventually,
        }
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StorageError> {
        self.shared.check_process()?;
        self.readers.read(keys)
    }

    async fn list(&self, scan: &Scan) -> Result<Page, StorageError> {
        self.shared.check_process()?;
        self.readers.list(scan)
    }

    async fn write(&self, batch: Batch) -> Result<Written, StorageError> {
        if batch.ops().len() > ATOMIC_OPS {
            let detail = "a batch has at most 1024 operations here";
            return Err(StorageError::not_done(NotDoneKind::TooLarge, detail));
        }
        match self.submit(Request::Write(batch)).await? {
            Done::Written(written) => Ok(written),
            // INVARIANT: not reached, since each request is answered in its kind.
            Done::Erased => Err(StorageError::indeterminate("the answer was to another request")),
        }
    }

    async fn erase(&self, keys: &[Key]) -> Result<(), StorageError> {
        self.submit(Request::Erase(keys.to_vec())).await.map(drop)
    }

    fn change_mark(&self) -> Option<ChangeMark> {
        self.marks.current()
    }

    async fn backup(&self, dir: &Path, cut: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        self.shared.check_process()?;
        let target = dir.join(self.shared.place.name());
        let source = {
            let mut turnstile = self.shared.turnstile_for_backup();
            // Where there is no directory, there is nobody to hold off and nothing to copy.
            let _turn = match self.shared.place.has_directory() {
                true => Some(turnstile.acquire(&self.shared.stop)?),
                false => None,
            };
            let source = self.readers.open()?;
            source.as_ref().map_or(Ok(()), backup::fix_content)?;
            cut();
            source
        };
        let Some(source) = source else { return Ok(()) };
        match &self.mode {
            Mode::Inline(_) => backup::copy(&source, &target),
            Mode::Threaded(_) => {
                worker::in_background(move || backup::copy(&source, &target)).await
            }
        }
    }

    fn hints(&self) -> Option<&dyn Hints> {
        None
    }

    fn warnings(&self) -> Vec<String> {
        Self::warnings(self)
    }
}
