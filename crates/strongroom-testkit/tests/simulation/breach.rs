//! Storages that break their contract in one way each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use strongroom_core::{
    Batch, ChangeMark, Entry, Expect, Hints, Key, NotDoneKind, Op, Page, Profile, Revision, Scan,
    Storage, StorageError, Written, async_trait,
};
use strongroom_testkit::MemoryStorage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breach {
    /// Says `Committed`, and drops the batch.
    DropsAcknowledged,
    /// Takes every `Check` for held.
    IgnoresChecks,
    /// Takes every expectation of a `Put` for held.
    IgnoresExpectations,
    /// Shows the state before the last, and an equal change mark.
    ReadsStale,
    /// Its change mark stands still.
    MarkStandsStill,
    /// Takes a batch that it has seen before for an order to do it again, whatever is there now.
    RepeatsUnfenced,
    /// Commits a batch without its last operation.
    LosesTheLastOp,
    /// Sends a write again by itself, and tells the conflict of the second.
    ConflictThoughDone,
    /// Fails after the effect, and says `NotDone`.
    NotDoneThoughDone,
    /// Erases a record beside the one it was told to erase.
    ErasesTooMuch,
}

impl Breach {
    pub(crate) const ALL: [Self; 10] = [
        Self::DropsAcknowledged,
        Self::IgnoresChecks,
        Self::IgnoresExpectations,
        Self::ReadsStale,
        Self::MarkStandsStill,
        Self::RepeatsUnfenced,
        Self::LosesTheLastOp,
        Self::ConflictThoughDone,
        Self::NotDoneThoughDone,
        Self::ErasesTooMuch,
    ];
}

/// A store in memory with a breach. Clones are the same store.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    memory: MemoryStorage,
    breach: Breach,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    calls: u64,
    before: BTreeMap<Key, Option<Entry>>,
    seen: Vec<Batch>,
}

impl Broken {
    pub(crate) fn new(breach: Breach) -> Self {
        Self { memory: MemoryStorage::new(), breach, state: Arc::default() }
    }

    /// Whether the breach shows now: at one call in so many.
    fn shows(&self, one_in: u64) -> bool {
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        // Not while the store is being made: that is another story.
        state.calls > 40 && state.calls.is_multiple_of(one_in)
    }

    fn remember(&self, batch: &Batch) {
        let mut state = self.state.lock().unwrap();
        let now = self.memory.snapshot();
        for op in batch.ops() {
            if let Op::Put { key, .. } = op {
                state.before.insert(key.clone(), now.get(key).cloned());
            }
        }
    }

    /// Puts every value in place, whatever is there.
    fn force(&self, batch: Batch) -> Written {
        let mut revisions = Vec::new();
        for op in batch.into_ops() {
            match op {
                Op::Check { revision, .. } => revisions.push(revision),
                Op::Put { key, value, .. } => {
                    self.memory.replace(key.clone(), Some(value));
                    revisions.push(self.memory.snapshot()[&key].revision.clone());
                }
            }
        }
        Written::Committed { revisions }
    }
}

/// A batch without the operations that are not wanted, if any are left.
fn only(batch: &Batch, wanted: impl Fn(usize, &Op) -> bool) -> Option<Batch> {
    let kept = batch.ops().iter().enumerate().filter(|(at, op)| wanted(*at, op));
    Batch::new(kept.map(|(_, op)| op.clone()).collect()).ok()
}

#[async_trait]
impl Storage for Broken {
    fn profile(&self) -> Profile {
        self.memory.profile()
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StorageError> {
        if self.breach == Breach::ReadsStale && self.shows(5) {
            let state = self.state.lock().unwrap();
            let now = self.memory.snapshot();
            let stale =
                |key| state.before.get(key).cloned().unwrap_or_else(|| now.get(key).cloned());
            return Ok(keys.iter().map(stale).collect());
        }
        self.memory.read(keys).await
    }

    async fn list(&self, scan: &Scan) -> Result<Page, StorageError> {
        self.memory.list(scan).await
    }

    async fn write(&self, batch: Batch) -> Result<Written, StorageError> {
        self.remember(&batch);
        let made_up = |op: &Op| match op {
            Op::Check { revision, .. } => revision.clone(),
            Op::Put { value, .. } => Revision::new(&value[..8.min(value.len())]),
        };
        match self.breach {
            Breach::DropsAcknowledged if self.shows(7) => {
                Ok(Written::Committed { revisions: batch.ops().iter().map(made_up).collect() })
            }
            Breach::IgnoresChecks => match only(&batch, |_, op| matches!(op, Op::Put { .. })) {
                Some(puts) => match self.memory.write(puts).await? {
                    Written::Committed { revisions } => {
                        let mut revisions = revisions.into_iter();
                        let revision = |op: &Op| match op {
                            Op::Check { revision, .. } => revision.clone(),
                            Op::Put { .. } => revisions.next().unwrap(),
                        };
                        let revisions = batch.ops().iter().map(revision).collect();
                        Ok(Written::Committed { revisions })
                    }
                    conflict => Ok(conflict),
                },
                None => self.memory.write(batch).await,
            },
            Breach::IgnoresExpectations => {
                let now = self.memory.snapshot();
                let held = |op: &Op| match op {
                    Op::Put { key, value, .. } => Op::Put {
                        key: key.clone(),
                        expect: now.get(key).map_or(Expect::Absent, |entry| {
                            Expect::Revision(entry.revision.clone())
                        }),
                        value: value.clone(),
                    },
                    check => check.clone(),
                };
                self.memory.write(Batch::new(batch.ops().iter().map(held).collect())?).await
            }
            Breach::RepeatsUnfenced => {
                let is_seen = self.state.lock().unwrap().seen.contains(&batch);
                if is_seen {
                    return Ok(self.force(batch));
                }
                self.state.lock().unwrap().seen.push(batch.clone());
                self.memory.write(batch).await
            }
            Breach::LosesTheLastOp if batch.ops().len() > 2 => {
                let last = batch.ops().len() - 1;
                let lost = made_up(&batch.ops()[last]);
                match only(&batch, |at, _| at < last) {
                    Some(rest) => Ok(match self.memory.write(rest).await? {
                        Written::Committed { mut revisions } => {
                            revisions.push(lost);
                            Written::Committed { revisions }
                        }
                        conflict => conflict,
                    }),
                    None => self.memory.write(batch).await,
                }
            }
            Breach::ConflictThoughDone if self.shows(9) => {
                drop(self.memory.write(batch.clone()).await?);
                self.memory.write(batch).await
            }
            Breach::NotDoneThoughDone if self.shows(9) => {
                drop(self.memory.write(batch).await?);
                Err(StorageError::not_done(NotDoneKind::Busy, "it was done"))
            }
            _ => self.memory.write(batch).await,
        }
    }

    async fn erase(&self, keys: &[Key]) -> Result<(), StorageError> {
        if self.breach == Breach::ErasesTooMuch {
            let next = keys
                .last()
                .and_then(|last| self.memory.snapshot().into_keys().find(|key| key > last));
            self.memory.erase(next.as_slice()).await?;
        }
        self.memory.erase(keys).await
    }

    fn change_mark(&self) -> Option<ChangeMark> {
        if self.breach == Breach::MarkStandsStill {
            return Some(ChangeMark([0, 0]));
        }
        self.memory.change_mark()
    }

    async fn backup(&self, dir: &Path, cut: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        self.memory.backup(dir, cut).await
    }

    fn hints(&self) -> Option<&dyn Hints> {
        None
    }
}
