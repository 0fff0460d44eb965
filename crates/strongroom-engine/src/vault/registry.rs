//! The registry: what storage and logs say of one another.
//!
//! The storage keeps a record of each log: how far it was signed, and how it ended. A log that is
//! shorter later, or another, was cut or replaced. A log in turn says what of it was registered: a
//! storage that shows less was set back. Both are seen as the store is opened.
//!
//! A log is synced before it is registered, and told of it afterwards. So whatever a crash takes,
//! none of the two is ahead of what the other one knows.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use strongroom_audit::{LogStage, RegistryRecord, StoredRegistryRecord, Verifier};
use strongroom_core::{
    Attached, AuditError, AuditSink, Batch, DeadLog, Digest, DirectoryId, Entry, Expect, Key,
    KnownLog, LogId, Monotonic, Op, Receipt, Scan, Storage, StoreId, TreeHead, Written,
};

use super::Vault;
use super::untold::untold;
use super::verify::feed;
use crate::error::{Error, Tampered, Unavailable};

const PAGE: NonZeroU32 = NonZeroU32::new(256).unwrap();
/// How often a record that others replace meanwhile is read anew.
const ATTEMPTS: usize = 8;
/// How long a write that has something to register leaves it be, after that failed.
const RETRY: Duration = Duration::from_secs(10);

/// What is registered of the own log.
#[derive(Debug)]
pub(super) struct Registry {
    directory: Option<DirectoryId>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    size: u64,
    is_busy: bool,
    failed: Option<Monotonic>,
    /// The record that says most of it, to be pinned.
    newest: Vec<u8>,
    /// How much of other logs the own one cites.
    cited: HashMap<LogId, u64>,
    /// It does so in lines that it has not signed yet.
    has_cited: bool,
}

impl Registry {
    pub(super) const fn directory(&self) -> Option<DirectoryId> {
        self.directory
    }

    pub(super) fn new(directory: Option<DirectoryId>) -> Self {
        Self { directory, state: Mutex::default() }
    }

    fn is_due(&self, size: u64, now: Monotonic) -> bool {
        let state = self.lock();
        let rests = state.failed.is_some_and(|failed| now.saturating_since(failed) < RETRY);
        self.directory.is_some() && state.size < size && !rests
    }

    /// Whoever gets a turn registers so many records; `None` where that is done, or being done.
    fn turn(&self, size: u64, now: Monotonic) -> Option<Turn<'_>> {
        let mut state = self.lock();
        if state.is_busy || state.size >= size {
            return None;
        }
        state.is_busy = true;
        state.failed = Some(now);
        Some(Turn { registry: self, size: None })
    }

    /// What to pin where this record is stored: it, or one that says more and was stored since.
    pub(super) fn newest(&self, key: &Key, record: &[u8]) -> Vec<u8> {
        let place = |record: &[u8]| {
            let peeked = RegistryRecord::peek(key, record).ok();
            peeked.map(|peeked| (peeked.stage, peeked.head.size))
        };
        let mut state = self.lock();
        if place(&state.newest) < place(record) {
            state.newest = record.to_vec();
        }
        state.newest.clone()
    }

    /// How much of another log the own one cites.
    pub(super) fn cited(&self, log: LogId) -> u64 {
        self.lock().cited.get(&log).copied().unwrap_or_default()
    }

    pub(super) fn has_cited(&self, logs: impl Iterator<Item = (LogId, u64)>) {
        let mut state = self.lock();
        state.cited.extend(logs);
        state.has_cited = true;
    }

    /// These need not be cited.
    pub(super) fn leaves_uncited(&self, logs: impl Iterator<Item = (LogId, u64)>) {
        self.lock().cited.extend(logs);
    }

    /// Whether there are citations that were not signed when this was asked last.
    fn is_to_be_signed(&self) -> bool {
        std::mem::take(&mut self.lock().has_cited)
    }

    /// What is cited is cited again: the lines that do may be gone.
    pub(super) fn forget_cited(&self) {
        self.lock().cited.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next one have a turn when it is dropped, whatever came of this one.
struct Turn<'a> {
    registry: &'a Registry,
    size: Option<u64>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        state.is_busy = false;
        if let Some(size) = self.size {
            state.size = state.size.max(size);
            state.failed = None;
        }
    }
}

/// The registry records of a store, as they are stored. One that does not verify is none: what it
/// should say, the log and `verify` tell.
#[derive(Debug, Default)]
pub(super) struct Registered(HashMap<LogId, StoredRegistryRecord>);

impl Registered {
    /// All of them, read before the logs are looked at: what is registered was there before.
    pub(super) async fn read(storage: &dyn Storage) -> Result<Self, Error> {
        let prefix = strongroom_crypto::log_registry_prefix();
        let mut scan = Scan { prefix, after: None, limit: PAGE, with_values: true };
        let mut records = Self::default();
        loop {
            let page = storage.list(&scan).await?;
            for entry in page.entries {
                scan.after = Some(entry.key.clone());
                records.insert(entry.key, entry.value.unwrap_or_default());
            }
            if !page.more {
                return Ok(records);
            }
        }
    }

    /// Those of some logs.
    pub(super) async fn of(storage: &dyn Storage, keys: &[Key]) -> Result<Self, Error> {
        let mut records = Self::default();
        // An empty read is none.
        let entries = if keys.is_empty() { Vec::new() } else { storage.read(keys).await? };
        for (key, entry) in keys.iter().zip(entries) {
            if let Some(entry) = entry {
                records.insert(key.clone(), entry.value);
            }
        }
        Ok(records)
    }

    fn insert(&mut self, key: Key, record: Vec<u8>) {
        let record = StoredRegistryRecord::new(key, record);
        if let Ok(peeked) = record.peek() {
            self.0.insert(peeked.log, record);
        }
    }

    pub(super) fn get(&self, store: StoreId, log: LogId) -> Option<RegistryRecord> {
        self.0.get(&log)?.verify(store).ok()
    }

    /// The logs that a directory keeps and that stand so.
    pub(super) fn at(
        &self,
        store: StoreId,
        directory: Option<DirectoryId>,
        stage: LogStage,
    ) -> Vec<LogId> {
        let logs = self.0.keys().filter(|log| {
            let record = self.get(store, **log);
            record.is_some_and(|it| it.stage == stage && Some(it.directory) == directory)
        });
        logs.copied().collect()
    }

    /// The records of logs that are open or were ended, and that say more of them than is known, by
    /// log.
    pub(super) fn newer(
        &self,
        store: StoreId,
        known: impl Fn(LogId) -> u64,
    ) -> Vec<RegistryRecord> {
        let records = self.0.iter();
        let newer = records.filter(|(log, stored)| {
            stored.peek().is_ok_and(|it| {
                matches!(it.stage, LogStage::Open | LogStage::Ended) && it.head.size > known(**log)
            })
        });
        let mut newer: Vec<_> = newer.filter_map(|(_, stored)| stored.verify(store).ok()).collect();
        newer.sort_unstable_by_key(|record| record.log);
        newer
    }

    /// How much is registered of some logs.
    pub(super) fn heads<'a>(
        &'a self,
        store: StoreId,
        logs: &'a [LogId],
    ) -> impl Iterator<Item = (LogId, u64)> + 'a {
        logs.iter().filter_map(move |log| Some((*log, self.get(store, *log)?.head.size)))
    }

    pub(super) fn is_settled(&self, store: StoreId, log: LogId) -> bool {
        // One without a record is read: the log says whether there was one.
        self.get(store, log).is_some_and(|record| record.stage > LogStage::Ended)
    }

    /// The records of logs that these directories keep.
    fn kept_in(&self, store: StoreId, directories: &HashSet<DirectoryId>) -> Vec<RegistryRecord> {
        let records = self.0.values();
        let near = records.filter(|record| {
            record.peek().is_ok_and(|peeked| directories.contains(&peeked.directory))
        });
        near.filter_map(|record| record.verify(store).ok()).collect()
    }

    /// A log that was cut within its first lines, and of which nothing is known.
    fn unregistered_cut(&self, store: StoreId, attached: &Attached) -> Option<LogId> {
        let mut cut = attached.logs.iter().filter(|known| known.is_cut_short);
        cut.find(|known| self.get(store, known.log).is_none()).map(|known| known.log)
    }

    /// Holds the logs of the directory against what was registered of them, and the other way
    /// round: all that disagrees.
    pub(super) async fn misfits(
        &self,
        storage: &dyn Storage,
        sink: &dyn AuditSink,
        store: StoreId,
        attached: &Attached,
    ) -> Result<Vec<Tampered>, Error> {
        let Some(directory) = attached.directory else { return Ok(Vec::new()) };
        let known: HashMap<LogId, &KnownLog> =
            attached.logs.iter().map(|known| (known.log, known)).collect();
        let dead: HashMap<LogId, &DeadLog> =
            attached.dead.iter().map(|dead| (dead.log, dead)).collect();
        // A directory that says it is another one than when its logs were registered is both.
        let mut ours = HashSet::from([directory]);
        for log in known.keys() {
            ours.extend(self.get(store, *log).map(|record| record.directory));
        }
        let mut misfits = Vec::new();
        for record in self.kept_in(store, &ours) {
            let log = record.log;
            let fits = record.stage >= LogStage::Lost
                || known.get(&log).is_some_and(|known| fits_log(&record, known, dead.get(&log)));
            if fits || is_pruned(storage, store, log, true).await? {
                continue;
            }
            misfits.push(Tampered::AuditLogRolledBack { log, size: record.head.size });
        }
        if let Some(cut) = self.unregistered_cut(store, attached) {
            let detail =
                "it ends before what it was begun with, and nothing was registered of it: \
                          where no backup has more, take its file away"
                    .into();
            let file = cut.to_string().into();
            return Err(AuditError::Malformed { file, line: 1, detail }.into());
        }
        for (log, registered) in told(attached).filter(|(_, registered)| *registered > 0) {
            let mut stored = self.get(store, log).map_or(0, |record| record.head.size);
            if stored < registered {
                // It was registered after all were read, perhaps.
                let now = stored_entry(storage, log).await?;
                let now = now.and_then(|(key, entry)| {
                    RegistryRecord::verify(store, &key, &entry.value).ok()
                });
                stored = now.map_or(0, |record| record.head.size);
            }
            if stored < registered {
                misfits.push(Tampered::StorageRolledBack { log, registered, stored });
            }
        }
        untold(storage, sink, store, misfits).await
    }
}

/// What logs say of what was registered of them.
fn told(attached: &Attached) -> impl Iterator<Item = (LogId, u64)> {
    let ended = attached.logs.iter().filter_map(|known| Some((known.log, known.ended?.registered)));
    ended.chain(attached.dead.iter().map(|dead| (dead.log, dead.registered)))
}

/// Whether a log is what was registered of it, as far as is known of it.
fn fits_log(record: &RegistryRecord, known: &KnownLog, dead: Option<&&DeadLog>) -> bool {
    let head = record.head;
    if known.is_cut_short {
        return false;
    }
    if let Some(end) = known.ended {
        return match record.stage {
            LogStage::Open => head.size <= end.head.size,
            LogStage::Ended => head == end.head,
            _ => false,
        };
    }
    // What its writer ended has an end, whoever holds its file or has left a note beside it. A log
    // that is written, or was settled before, is not read here.
    let Some(dead) = dead else { return record.stage != LogStage::Ended };
    let all = TreeHead { size: dead.size, root: dead.root };
    // The writer has signed more than that since, and what it was is read by `verify` alone.
    let is_before = dead.checkpoints.first().is_some_and(|first| head.size < first.size);
    match record.stage {
        LogStage::Open => head == all || is_before || dead.checkpoints.contains(&head),
        LogStage::Settled => head == all,
        _ => false,
    }
}

/// Whether a log was pruned since its record was stored: that says so by now, or is erased.
async fn is_pruned(
    storage: &dyn Storage,
    store: StoreId,
    log: LogId,
    was_stored: bool,
) -> Result<bool, Error> {
    let Some((key, entry)) = stored_entry(storage, log).await? else { return Ok(was_stored) };
    let record = RegistryRecord::verify(store, &key, &entry.value);
    Ok(record.is_ok_and(|record| record.stage == LogStage::Pruned))
}

pub(super) async fn stored_entry(
    storage: &dyn Storage,
    log: LogId,
) -> Result<Option<(Key, Entry)>, Error> {
    let key = strongroom_crypto::log_registry_key(log);
    let entry = storage.read(std::slice::from_ref(&key)).await?.pop().flatten();
    Ok(entry.map(|entry| (key, entry)))
}

impl Vault {
    /// Registers and pins the own log where there is an anchor, and registers the ends of logs that
    /// nobody was left to register. Else an opening writes nothing to the storage, and the own log is
    /// registered by its first write. So is what cannot be registered now.
    ///
    /// Answers the logs that say that they ended, and did not end so. `accepted` are those that
    /// disagree and were accepted.
    pub(super) async fn register_logs(
        &self,
        before: &Registered,
        attached: &Attached,
        accepted: &[Tampered],
        pinned: &[LogId],
    ) -> Result<Vec<Tampered>, Error> {
        let is_missing = |known: &&KnownLog| {
            let record = before.get(self.store, known.log);
            let is_open = record.is_none_or(|record| record.stage == LogStage::Open);
            known.ended.is_some() && is_open && !accepted.iter().any(|it| it.is_loss_of(known.log))
        };
        let missing: Vec<&KnownLog> = attached.logs.iter().filter(is_missing).collect();
        let mut unconfirmed = Vec::new();
        if self.anchor.is_none() && missing.is_empty() {
            return Ok(unconfirmed);
        }
        // A storage that has the own log has what the storage had before it, too.
        // So it has where the pin of a log that was pruned came late.
        let is_covered = |log: &&LogId| {
            before.get(self.store, **log).is_none_or(|record| record.stage != LogStage::Open)
                || accepted.iter().any(|it| it.log() == Some(**log))
        };
        let covers: Vec<LogId> = pinned.iter().filter(is_covered).copied().collect();
        if !self.renew(&covers).await {
            return Ok(unconfirmed);
        }
        for known in missing {
            let Some(end) = known.ended else { continue };
            // Its last line may be no more than that, or not be on the medium yet.
            if !self.sink.confirm_end(known.log, self.store).await? {
                let registered = before.get(self.store, known.log);
                // It may have been ended, registered and pruned since all were looked at.
                let was_stored = registered.is_some() || end.registered > 0;
                if is_pruned(&*self.storage, self.store, known.log, was_stored).await? {
                    continue;
                }
                let size = registered.map_or(end.head.size, |record| record.head.size);
                unconfirmed.push(Tampered::AuditLogRolledBack { log: known.log, size });
                continue;
            }
            match self.register(known.log, LogStage::Ended, end.head).await {
                // What is wrong with one record says nothing of the next one.
                Ok(_)
                | Err(Error::Tampered(_) | Error::Unavailable(Unavailable::Unsupported(_))) => {}
                Err(_) => break,
            }
        }
        untold(&*self.storage, &*self.sink, self.store, unconfirmed).await
    }

    /// Logs that agree with what is registered of them, and of which others cite more. That is looked
    /// for where whoever opens the store accepts it: it takes all lines of all logs.
    pub(super) async fn shorter_than_cited(
        &self,
        before: &Registered,
        attached: &Attached,
        accepted: &[Tampered],
    ) -> Result<Vec<Tampered>, Error> {
        let dead: HashSet<LogId> = attached.dead.iter().map(|dead| dead.log).collect();
        let is_over = |known: &KnownLog| {
            known.ended.is_some()
                || dead.contains(&known.log)
                || before.is_settled(self.store, known.log)
        };
        // Somebody writes those, and what they have lost they say themselves.
        let live: HashSet<LogId> =
            attached.logs.iter().filter(|known| !is_over(known)).map(|known| known.log).collect();
        let Some(reader) = self.sink.reader() else { return Ok(Vec::new()) };
        let (mut verifier, mut seen) = (Verifier::new(Some(self.store)), Vec::new());
        for _ in 0..ATTEMPTS {
            let known = seen.clone();
            feed(reader, &mut verifier, &mut seen).await?;
            if seen != known {
                // What is cited was there before: another process may have written it since.
                continue;
            }
            let shorter = verifier.shorter_than_cited().into_iter();
            let is_accepted = |log: LogId| {
                before.get(self.store, log).is_some_and(|record| record.stage >= LogStage::Lost)
                    || accepted.iter().any(|it| it.is_loss_of(log))
            };
            return Ok(shorter
                .filter(|(log, _)| !is_accepted(*log) && !live.contains(log))
                .map(|(log, size)| Tampered::AuditLogRolledBack { log, size })
                .collect());
        }
        // Of a store that others write without a pause nothing is accepted that is not seen for sure.
        Ok(Vec::new())
    }

    /// Says of logs that lines of them are gone, and that this was accepted. What is known of the
    /// lines stays.
    pub(super) async fn give_up(
        &self,
        before: &Registered,
        misfits: &[Tampered],
    ) -> Result<(), Error> {
        for misfit in misfits {
            if let Tampered::AuditLogRolledBack { log, size } = *misfit {
                let nothing = TreeHead { size, root: Digest::from_bytes([0; 32]) };
                let head = before.get(self.store, log).map_or(nothing, |record| record.head);
                self.register(log, LogStage::Lost, head).await?;
            }
        }
        Ok(())
    }

    /// Registers and pins how far the own log is signed, where that is more than is registered.
    pub(super) async fn renew_registry(&self) {
        let now = self.clock.elapsed();
        if self.sink.signed(self.log).is_some_and(|head| self.registry.is_due(head.size, now)) {
            // Boxed, so that a write that has nothing to register does not carry the room for it.
            Box::pin(self.renew(&[])).await;
        }
    }

    /// Whether the storage took it.
    async fn renew(&self, covers: &[LogId]) -> bool {
        let Some(head) = self.sink.signed(self.log) else { return false };
        let Some(mut turn) = self.registry.turn(head.size, self.clock.elapsed()) else {
            return false;
        };
        if let Ok(registered) = Registered::read(&*self.storage).await {
            self.cite(&registered).await;
        }
        // What is registered covers what was cited.
        let head = match self.registry.is_to_be_signed() {
            true => self.sink.checkpoint(self.log).ok().flatten().unwrap_or(head),
            false => head,
        };
        // The record that signs the others is the one after them.
        let last = Receipt { log: self.log, index: head.size };
        if self.sink.sync(&last).await.is_ok()
            && let Ok(record) = self.register(self.log, LogStage::Open, head).await
        {
            self.sink.registered(self.log, head.size);
            turn.size = Some(head.size);
            // An anchor that is away now is told of the next one.
            let _ = self.pin(record, covers).await;
            return true;
        }
        false
    }

    /// Signs the own log as it is, registers and pins it.
    pub(crate) async fn checkpoint(&self) -> Result<TreeHead, Error> {
        self.checkpoint_covering(&[]).await
    }

    /// The same, for these logs too: their pins are not needed any more.
    pub(super) async fn checkpoint_covering(&self, covers: &[LogId]) -> Result<TreeHead, Error> {
        if self.registry.directory.is_some()
            && let Ok(registered) = Registered::read(&*self.storage).await
        {
            self.cite(&registered).await;
        }
        let head = self.sink.checkpoint(self.log)?.ok_or(Unavailable::Unsupported(
            "this audit sink signs nothing: anchor it where its records are kept",
        ))?;
        self.sink.sync(&Receipt { log: self.log, index: head.size }).await?;
        if self.registry.directory.is_some() {
            let record = self.register(self.log, LogStage::Open, head).await?;
            self.sink.registered(self.log, head.size);
            self.pin(record, covers).await?;
        }
        Ok(head)
    }

    /// Registers and pins how the own log ended. Where the storage takes it not, the next opener
    /// registers it.
    pub(crate) async fn register_end(&self, head: Option<TreeHead>) {
        if let Some(head) = head
            && let Ok(record) = self.register(self.log, LogStage::Ended, head).await
        {
            let _ = self.pin(record, &[]).await;
        }
    }

    /// Registers a log, and answers what is stored then. A record that says as much of the same
    /// stage already stays.
    pub(super) async fn register(
        &self,
        log: LogId,
        stage: LogStage,
        head: TreeHead,
    ) -> Result<Vec<u8>, Error> {
        let directory = self.registry.directory.ok_or(Unavailable::Unsupported(
            "this audit sink does not say where it keeps its logs",
        ))?;
        let mut record = RegistryRecord { log, directory, stage, head };
        for _ in 0..ATTEMPTS {
            let expect = match stored_entry(&*self.storage, log).await? {
                None => Expect::Absent,
                Some((key, entry)) => {
                    let stored = RegistryRecord::verify(self.store, &key, &entry.value)
                        .map_err(|source| Tampered::Registry { log, source })?;
                    if stored.stage > stage {
                        if log == self.log && self.sink.signed(log).is_none() {
                            return Err(Unavailable::Audit(AuditError::Closed).into());
                        }
                        return Err(Unavailable::Unsupported(
                            "somebody else has ended or settled this log: no other process and no \
                             copy may have its directory",
                        )
                        .into());
                    }
                    if stored.stage == stage && stored.head.size >= head.size {
                        return Ok(entry.value);
                    }
                    record.directory = stored.directory;
                    Expect::Revision(entry.revision)
                }
            };
            let value = {
                let keys = self.keys.get()?;
                let identity = &keys.keyring.identity;
                record.encode(&identity.public_key(), |message| identity.sign(message))
            };
            let put = Op::Put { key: record.key(), expect, value: value.clone() };
            if let Written::Committed { .. } = self.storage.write(Batch::new(vec![put])?).await? {
                return Ok(value);
            }
        }
        Err(Unavailable::Unsupported("a log's registry record is replaced over and over").into())
    }
}
