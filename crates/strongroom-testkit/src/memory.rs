//! Storage in the memory of the process.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use strongroom_core::{
    Batch, ChangeMark, Entry, Erasure, Expect, Hints, Key, Listed, MAX_VALUE_BYTES, NotDoneKind,
    Op, Page, Profile, Revision, Scan, Storage, StorageError, Written,
};

/// The file that [`MemoryStorage::backup`](Storage::backup) writes.
const DUMP_NAME: &str = "memory.dump";
const DUMP_MAGIC: &[u8] = b"strongroom memory dump 1\n";

/// A complete backend that forgets everything when the last clone is dropped. Clones share one
/// store, so that several engines can open it as several processes would.
///
/// Beside the trait it shows and changes what is stored, as an attacker with write access could.
///
/// ```
/// use strongroom_core::{Batch, Expect, Key, Op, Storage, Written};
/// use strongroom_testkit::MemoryStorage;
///
/// let storage = MemoryStorage::new();
/// let key = Key::new(*b"k");
/// let put = Op::Put { key: key.clone(), expect: Expect::Absent, value: b"v".to_vec() };
/// let written = futures_executor::block_on(storage.write(Batch::new(vec![put])?))?;
///
/// assert!(matches!(written, Written::Committed { .. }));
/// assert_eq!(storage.snapshot()[&key].value, b"v");
/// # Ok::<(), strongroom_core::StorageError>(())
/// ```
#[derive(Clone)]
pub struct MemoryStorage {
    shared: Arc<Mutex<Shared>>,
    profile: Profile,
    marks: bool,
}

#[derive(Default)]
struct Shared {
    records: BTreeMap<Key, Entry>,
    revision: u64,
    mark: u64,
    calls: Calls,
}

/// How often each call of the trait was made on a store.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// Calls of `read`.
    pub reads: u64,
    /// Keys asked for by them.
    pub keys_read: u64,
    /// Calls of `list`.
    pub lists: u64,
    /// Calls of `write`.
    pub writes: u64,
    /// Calls of `erase`.
    pub erases: u64,
    /// Calls of `change_mark`.
    pub marks: u64,
}

impl MemoryStorage {
    /// An empty store with the widest profile: batches of any length, values of 64 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::default(),
            profile: Profile {
                atomic_ops: NonZeroUsize::MAX,
                value_bytes: NonZeroUsize::new(MAX_VALUE_BYTES).unwrap_or(NonZeroUsize::MIN),
                erasure: Erasure::Immediate,
            },
            marks: true,
        }
    }

    /// A handle on the same store with another profile, as a poorer backend would have.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// A handle on the same store that has no change mark, as a remote backend would.
    #[must_use]
    pub fn without_change_mark(mut self) -> Self {
        self.marks = false;
        self
    }

    /// A store with the content of a backup.
    ///
    /// # Errors
    /// Where the directory holds no whole backup of a `MemoryStorage`.
    pub fn from_backup(dir: &Path) -> Result<Self, StorageError> {
        let bytes = fs::read(dir.join(DUMP_NAME)).map_err(|error| io_error(&error))?;
        let damaged = || StorageError::not_done(NotDoneKind::Damaged, "the dump is not whole");
        let (revision, records) = parse_dump(&bytes).ok_or_else(damaged)?;
        let storage = Self::new();
        let mut shared = storage.lock();
        (shared.revision, shared.records) = (revision, records);
        drop(shared);
        Ok(storage)
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All records, as they are now.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<Key, Entry> {
        self.lock().records.clone()
    }

    /// Replaces all records by those of a snapshot: a rollback.
    pub fn restore(&self, snapshot: BTreeMap<Key, Entry>) {
        let mut shared = self.lock();
        shared.records = snapshot;
        shared.mark += 1;
    }

    /// Changes the bytes of a record behind the engine's back, its revision with them. Answers
    /// whether there is such a record.
    pub fn tamper(&self, key: &Key, f: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut shared = self.lock();
        let revision = shared.next_revision();
        shared.mark += 1;
        let Some(entry) = shared.records.get_mut(key) else { return false };
        f(&mut entry.value);
        entry.revision = revision;
        true
    }

    /// Puts a record in place behind the engine's back, or removes it.
    pub fn replace(&self, key: Key, value: Option<Vec<u8>>) {
        let mut shared = self.lock();
        let revision = shared.next_revision();
        shared.mark += 1;
        match value {
            Some(value) => drop(shared.records.insert(key, Entry { revision, value })),
            None => drop(shared.records.remove(&key)),
        }
    }

    /// How often the store was called, through all its handles.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.lock().calls
    }

    /// Counts from zero again.
    pub fn reset_calls(&self) {
        self.lock().calls = Calls::default();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage")
            .field("records", &self.len())
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Storage for MemoryStorage {
    fn profile(&self) -> Profile {
        self.profile
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StorageError> {
        let mut shared = self.lock();
        shared.calls.reads += 1;
        shared.calls.keys_read += u64::try_from(keys.len()).unwrap_or(u64::MAX);
        Ok(keys.iter().map(|key| shared.records.get(key).cloned()).collect())
    }

    async fn list(&self, scan: &Scan) -> Result<Page, StorageError> {
        let mut shared = self.lock();
        shared.calls.lists += 1;
        Ok(shared.list(scan))
    }

    async fn write(&self, batch: Batch) -> Result<Written, StorageError> {
        let mut shared = self.lock();
        shared.calls.writes += 1;
        within_profile(&self.profile, &batch)?;
        Ok(shared.write(batch))
    }

    async fn erase(&self, keys: &[Key]) -> Result<(), StorageError> {
        let mut shared = self.lock();
        shared.calls.erases += 1;
        shared.mark += 1;
        for key in keys {
            shared.records.remove(key);
        }
        Ok(())
    }

    fn change_mark(&self) -> Option<ChangeMark> {
        let mut shared = self.lock();
        shared.calls.marks += 1;
        self.marks.then_some(ChangeMark([shared.mark, 0]))
    }

    async fn backup(&self, dir: &Path, cut: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        let dump = {
            let shared = self.lock();
            cut();
            write_dump(shared.revision, &shared.records)
        };
        fs::write(dir.join(DUMP_NAME), dump).map_err(|error| io_error(&error))
    }

    fn hints(&self) -> Option<&dyn Hints> {
        None
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Shared {
    fn next_revision(&mut self) -> Revision {
        self.revision += 1;
        Revision::new(self.revision.to_be_bytes())
    }

    fn write(&mut self, batch: Batch) -> Written {
        let held = |op: &Op| match (op, self.records.get(op.key())) {
            (Op::Put { expect: Expect::Absent, .. }, found) => found.is_none(),
            (Op::Put { expect: Expect::Revision(revision), .. }, found)
            | (Op::Check { revision, .. }, found) => {
                found.is_some_and(|entry| entry.revision == *revision)
            }
        };
        if let Some(op) = batch.ops().iter().find(|op| !held(op)) {
            return Written::Conflict { key: op.key().clone() };
        }
        self.mark += 1;
        let apply = |op| match op {
            Op::Check { revision, .. } => revision,
            Op::Put { key, value, .. } => {
                let revision = self.next_revision();
                self.records.insert(key, Entry { revision: revision.clone(), value });
                revision
            }
        };
        Written::Committed { revisions: batch.into_ops().into_iter().map(apply).collect() }
    }

    fn list(&self, scan: &Scan) -> Page {
        let prefix = Key::new(scan.prefix.as_slice());
        let start = match &scan.after {
            Some(after) if *after >= prefix => Bound::Excluded(after.clone()),
            _ => Bound::Included(prefix),
        };
        let mut found = self
            .records
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| key.as_bytes().starts_with(&scan.prefix));
        let limit = usize::try_from(scan.limit.get()).unwrap_or(usize::MAX);
        let entries = found.by_ref().take(limit).map(|(key, entry)| Listed {
            key: key.clone(),
            revision: entry.revision.clone(),
            value: scan.with_values.then(|| entry.value.clone()),
        });
        let entries = entries.collect();
        Page { entries, more: found.next().is_some() }
    }
}

/// Refuses a batch that the profile does not allow.
fn within_profile(profile: &Profile, batch: &Batch) -> Result<(), StorageError> {
    let too_large = |what| Err(StorageError::not_done(NotDoneKind::TooLarge, what));
    if batch.ops().len() > profile.atomic_ops.get() {
        return too_large("more operations than one batch can have here");
    }
    let long =
        |op: &Op| matches!(op, Op::Put { value, .. } if value.len() > profile.value_bytes.get());
    if batch.ops().iter().any(long) { too_large("a value is too long") } else { Ok(()) }
}

fn io_error(error: &std::io::Error) -> StorageError {
    StorageError::not_done(NotDoneKind::Denied, format!("the dump: {error}"))
}

/// Magic, revision counter u64, then for each record key, revision and value, each with its length
/// as u32 before it. Integers are big-endian.
fn write_dump(revision: u64, records: &BTreeMap<Key, Entry>) -> Vec<u8> {
    let mut dump = DUMP_MAGIC.to_vec();
    dump.extend(revision.to_be_bytes());
    for (key, entry) in records {
        for field in [key.as_bytes(), entry.revision.as_bytes(), &entry.value] {
            // INVARIANT: no field is longer than 64 KiB.
            dump.extend(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            dump.extend(field);
        }
    }
    dump
}

fn parse_dump(dump: &[u8]) -> Option<(u64, BTreeMap<Key, Entry>)> {
    fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (field, after) =
            after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        *rest = after;
        Some(field)
    }
    let (revision, mut rest) = dump.strip_prefix(DUMP_MAGIC)?.split_first_chunk::<8>()?;
    let mut records = BTreeMap::new();
    while !rest.is_empty() {
        let (key, stamp, value) = (field(&mut rest)?, field(&mut rest)?, field(&mut rest)?);
        let entry = Entry { revision: Revision::new(stamp), value: value.to_vec() };
        records.insert(Key::new(key), entry);
    }
    Some((u64::from_be_bytes(*revision), records))
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    fn put(key: u8, value: &[u8]) -> Batch {
        let key = Key::new([key]);
        Batch::new(vec![Op::Put { key, expect: Expect::Absent, value: value.to_vec() }]).unwrap()
    }

    #[test]
    fn clones_share_the_store_and_count_together() {
        let storage = MemoryStorage::new();
        let other = storage.clone().without_change_mark();
        let before = storage.change_mark().unwrap();
        assert!(matches!(block_on(other.write(put(1, b"x"))).unwrap(), Written::Committed { .. }));
        assert_ne!(storage.change_mark().unwrap(), before);
        assert!(other.change_mark().is_none());
        assert_eq!(storage.len(), 1);
        assert_eq!(storage.calls().writes, 1);
        storage.reset_calls();
        assert_eq!(other.calls(), Calls::default());
    }

    #[test]
    fn a_test_can_tamper_and_roll_back() {
        let storage = MemoryStorage::new();
        let key = Key::new([1]);
        let _ = block_on(storage.write(put(1, b"x"))).unwrap();
        let then = storage.snapshot();
        assert!(storage.tamper(&key, |value| value.push(0)));
        assert!(!storage.tamper(&Key::new([2]), |_| ()));
        assert_ne!(storage.snapshot()[&key], then[&key]);
        storage.restore(then.clone());
        assert_eq!(storage.snapshot(), then);
        storage.replace(key, None);
        assert!(storage.is_empty());
    }

    #[test]
    fn a_backup_comes_back_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let storage = MemoryStorage::new();
        for key in 0..20 {
            let _ = block_on(storage.write(put(key, &[key; 100]))).unwrap();
        }
        let mut cuts = 0;
        block_on(storage.backup(dir.path(), &mut || cuts += 1)).unwrap();
        assert_eq!(cuts, 1);
        assert_eq!(MemoryStorage::from_backup(dir.path()).unwrap().snapshot(), storage.snapshot());
        let file = dir.path().join(DUMP_NAME);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert!(MemoryStorage::from_backup(dir.path()).is_err());
    }
}
