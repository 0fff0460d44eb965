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

use strongroom_audit::{LogStage, RegistryRecord};
use strongroom_core::{
    Attached, Batch, DirectoryId, Entry, Expect, Key, KnownLog, LogId, Op, Receipt, Scan, Storage,
    StoreId, TreeHead, Written,
};

use super::Vault;
use crate::error::{Error, Tampered, Unavailable};

const PAGE: NonZeroU32 = NonZeroU32::new(256).unwrap();
/// How often a record that others replace meanwhile is read anew.
const ATTEMPTS: usize = 8;

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
}

impl Registry {
    pub(super) fn new(directory: Option<DirectoryId>) -> Self {
        Self { directory, state: Mutex::default() }
    }

    pub(super) const fn directory(&self) -> Option<DirectoryId> {
        self.directory
    }

    fn is_behind(&self, size: u64) -> bool {
        self.lock().size < size
    }

    /// Whoever gets a turn registers so many records; `None` where that is done, or being done.
    fn turn(&self, size: u64) -> Option<Turn<'_>> {
        let mut state = self.lock();
        if state.is_busy || state.size >= size {
            return None;
        }
        state.is_busy = true;
        Some(Turn { registry: self, size: None })
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
        state.size = state.size.max(self.size.unwrap_or_default());
    }
}

/// The registry records of a store.
#[derive(Debug, Default)]
pub(super) struct Registered(HashMap<LogId, RegistryRecord>);

impl Registered {
    /// All of them, read before the logs are looked at: what is registered was there before.
    pub(super) async fn read(storage: &dyn Storage, store: StoreId) -> Result<Self, Error> {
        let prefix = strongroom_crypto::log_registry_prefix();
        let mut scan = Scan { prefix, after: None, limit: PAGE, with_values: true };
        let mut records = HashMap::new();
        loop {
            let page = storage.list(&scan).await?;
            scan.after = page.entries.last().map(|entry| entry.key.clone());
            for entry in page.entries {
                let value = entry.value.unwrap_or_default();
                let record = RegistryRecord::verify(store, &entry.key, &value)
                    .map_err(Tampered::Registry)?;
                records.insert(record.log, record);
            }
            if !page.more {
                return Ok(Self(records));
            }
        }
    }

    /// Those of some logs.
    pub(super) async fn of(
        storage: &dyn Storage,
        store: StoreId,
        keys: &[Key],
    ) -> Result<Self, Error> {
        let mut records = HashMap::new();
        // An empty read is none.
        let entries = if keys.is_empty() { Vec::new() } else { storage.read(keys).await? };
        for (key, entry) in keys.iter().zip(entries) {
            let Some(entry) = entry else { continue };
            let record =
                RegistryRecord::verify(store, key, &entry.value).map_err(Tampered::Registry)?;
            records.insert(record.log, record);
        }
        Ok(Self(records))
    }

    pub(super) fn get(&self, log: LogId) -> Option<RegistryRecord> {
        self.0.get(&log).copied()
    }

    /// The logs that have come to their end.
    fn ended(&self) -> Vec<LogId> {
        let ended = self.0.values().filter(|record| record.stage != LogStage::Open);
        ended.map(|record| record.log).collect()
    }

    /// Holds the logs of the directory against what was registered of them, and the other way round.
    pub(super) async fn check(
        &self,
        storage: &dyn Storage,
        store: StoreId,
        attached: &Attached,
    ) -> Result<(), Error> {
        let Some(directory) = attached.directory else { return Ok(()) };
        let known: HashMap<LogId, &KnownLog> =
            attached.logs.iter().map(|known| (known.log, known)).collect();
        // A directory that says it is another one than when its logs were registered is both.
        let mut ours: HashSet<DirectoryId> = self
            .0
            .values()
            .filter(|record| known.contains_key(&record.log))
            .map(|record| record.directory)
            .collect();
        ours.insert(directory);
        for record in self.0.values().filter(|record| ours.contains(&record.directory)) {
            let fits =
                known.get(&record.log).is_some_and(|known| fits_log(record, known, attached));
            if !fits {
                let (log, size) = (record.log, record.head.size);
                return Err(Tampered::AuditLogRolledBack { log, size }.into());
            }
        }
        for (log, registered) in told(attached).filter(|(_, registered)| *registered > 0) {
            let mut stored = self.0.get(&log).map_or(0, |record| record.head.size);
            if stored < registered {
                // It was registered after all were read, perhaps.
                let now = stored_record(storage, store, log).await?;
                stored = now.map_or(0, |(record, _)| record.head.size);
            }
            if stored < registered {
                return Err(Tampered::StorageRolledBack { log, registered, stored }.into());
            }
        }
        Ok(())
    }

    fn is_open(&self, log: LogId) -> bool {
        self.0.get(&log).is_none_or(|record| record.stage == LogStage::Open)
    }
}

/// What logs say of what was registered of them.
fn told(attached: &Attached) -> impl Iterator<Item = (LogId, u64)> {
    let ended = attached.logs.iter().filter_map(|known| Some((known.log, known.ended?.registered)));
    ended.chain(attached.dead.iter().map(|dead| (dead.log, dead.registered)))
}

/// Whether a log is what was registered of it, as far as is known of it.
fn fits_log(record: &RegistryRecord, known: &KnownLog, attached: &Attached) -> bool {
    let head = record.head;
    if let Some(end) = known.ended {
        return match record.stage {
            LogStage::Open => head.size <= end.head.size,
            LogStage::Ended => head == end.head,
            LogStage::Settled => false,
        };
    }
    // A log that is written, or was settled before, is not read here.
    let Some(dead) = attached.dead.iter().find(|dead| dead.log == known.log) else { return true };
    let all = TreeHead { size: dead.size, root: dead.root };
    // The writer has signed more than that since, and what it was is read by `verify` alone.
    let is_before = dead.checkpoints.first().is_some_and(|first| head.size < first.size);
    match record.stage {
        LogStage::Open => head == all || is_before || dead.checkpoints.contains(&head),
        LogStage::Ended => false,
        LogStage::Settled => head == all,
    }
}

async fn stored_record(
    storage: &dyn Storage,
    store: StoreId,
    log: LogId,
) -> Result<Option<(RegistryRecord, Entry)>, Error> {
    let key = strongroom_crypto::log_registry_key(log);
    let entry = storage.read(std::slice::from_ref(&key)).await?.pop().flatten();
    entry
        .map(|entry| {
            let record =
                RegistryRecord::verify(store, &key, &entry.value).map_err(Tampered::Registry)?;
            Ok((record, entry))
        })
        .transpose()
}

impl Vault {
    /// Registers and pins the own log, and registers the ends of logs that nobody was left to
    /// register. What cannot be registered now, because the storage takes no writes, is registered
    /// by a later write.
    pub(super) async fn register_logs(&self, before: &Registered, attached: &Attached) {
        // A storage that has the own log has what the storage had before it, too.
        self.renew(&before.ended()).await;
        for known in &attached.logs {
            if let Some(end) = known.ended
                && before.is_open(known.log)
            {
                let _ = self.register(known.log, LogStage::Ended, end.head).await;
            }
        }
    }

    /// Registers and pins how far the own log is signed, where that is more than is registered.
    pub(super) async fn renew_registry(&self) {
        if self.sink.signed().is_some_and(|head| self.registry.is_behind(head.size)) {
            // Boxed, so that a write that has nothing to register does not carry the room for it.
            Box::pin(self.renew(&[])).await;
        }
    }

    async fn renew(&self, covers: &[LogId]) {
        let Some(head) = self.sink.signed() else { return };
        let Some(mut turn) = self.registry.turn(head.size) else { return };
        // The record that signs the others is the one after them.
        let last = Receipt { log: self.log, index: head.size };
        if self.sink.sync(&last).await.is_ok()
            && let Ok(record) = self.register(self.log, LogStage::Open, head).await
        {
            self.sink.registered(head.size);
            turn.size = Some(head.size);
            // An anchor that is away now is told of the next one.
            let _ = self.pin(record, covers).await;
        }
    }

    /// Signs the own log as it is, registers and pins it.
    pub(crate) async fn checkpoint(&self) -> Result<TreeHead, Error> {
        let head = self.sink.checkpoint()?.ok_or(Unavailable::Unsupported(
            "this audit sink signs nothing: anchor it where its records are kept",
        ))?;
        self.sink.sync(&Receipt { log: self.log, index: head.size }).await?;
        let record = self.register(self.log, LogStage::Open, head).await?;
        self.sink.registered(head.size);
        self.pin(record, &[]).await?;
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

    /// Registers a log, and answers what is stored then. A record that says as much already stays.
    pub(super) async fn register(
        &self,
        log: LogId,
        stage: LogStage,
        head: TreeHead,
    ) -> Result<Vec<u8>, Error> {
        let directory = self.registry.directory().ok_or(Unavailable::Unsupported(
            "this audit sink does not say where it keeps its logs",
        ))?;
        let record = RegistryRecord { log, directory, stage, head };
        for _ in 0..ATTEMPTS {
            let stored = stored_record(&*self.storage, self.store, log).await?;
            let expect = match stored {
                None => Expect::Absent,
                Some((stored, entry))
                    if (stored.stage, stored.head.size) >= (stage, record.head.size) =>
                {
                    return Ok(entry.value);
                }
                Some((_, entry)) => Expect::Revision(entry.revision),
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
        Err(Unavailable::StalePermit.into())
    }
}
