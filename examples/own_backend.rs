//! A backend of one's own, in one file: `cargo run --example own_backend [DIRECTORY]`.
//!
//! Keeps all records in one JSON file, which each commit replaces as a whole, and takes one lock
//! for whatever it does. That is slow, since a commit costs as much as the store is large, and it
//! keeps every promise of the [`Storage`] trait: `tests/own_backend.rs` holds it to them in one
//! line. What it is given is encrypted already, so that it looks after bytes and nothing else.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strongroom::{
    Argon2Cost, Batch, ChangeMark, Credential, Entry, Erasure, Expect, FileLog, Hints, Key, Listed,
    MAX_VALUE_BYTES, NotDoneKind, Op, Page, Passphrase, Policy, Principal, Profile, Revision, Scan,
    Storage, StorageError, Strongroom, Written, async_trait,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let dir = std::env::args().nth(1).map_or_else(|| scratch.path().join("room"), PathBuf::from);
    let owner = Principal::user("owner");
    let open = || -> Result<_, Box<dyn std::error::Error>> {
        Ok(Strongroom::builder()
            .storage(OneFile::open(dir.join("records"))?)
            .seal(Passphrase::new("correct horse battery staple").with_cost(Argon2Cost::LEAST))
            .policy(Policy::owned_by(&owner))
            .audit(FileLog::open_inline(dir.join("audit"))?)
            .blocking()
            .open_or_create()?)
    };
    let room = open()?;
    let version =
        room.session(owner.clone()).put("home/router", Credential::new("admin", "s3cr3t"))?;
    println!("version {version} is in {}", dir.join("records").display());
    room.close()?;

    let room = open()?;
    let read: Credential = room.session(owner.clone()).get("home/router")?;
    println!("opened again: {read:?}, {} bytes", read.password().len());
    let report = room.session(owner.clone()).verify()?;
    println!("verified: {} accusations", report.accusations().count());
    room.close()?;
    Ok(())
}

const FILE: &str = "records.json";
const DRAFT: &str = "records.new";
const LOCK: &str = "lock";
/// How many operations a batch may have. This backend could take any number.
const ATOMIC_OPS: usize = 256;

/// The records in a directory. Every handle on it, in whatever process, sees the same ones.
///
/// Files are read and written in place, so that a call blocks the thread that polls it. A backend
/// for a busy service hands the work to a thread of its own, as `SqliteStorage::open` does.
#[derive(Debug)]
pub(crate) struct OneFile(PathBuf);

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Records {
    /// Counts every put that there ever was. Revisions are drawn from it, so that none comes back
    /// even where a record was erased and put anew.
    puts: u64,
    /// Key, revision, value; in bytewise order of the keys.
    records: Vec<(Vec<u8>, u64, Vec<u8>)>,
}

impl OneFile {
    /// The store in this directory, which is made if there is none.
    pub(crate) fn open(dir: impl AsRef<Path>) -> Result<Self, StorageError> {
        let dir = dir.as_ref().to_path_buf();
        std::fs::create_dir_all(&dir).map_err(|e| not_done("its directory cannot be made", e))?;
        Ok(Self(dir))
    }

    /// Waits until no other handle reads or writes; the lock goes with the file that is returned.
    fn lock(&self) -> Result<File, StorageError> {
        // Opened anew each time: the lock is that of an open file, and threads exclude each other.
        let file = File::options().create(true).append(true).open(self.0.join(LOCK));
        let file = file.map_err(|e| not_done("its lock cannot be opened", e))?;
        file.lock().map_err(|e| not_done("its lock cannot be taken", e))?;
        Ok(file)
    }

    fn load(&self) -> Result<Records, StorageError> {
        match std::fs::read(self.0.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                StorageError::not_done(NotDoneKind::Damaged, "its file does not parse")
                    .because(error)
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Records::default()),
            Err(error) => Err(not_done("its file cannot be read", error)),
        }
    }

    /// Puts another file in the place of the one that is there, under the lock.
    fn replace(&self, records: &Records) -> Result<(), StorageError> {
        let draft = self.0.join(DRAFT);
        let write = || {
            // Of one name, so that the next commit takes away what a killed one left.
            let mut file = File::create(&draft)?;
            file.write_all(&serde_json::to_vec(records)?)?;
            file.sync_all()
        };
        write().map_err(|error| not_done("a new file cannot be written", error))?;
        // Up to here nothing happened. The rename is the commit, and a power cut may undo it until
        // the directory is synced: what fails in between is neither done nor not done.
        let renamed = std::fs::rename(&draft, self.0.join(FILE));
        renamed.and_then(|_| File::open(&self.0)?.sync_all()).map_err(|error| {
            StorageError::indeterminate("its file was being replaced").because(error)
        })
    }
}

impl Records {
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.records.binary_search_by(|(at, ..)| at.as_slice().cmp(key))
    }

    fn entry(&self, key: &[u8]) -> Option<Entry> {
        let (_, number, value) = self.records.get(self.find(key).ok()?)?;
        Some(Entry { revision: revision(*number), value: value.clone() })
    }

    fn is_as_expected(&self, op: &Op) -> bool {
        let found = self.entry(op.key().as_bytes()).map(|entry| entry.revision);
        match op {
            Op::Put { expect: Expect::Absent, .. } => found.is_none(),
            Op::Put { expect: Expect::Revision(expected), .. } => found.as_ref() == Some(expected),
            Op::Check { revision, .. } => found.as_ref() == Some(revision),
        }
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>) -> Revision {
        self.puts += 1;
        let record = (key.to_vec(), self.puts, value);
        match self.find(key) {
            Ok(at) => self.records.splice(at..=at, [record]).for_each(drop),
            Err(at) => self.records.insert(at, record),
        }
        revision(self.puts)
    }
}

fn revision(number: u64) -> Revision {
    Revision::new(number.to_be_bytes())
}

fn not_done(detail: &str, error: std::io::Error) -> StorageError {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => NotDoneKind::Full,
        ErrorKind::ReadOnlyFilesystem => NotDoneKind::ReadOnly,
        ErrorKind::PermissionDenied => NotDoneKind::Denied,
        _ => NotDoneKind::Unreachable,
    };
    StorageError::not_done(kind, detail).because(error)
}

#[async_trait]
impl Storage for OneFile {
    fn profile(&self) -> Profile {
        Profile {
            atomic_ops: NonZeroUsize::new(ATOMIC_OPS).unwrap_or(NonZeroUsize::MIN),
            value_bytes: NonZeroUsize::new(MAX_VALUE_BYTES).unwrap_or(NonZeroUsize::MIN),
            // The old file is gone once nobody has it open; nobody does outside the lock.
            erasure: Erasure::Immediate,
        }
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StorageError> {
        let _lock = self.lock()?;
        let records = self.load()?;
        Ok(keys.iter().map(|key| records.entry(key.as_bytes())).collect())
    }

    async fn list(&self, scan: &Scan) -> Result<Page, StorageError> {
        let _lock = self.lock()?;
        let records = self.load()?.records;
        let mut found = records.into_iter().filter(|(key, ..)| {
            key.starts_with(&scan.prefix)
                && scan.after.as_ref().is_none_or(|after| key.as_slice() > after.as_bytes())
        });
        let limit = usize::try_from(scan.limit.get()).unwrap_or(usize::MAX);
        let entries = found.by_ref().take(limit).map(|(key, number, value)| Listed {
            key: Key::new(key),
            revision: revision(number),
            value: scan.with_values.then_some(value),
        });
        Ok(Page { entries: entries.collect(), more: found.next().is_some() })
    }

    async fn write(&self, batch: Batch) -> Result<Written, StorageError> {
        if batch.ops().len() > ATOMIC_OPS {
            return Err(StorageError::not_done(NotDoneKind::TooLarge, "too many operations"));
        }
        let _lock = self.lock()?;
        let mut records = self.load()?;
        if let Some(op) = batch.ops().iter().find(|op| !records.is_as_expected(op)) {
            return Ok(Written::Conflict { key: op.key().clone() });
        }
        let before = records.puts;
        let ops = batch.into_ops().into_iter().map(|op| match op {
            Op::Put { key, value, .. } => records.put(key.as_bytes(), value),
            Op::Check { revision, .. } => revision,
        });
        let revisions = ops.collect();
        if records.puts > before {
            self.replace(&records)?;
        }
        Ok(Written::Committed { revisions })
    }

    async fn erase(&self, keys: &[Key]) -> Result<(), StorageError> {
        let _lock = self.lock()?;
        let mut records = self.load()?;
        let before = records.records.len();
        records.records.retain(|(at, ..)| !keys.iter().any(|key| key.as_bytes() == at));
        if records.records.len() < before { self.replace(&records) } else { Ok(()) }
    }

    fn change_mark(&self) -> Option<ChangeMark> {
        None // it would have to open the file
    }

    async fn backup(&self, dir: &Path, cut: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        let _lock = self.lock()?;
        let records = self.load()?;
        cut();
        Self::open(dir)?.replace(&records)
    }

    fn hints(&self) -> Option<&dyn Hints> {
        None
    }
}
