//! An honest restore: a copy of the store that is made while engines run, and put in its place when
//! all have ended.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::rc::Rc;

use strongroom_audit::{Line, RegistryRecord, read_line};
use strongroom_core::{
    Anchor, AuditSink, Batch, Entry, Expect, Key, LogId, Op, Receipt, Scan, Storage, StorageError,
    Written,
};
use strongroom_engine::{Error, Strongroom, Tampered};

use super::answer::in_full;
use super::history::History;
use super::plan::Restore;
use super::run::World;
use super::storage::SimFaults;
use crate::MemorySink;

const PAGE: NonZeroU32 = NonZeroU32::new(1000).unwrap();
/// The rounds of those who open a store that was set back, so that their values are their own.
const ROUNDS: [u64; 2] = [2, 3];

/// A copy of storage and logs at one moment, and what clients knew then.
#[derive(Debug)]
pub(super) struct Backup {
    records: BTreeMap<Key, Vec<u8>>,
    logs: MemorySink,
    history: History,
}

impl Backup {
    /// `None` where there is no store yet.
    pub(super) async fn of<S: Storage>(world: &World<'_, S>) -> Option<Self> {
        // A log begins after its storage.
        if world.logs.present().is_empty() {
            return None;
        }
        let entries = entries(&(world.backend)()).await.ok()?;
        let records = entries.into_iter().map(|(key, entry)| (key, entry.value)).collect();
        let mut history = world.history.borrow().clone();
        history.lines.clear();
        Some(Self { records, logs: world.logs.copied(), history })
    }

    /// How much of each log its storage says is registered.
    fn registered(&self) -> BTreeMap<LogId, u64> {
        let records = self.records.iter();
        let registered = records.filter_map(|(key, record)| RegistryRecord::peek(key, record).ok());
        registered.map(|record| (record.log, record.head.size)).collect()
    }
}

/// All that is stored.
async fn entries<S: Storage>(storage: &S) -> Result<BTreeMap<Key, Entry>, StorageError> {
    let mut scan = Scan { prefix: Vec::new(), after: None, limit: PAGE, with_values: true };
    let mut entries = BTreeMap::new();
    loop {
        let page = storage.list(&scan).await?;
        for found in page.entries {
            scan.after = Some(found.key.clone());
            // A value is listed without its revision.
            let read = storage.read(std::slice::from_ref(&found.key)).await?;
            entries.extend(read.into_iter().flatten().map(|entry| (found.key.clone(), entry)));
        }
        if !page.more {
            return Ok(entries);
        }
    }
}

/// Puts back what was stored. Answers the keys of which that changes the record.
async fn set_back<S: Storage>(
    storage: &S,
    records: &BTreeMap<Key, Vec<u8>>,
) -> Result<BTreeSet<Key>, StorageError> {
    let mut changed = BTreeSet::new();
    let put = async |key: &Key, value: &Vec<u8>, expect: Expect| {
        let put = Op::Put { key: key.clone(), expect, value: value.clone() };
        match storage.write(Batch::new(vec![put])?).await? {
            Written::Committed { .. } => Ok(()),
            Written::Conflict { .. } => Err(StorageError::indeterminate("somebody else writes")),
        }
    };
    let now = entries(storage).await?;
    for (key, entry) in &now {
        match records.get(key) {
            Some(value) if *value == entry.value => continue,
            Some(value) => put(key, value, Expect::Revision(entry.revision.clone())).await?,
            None => storage.erase(std::slice::from_ref(key)).await?,
        }
        changed.insert(key.clone());
    }
    for (key, value) in records.iter().filter(|(key, _)| !now.contains_key(*key)) {
        put(key, value, Expect::Absent).await?;
        changed.insert(key.clone());
    }
    Ok(changed)
}

impl<S: Storage> World<'_, S> {
    /// Puts a copy in the place of the store, opens that, and looks at everything: from here on the
    /// history is that of the copy.
    pub(super) async fn restore(&mut self, restore: Restore, backup: Backup) {
        let registered = backup.registered();
        let Backup { records, logs, history } = backup;
        self.history = Rc::new(RefCell::new(history));
        if restore.logs {
            self.logs = logs;
        }
        let is_told = self.is_told(&registered).await;
        let set_back = match set_back(&(self.backend)(), &records).await {
            Ok(set_back) => set_back,
            Err(error) => return self.fault(format!("the copy is not taken: {error}")),
        };
        for round in ROUNDS {
            // It is accepted once.
            let may_refuse = round == 2 && (!restore.logs || self.anchor.is_some());
            let must_refuse = round == 2 && is_told;
            let sink = self.logs.beside();
            let Some(room) = self.open_restored(&sink, may_refuse, must_refuse).await else {
                return;
            };
            let client = self.client(format!("restored.{round}"), &room, &sink).alone();
            let set_back = if restore.logs { BTreeSet::new() } else { set_back.clone() };
            self.look_at_all(room, client.restored(set_back), round).await;
        }
    }

    fn fault(&self, what: String) {
        self.history.borrow_mut().fault(what);
    }

    /// Whether logs or pins tell of more than is registered.
    async fn is_told(&self, registered: &BTreeMap<LogId, u64>) -> bool {
        let is_more = |log: LogId, size: u64| size > registered.get(&log).copied().unwrap_or(0);
        let tells_more = |(at, line): &(Receipt, Vec<u8>)| match read_line(line) {
            Ok(Line::Close(line)) => is_more(at.log, line.registered),
            _ => false,
        };
        if self.logs.present().iter().any(tells_more) {
            return true;
        }
        let store = self.logs.owner().await.ok().flatten();
        let (Some(anchor), Some(store)) = (&self.anchor, store) else { return false };
        let pins = anchor.load(store).await.unwrap_or_default();
        pins.iter().any(|pin| !registered.contains_key(&pin.log))
    }

    /// Opens a store that was set back, where that is refused by accepting it.
    async fn open_restored(
        &mut self,
        sink: &MemorySink,
        may_refuse: bool,
        must_refuse: bool,
    ) -> Option<Strongroom> {
        match self.process(sink, SimFaults::default()).open_or_create().await {
            Ok(room) => {
                if must_refuse {
                    self.fault("it opens, and was set back".to_owned());
                }
                return Some(room);
            }
            Err(Error::Tampered(
                Tampered::AuditLogRolledBack { .. } | Tampered::StorageRolledBack { .. },
            )) if may_refuse => self.history.borrow_mut().line("it is refused".to_owned()),
            Err(error) => {
                self.fault(format!("it does not open: {}", in_full(&error)));
                return None;
            }
        }
        let builder = self.process(sink, SimFaults::default()).accept_rollback("restored");
        match builder.open_or_create().await {
            Ok(room) => Some(room),
            Err(error) => {
                self.fault(format!("it is not accepted: {}", in_full(&error)));
                None
            }
        }
    }
}
