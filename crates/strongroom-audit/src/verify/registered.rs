//! What the storage keeps of each log, against what the log is; and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_core::{Digest, DirectoryId, Key, LogId, StoreId, TreeHead};

use super::LogState;
use super::snapshot::Snapshot;
use crate::line::PrunedLine;
use crate::registry::{LogStage, RegistryRecord, StoredRegistryRecord};
use crate::report::{Finding, Verdict};

/// The registry records that are stored.
#[derive(Debug, Default)]
pub(super) struct Registry(BTreeMap<Key, StoredRegistryRecord>);

impl Registry {
    pub(super) fn push(&mut self, key: &Key, record: &[u8]) {
        self.0.insert(key.clone(), StoredRegistryRecord::new(key.clone(), record.to_vec()));
    }

    /// How many lines logs have of which records are stored. What does not verify says nothing.
    pub(super) fn sizes(&self, store: StoreId) -> impl Iterator<Item = (LogId, u64)> {
        let records = self.0.values();
        records.filter_map(move |record| record.verify(store).ok()).map(|record| {
            let last = u64::from(record.stage == LogStage::Ended);
            (record.log, record.head.size.saturating_add(last))
        })
    }

    /// Whether it was accepted that lines of a log are gone.
    pub(super) fn is_lost(&self, store: Option<StoreId>, log: LogId) -> bool {
        let key = registry_key(log);
        let record = store.zip(self.0.get(&key));
        record.is_some_and(|(store, record)| {
            record.verify(store).is_ok_and(|record| record.stage == LogStage::Lost)
        })
    }

    /// The directories that keep the logs that are here: what these say, and what was registered.
    fn directories(
        &self,
        store: StoreId,
        logs: &BTreeMap<LogId, LogState>,
    ) -> BTreeSet<DirectoryId> {
        let told = logs.values().filter_map(|log| Some(log.open.as_ref()?.directory));
        let records = self.0.values().filter_map(|record| record.verify(store).ok());
        let registered = records.filter(|record| logs.contains_key(&record.log));
        told.chain(registered.map(|record| record.directory)).collect()
    }

    /// Holds all logs and all records against one another.
    pub(super) fn judge(
        &self,
        store: StoreId,
        logs: &BTreeMap<LogId, LogState>,
        snapshot: Option<&Snapshot>,
    ) -> Vec<Finding> {
        let pruned = |log: LogId| snapshot.and_then(|snapshot| snapshot.whole(log));
        let mut findings = Vec::new();
        let here = self.directories(store, logs);
        let mut registered = BTreeMap::new();
        for (key, stored) in &self.0 {
            match stored.verify(store) {
                Ok(record) => {
                    registered.insert(record.log, record.head);
                    let found = match (logs.get(&record.log), pruned(record.log)) {
                        // What is left of it, the snapshot is held against.
                        (_, Some(part)) if record.stage != LogStage::Lost => cut(&record, part),
                        (Some(log), _) => misfit(&record, log),
                        (None, _) => absent(&record, &here),
                    };
                    findings.extend(found.map(|finding| finding.of_key(key.clone())));
                }
                Err(error) => findings
                    .push(Finding::new(Verdict::Altered, error.to_string()).of_key(key.clone())),
            }
        }
        for (log, state) in logs.iter().filter(|(_, state)| state.registered > 0) {
            if pruned(*log).is_some() {
                continue;
            }
            let size = state.registered;
            let (verdict, detail, head) = match registered.get(log) {
                Some(head) if head.size >= size => continue,
                Some(head) => (
                    Verdict::RolledBack,
                    format!(
                        "the log was registered with {size} lines, and {} are stored",
                        head.size
                    ),
                    Some(head.root),
                ),
                None => (
                    Verdict::Dropped,
                    format!("the log was registered with {size} lines, and none are stored"),
                    None,
                ),
            };
            let key = registry_key(*log);
            // One that does not verify has been found above.
            if !self.0.contains_key(&key) || head.is_some() {
                findings.push(
                    Finding::new(verdict, detail)
                        .of_key(key)
                        .of_log(*log, state.tree.size().checked_sub(1))
                        .digests(state.root_at(size), head),
                );
            }
        }
        findings
    }
}

/// What is wrong with a record of a log that was pruned.
fn cut(record: &RegistryRecord, part: &PrunedLine) -> Option<Finding> {
    let TreeHead { size, root } = record.head;
    (part.size < size).then(|| {
        let detail =
            format!("the storage registered {size} lines of it, and {} were pruned", part.size);
        Finding::new(Verdict::LogLostItsTail, detail)
            .of_log(record.log, Some(part.size))
            .digests(Some(root), Some(part.root))
    })
}

fn registry_key(log: LogId) -> Key {
    let head = TreeHead { size: 0, root: Digest::from_bytes([0; 32]) };
    let directory = DirectoryId::from_bytes([0; 8]);
    RegistryRecord { log, directory, stage: LogStage::Open, head }.key()
}

/// What is wrong with a log of which a record is stored.
fn misfit(record: &RegistryRecord, log: &LogState) -> Option<Finding> {
    if record.stage == LogStage::Lost {
        return Some(lost(record));
    }
    if record.stage == LogStage::Pruned {
        return Some(untold(record));
    }
    let TreeHead { size, root } = record.head;
    let lines = log.tree.size();
    let expected = size.saturating_add(u64::from(record.stage == LogStage::Ended));
    let (verdict, detail) = if lines < expected {
        (
            Verdict::LogLostItsTail,
            format!("the storage registered {expected} lines of it, and it has {lines}"),
        )
    } else if record.stage != LogStage::Open && lines > expected {
        (Verdict::LogAltered, format!("it was closed with {expected} lines, and has {lines}"))
    } else if record.stage == LogStage::Ended && !log.is_ended {
        (Verdict::LogAltered, "its writer ended it, and its end is not there".to_owned())
    } else if log.open.as_ref().is_some_and(|open| open.directory != record.directory) {
        (Verdict::LogAltered, "it says that another directory keeps it".to_owned())
    } else if log.root_at(size) != Some(root) && size >= log.known {
        (Verdict::LogAltered, format!("its first {size} lines are not those that were registered"))
    } else {
        return None;
    };
    Some(
        Finding::new(verdict, detail)
            .of_log(record.log, Some(lines.min(size)))
            .digests(Some(root), log.root_at(size)),
    )
}

fn lost(record: &RegistryRecord) -> Finding {
    let detail = "lines of the log are gone, and who opened the store accepted that";
    Finding::new(Verdict::Gap, detail).of_log(record.log, None)
}

fn untold(record: &RegistryRecord) -> Finding {
    let detail = "the log was pruned, and no snapshot tells what was in it";
    Finding::new(Verdict::LogLostItsTail, detail).of_log(record.log, None)
}

/// What is to say of a record whose log is not here.
fn absent(record: &RegistryRecord, here: &BTreeSet<DirectoryId>) -> Option<Finding> {
    if record.stage == LogStage::Lost {
        return Some(lost(record));
    }
    if record.stage == LogStage::Pruned && here.contains(&record.directory) {
        return Some(untold(record));
    }
    let (verdict, detail) = if here.contains(&record.directory) {
        (Verdict::LogLostItsTail, "the log was kept in this directory, and is not there".to_owned())
    } else {
        (Verdict::Gap, format!("the log is kept in another directory, {}", record.directory))
    };
    Some(
        Finding::new(verdict, detail)
            .of_log(record.log, Some(0))
            .digests(Some(record.head.root), None),
    )
}
