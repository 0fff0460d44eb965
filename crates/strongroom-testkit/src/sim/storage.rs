//! A backend at the far end of a bad line, wherever its contract allows that.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use strongroom_core::{
    Batch, ChangeMark, Entry, Hints, Key, NotDoneKind, Page, Profile, Scan, Storage, StorageError,
    Written,
};

use super::dice::Dice;
use crate::faulty::Pause;

/// The longest that a call stalls, in turns.
pub const STALL: u32 = 400;

/// What a [`SimStorage`] may do to its callers, the chances in a thousand calls.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SimFaults {
    /// The most turns for which a future is pending before its effect, and after it.
    pub turns: u32,
    /// A future is pending for far longer, up to [`STALL`] turns: others do many things meanwhile.
    pub stalls: u32,
    /// A call fails and has no effect.
    pub not_done: u32,
    /// A write or erasure is lost before its effect, and its caller is told that it is not known.
    /// One in two lands later, one in four twice.
    pub lost_requests: u32,
    /// A write or erasure has its effect, and its caller is told that it is not known. One in four
    /// lands once more.
    pub lost_replies: u32,
    /// A backend sends a write again by itself. What it then cannot know it says: not known.
    pub retries: u32,
    /// Something that was lost lands as another call is made.
    pub landings: u32,
}

impl SimFaults {
    /// Delays alone: others come in between, and nothing fails.
    #[must_use]
    pub fn delays() -> Self {
        Self { turns: 3, stalls: 6, ..Self::default() }
    }

    /// What a bad day has of each.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            turns: 3,
            stalls: 6,
            not_done: 8,
            lost_requests: 20,
            lost_replies: 20,
            retries: 10,
            landings: 60,
        }
    }
}

/// Wraps a backend in delays and lost messages, as a seed decides. Each engine has a handle of its
/// own on the one store; what was lost and may still land is common to all of them.
///
/// Whatever it does, the contract of [`Storage`] allows: what an engine loses over it, it would
/// lose over a real backend on a bad day.
///
/// - Futures are pending for some turns before their effect and after it. A write that is dropped
///   before its effect may still land.
/// - `NotDone` has no effect. `Indeterminate` has one, has none, or has one later, once or twice.
/// - Keys of one `read` are read one by one, since each is linearisable alone. Pages are short.
///
/// The backend must need nothing but polls, as one in memory does; one with a thread of its own
/// makes the order of things the scheduler's instead of the seed's.
///
/// ```
/// use strongroom_core::{Batch, Expect, Key, Op, Storage};
/// use strongroom_testkit::MemoryStorage;
/// use strongroom_testkit::sim::{SimFaults, SimStorage};
///
/// let memory = MemoryStorage::new();
/// let mut faults = SimFaults::default();
/// faults.lost_replies = 1000;
/// let storage = SimStorage::new(memory.clone(), 7, faults);
/// let put = Op::Put { key: Key::new(*b"k"), expect: Expect::Absent, value: b"v".to_vec() };
/// assert!(futures_executor::block_on(storage.write(Batch::new(vec![put])?)).is_err());
/// assert_eq!(memory.len(), 1);
/// # Ok::<(), strongroom_core::StorageError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SimStorage<S> {
    inner: S,
    line: Arc<Mutex<Vec<Lost>>>,
    dice: Arc<Mutex<Dice>>,
    faults: SimFaults,
    marks: bool,
    atomic_ops: NonZeroUsize,
    value_bytes: NonZeroUsize,
}

/// What is on its way, although nobody waits for it any more.
#[derive(Debug)]
struct Lost {
    message: Message,
    times: u32,
}

#[derive(Debug, Clone)]
enum Message {
    Write(Batch),
    Erase(Vec<Key>),
}

/// What becomes of a write or an erasure.
enum Fate {
    Done,
    NotDone(NotDoneKind),
    RequestLost,
    ReplyLost,
    SentTwice,
}

impl<S: Storage> SimStorage<S> {
    /// The first handle on a store.
    pub fn new(inner: S, seed: u64, faults: SimFaults) -> Self {
        let profile = inner.profile();
        Self {
            inner,
            line: Arc::default(),
            dice: Arc::new(Mutex::new(Dice::new(seed))),
            faults,
            marks: true,
            atomic_ops: profile.atomic_ops,
            value_bytes: profile.value_bytes,
        }
    }

    /// Another engine's handle on the same store, with faults of its own.
    #[must_use]
    pub fn beside(&self, inner: S, seed: u64, faults: SimFaults) -> Self {
        let dice = Arc::new(Mutex::new(Dice::new(seed)));
        Self { inner, line: self.line.clone(), dice, faults, ..*self }
    }

    /// The same handle with smaller batches and values, as a poorer backend has.
    #[must_use]
    pub fn narrowed(mut self, atomic_ops: NonZeroUsize, value_bytes: NonZeroUsize) -> Self {
        self.atomic_ops = self.atomic_ops.min(atomic_ops);
        self.value_bytes = self.value_bytes.min(value_bytes);
        self
    }

    /// The same handle without a change mark, as a remote backend has none.
    #[must_use]
    pub fn without_change_mark(mut self) -> Self {
        self.marks = false;
        self
    }

    /// Lets land all that is still on its way.
    pub async fn land_all(&self) {
        while let Some(lost) = self.take_lost(1000) {
            self.land(lost).await;
        }
    }

    fn dice(&self) -> MutexGuard<'_, Dice> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Vec<Lost>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turns(&self) -> Pause {
        let mut dice = self.dice();
        let most = if dice.per_mille(self.faults.stalls) { STALL } else { self.faults.turns };
        Pause(dice.below(most.saturating_add(1)))
    }

    /// Something of what was lost, with that chance; the same once more if it is to land twice.
    fn take_lost(&self, per_mille: u32) -> Option<Message> {
        let mut line = self.line();
        if line.is_empty() || !self.dice().per_mille(per_mille) {
            return None;
        }
        let at = self.dice().index(line.len());
        let lost = line.get_mut(at)?;
        lost.times -= 1;
        let message = lost.message.clone();
        if lost.times == 0 {
            line.swap_remove(at);
        }
        Some(message)
    }

    /// What was lost has its effect, if its expectations still hold. Nobody hears the answer.
    async fn land(&self, message: Message) {
        match message {
            Message::Write(batch) => drop(self.inner.write(batch).await),
            Message::Erase(keys) => drop(self.inner.erase(&keys).await),
        }
    }

    fn lose(&self, message: Message, times: u32) {
        if times > 0 {
            self.line().push(Lost { message, times });
        }
    }

    fn fate(&self) -> Fate {
        let mut dice = self.dice();
        let faults = &self.faults;
        let mut roll = dice.below(1000);
        for (chance, fate) in [
            (faults.not_done, Fate::NotDone(not_done_kind(&mut dice))),
            (faults.lost_requests, Fate::RequestLost),
            (faults.lost_replies, Fate::ReplyLost),
            (faults.retries, Fate::SentTwice),
        ] {
            if roll < chance {
                return fate;
            }
            roll -= chance;
        }
        Fate::Done
    }

    /// Lets something land, waits, and perhaps fails: what comes before each call's effect.
    async fn arrive(&self, may_fail: bool) -> Result<(), StorageError> {
        if let Some(message) = self.take_lost(self.faults.landings) {
            self.land(message).await;
        }
        self.turns().await;
        let mut dice = self.dice();
        match may_fail && dice.per_mille(self.faults.not_done) {
            true => Err(not_done(not_done_kind(&mut dice))),
            false => Ok(()),
        }
    }
}

/// Held while a message has no effect yet. Dropped with its future, the message may still land.
struct OnItsWay<'a, S: Storage> {
    storage: &'a SimStorage<S>,
    message: Option<Message>,
}

impl<S: Storage> Drop for OnItsWay<'_, S> {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            let times = self.storage.dice().below(3);
            self.storage.lose(message, times);
        }
    }
}

fn not_done_kind(dice: &mut Dice) -> NotDoneKind {
    let kinds = [NotDoneKind::Busy, NotDoneKind::Unreachable, NotDoneKind::Full];
    kinds.get(dice.index(kinds.len())).copied().unwrap_or(NotDoneKind::Busy)
}

fn not_done(kind: NotDoneKind) -> StorageError {
    StorageError::not_done(kind, "the simulation says so")
}

fn not_known() -> StorageError {
    StorageError::indeterminate("the simulation lost the reply")
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Storage> Storage for SimStorage<S> {
    fn profile(&self) -> Profile {
        let inner = self.inner.profile();
        Profile { atomic_ops: self.atomic_ops, value_bytes: self.value_bytes, ..inner }
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StorageError> {
        self.arrive(true).await?;
        let mut order: Vec<usize> = (0..keys.len()).collect();
        let mut answers = vec![None; keys.len()];
        while !order.is_empty() {
            let at = order.swap_remove(self.dice().index(order.len()));
            let Some(key) = keys.get(at) else { continue };
            let found = self.inner.read(std::slice::from_ref(key)).await?;
            if let Some(answer) = answers.get_mut(at) {
                *answer = found.into_iter().next().flatten();
            }
            self.turns().await;
        }
        Ok(answers)
    }

    async fn list(&self, scan: &Scan) -> Result<Page, StorageError> {
        self.arrive(true).await?;
        let mut scan = scan.clone();
        if self.dice().per_mille(500) {
            let short = NonZeroU32::MIN.saturating_add(self.dice().below(4));
            scan.limit = scan.limit.min(short);
        }
        let page = self.inner.list(&scan).await?;
        self.turns().await;
        Ok(page)
    }

    async fn write(&self, batch: Batch) -> Result<Written, StorageError> {
        if batch.ops().len() > self.atomic_ops.get() {
            return Err(StorageError::not_done(
                NotDoneKind::TooLarge,
                "more operations than one batch can have here",
            ));
        }
        let message = Some(Message::Write(batch.clone()));
        let mut way = OnItsWay { storage: self, message };
        self.arrive(false).await?;
        let fate = self.fate();
        way.message = None;
        drop(way);
        let answer = match fate {
            Fate::Done => self.inner.write(batch).await,
            Fate::NotDone(kind) => Err(not_done(kind)),
            Fate::RequestLost => {
                let times = [0, 0, 1, 2].get(self.dice().index(4)).copied().unwrap_or(0);
                self.lose(Message::Write(batch), times);
                Err(not_known())
            }
            Fate::ReplyLost => {
                let again = u32::from(self.dice().per_mille(250));
                self.lose(Message::Write(batch.clone()), again);
                self.inner.write(batch).await.and(Err(not_known()))
            }
            Fate::SentTwice => {
                let first_lands = self.dice().per_mille(500);
                if first_lands {
                    drop(self.inner.write(batch.clone()).await?);
                    self.turns().await;
                }
                match self.inner.write(batch).await {
                    // Of the first, or of somebody else: only the writer can tell.
                    Ok(Written::Conflict { .. }) if first_lands => Err(not_known()),
                    answer => answer,
                }
            }
        };
        self.turns().await;
        answer
    }

    async fn erase(&self, keys: &[Key]) -> Result<(), StorageError> {
        let message = Some(Message::Erase(keys.to_vec()));
        let mut way = OnItsWay { storage: self, message };
        self.arrive(false).await?;
        let fate = self.fate();
        way.message = None;
        drop(way);
        let answer = match fate {
            Fate::NotDone(kind) => Err(not_done(kind)),
            Fate::RequestLost => {
                let times = self.dice().below(3);
                self.lose(Message::Erase(keys.to_vec()), times);
                Err(not_known())
            }
            Fate::ReplyLost => self.inner.erase(keys).await.and(Err(not_known())),
            Fate::Done | Fate::SentTwice => self.inner.erase(keys).await,
        };
        self.turns().await;
        answer
    }

    fn change_mark(&self) -> Option<ChangeMark> {
        if self.marks { self.inner.change_mark() } else { None }
    }

    async fn backup(&self, dir: &Path, cut: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        self.arrive(true).await?;
        self.inner.backup(dir, cut).await
    }

    fn hints(&self) -> Option<&dyn Hints> {
        self.inner.hints()
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }
}
