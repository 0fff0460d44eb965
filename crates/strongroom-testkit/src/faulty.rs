//! Storage that fails where the test says.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use strongroom_core::{
    Batch, ChangeMark, Entry, Hints, Key, NotDoneKind, Page, Profile, Scan, Storage, StorageError,
    Written,
};

/// The calls of a [`Storage`] that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `read`
    Read,
    /// `list`
    List,
    /// `write`
    Write,
    /// `erase`
    Erase,
    /// `backup`
    Backup,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done, and says so.
    Fail(NotDoneKind),
    /// As by a backend whose disk is full, and that keeps room back: what writes fails with `Full`,
    /// but for [essential](Batch::is_essential) batches and what erases.
    Full,
    /// It is not done, but the caller is told that this is not known. A read or list fails as
    /// `Unreachable`, since it has no effect to be in doubt.
    LostRequest,
    /// It is done, but the caller is told that this is not known; likewise.
    LostReply,
    /// The caller is told that it is not known; a write takes effect only when
    /// [`FaultyStorage::deliver_late`] lets it. Other calls are as with `LostRequest`.
    Late,
    /// It is done, with so many turns in which its future is pending before the effect, and after
    /// it. A future that is dropped in between shows what cancellation does.
    Delay {
        /// Turns before the effect; `u32::MAX` is for ever.
        before: u32,
        /// Turns after it.
        after: u32,
    },
}

/// Wraps a backend and makes chosen calls fail. Clones share the plan of faults.
///
/// ```
/// use strongroom_core::{Batch, Expect, Key, Op, Storage};
/// use strongroom_testkit::{Call, Fault, FaultyStorage, MemoryStorage};
///
/// let memory = MemoryStorage::new();
/// let storage = FaultyStorage::new(memory.clone());
/// storage.nth(Call::Write, 1, Fault::LostReply);
/// let put = Op::Put { key: Key::new(*b"k"), expect: Expect::Absent, value: b"v".to_vec() };
/// let answer = futures_executor::block_on(storage.write(Batch::new(vec![put])?));
///
/// assert!(answer.is_err()); // not known, says the caller's view
/// assert_eq!(memory.len(), 1); // done, says the store
/// # Ok::<(), strongroom_core::StorageError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FaultyStorage<S> {
    inner: S,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    made: BTreeMap<Call, u64>,
    nth: BTreeMap<(Call, u64), Fault>,
    every: BTreeMap<Call, Fault>,
    late: Vec<Batch>,
}

impl<S: Storage> FaultyStorage<S> {
    /// The backend without any fault as yet.
    pub fn new(inner: S) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// The backend inside.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Gives the nth call from now on a fault; 1 is the next.
    pub fn nth(&self, call: Call, nth: u64, fault: Fault) {
        let mut plan = self.plan();
        let made = plan.made.get(&call).copied().unwrap_or_default();
        plan.nth.insert((call, made + nth), fault);
    }

    /// Gives every call a fault, those planned with [`nth`](Self::nth) excepted.
    pub fn every(&self, call: Call, fault: Fault) {
        self.plan().every.insert(call, fault);
    }

    /// Forgets all faults that have not happened yet. Late writes stay on their way.
    pub fn heal(&self) {
        let mut plan = self.plan();
        plan.nth.clear();
        plan.every.clear();
    }

    /// How many calls of this kind were made.
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        self.plan().made.get(&call).copied().unwrap_or_default()
    }

    /// Lets the late writes take effect now, in their order, and answers what became of each.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn deliver_late(&self) -> Result<Vec<Written>, StorageError> {
        let late = std::mem::take(&mut self.plan().late);
        let mut answers = Vec::with_capacity(late.len());
        for batch in late {
            answers.push(self.inner.write(batch).await?);
        }
        Ok(answers)
    }

    /// Counts a call and answers what is to happen to it.
    fn next(&self, call: Call) -> Option<Fault> {
        let mut plan = self.plan();
        let made = plan.made.entry(call).or_default();
        *made += 1;
        let at = (call, *made);
        plan.nth.remove(&at).or_else(|| plan.every.get(&call).copied())
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Storage> Storage for FaultyStorage<S> {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StorageError> {
        under(Call::Read, self.next(Call::Read), self.inner.read(keys)).await
    }

    async fn list(&self, scan: &Scan) -> Result<Page, StorageError> {
        under(Call::List, self.next(Call::List), self.inner.list(scan)).await
    }

    async fn write(&self, batch: Batch) -> Result<Written, StorageError> {
        let fault = self.next(Call::Write);
        if fault == Some(Fault::Late) {
            self.plan().late.push(batch);
            return Err(lost(Call::Write));
        }
        let fault = fault.filter(|fault| *fault != Fault::Full || !batch.is_essential());
        under(Call::Write, fault, self.inner.write(batch)).await
    }

    async fn erase(&self, keys: &[Key]) -> Result<(), StorageError> {
        under(Call::Erase, self.next(Call::Erase), self.inner.erase(keys)).await
    }

    fn change_mark(&self) -> Option<ChangeMark> {
        self.inner.change_mark()
    }

    async fn backup(&self, dir: &Path, cut: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        under(Call::Backup, self.next(Call::Backup), self.inner.backup(dir, cut)).await
    }

    fn hints(&self) -> Option<&dyn Hints> {
        self.inner.hints()
    }
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }
}

/// Runs an effect under a fault.
async fn under<T>(
    call: Call,
    fault: Option<Fault>,
    effect: impl Future<Output = Result<T, StorageError>> + Send,
) -> Result<T, StorageError> {
    match fault {
        None => effect.await,
        Some(Fault::Fail(kind)) => Err(StorageError::not_done(kind, "the test says so")),
        Some(Fault::Full) => match call {
            Call::Write | Call::Backup => {
                Err(StorageError::not_done(NotDoneKind::Full, "the test says so"))
            }
            Call::Read | Call::List | Call::Erase => effect.await,
        },
        Some(Fault::LostRequest | Fault::Late) => Err(lost(call)),
        Some(Fault::LostReply) => effect.await.and(Err(lost(call))),
        Some(Fault::Delay { before, after }) => {
            Pause(before).await;
            let answer = effect.await;
            Pause(after).await;
            answer
        }
    }
}

fn lost(call: Call) -> StorageError {
    match call {
        Call::Write | Call::Erase => StorageError::indeterminate("the test lost the reply"),
        Call::Read | Call::List | Call::Backup => {
            StorageError::not_done(NotDoneKind::Unreachable, "the test lost the reply")
        }
    }
}

/// Pending so many times, and awake at once each time; for ever where it is `u32::MAX`.
pub(crate) struct Pause(pub(crate) u32);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.0 {
            0 => return Poll::Ready(()),
            u32::MAX => return Poll::Pending,
            ref mut left => *left -= 1,
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use futures_executor::block_on;
    use strongroom_core::{Expect, Op};

    use super::*;
    use crate::MemoryStorage;

    fn put(value: u8) -> Batch {
        let key = Key::new([1]);
        Batch::new(vec![Op::Put { key, expect: Expect::Absent, value: vec![value] }]).unwrap()
    }

    #[test]
    fn the_nth_call_fails_and_no_other() {
        let storage = FaultyStorage::new(MemoryStorage::new());
        storage.nth(Call::Read, 2, Fault::Fail(NotDoneKind::Busy));
        assert!(block_on(storage.read(&[])).is_ok());
        let error = block_on(storage.read(&[])).unwrap_err();
        assert_eq!(error.kind(), Some(NotDoneKind::Busy));
        assert!(block_on(storage.read(&[])).is_ok());
        storage.every(Call::Read, Fault::LostReply);
        assert!(block_on(storage.read(&[])).is_err());
        storage.heal();
        assert!(block_on(storage.read(&[])).is_ok());
        assert_eq!(storage.calls(Call::Read), 5);
    }

    #[test]
    fn a_full_one_takes_what_is_essential() {
        let storage = FaultyStorage::new(MemoryStorage::new());
        storage.every(Call::Write, Fault::Full);
        assert_eq!(block_on(storage.write(put(1))).unwrap_err().kind(), Some(NotDoneKind::Full));
        assert!(block_on(storage.write(put(1).essential())).is_ok());
        storage.every(Call::Erase, Fault::Full);
        assert!(block_on(storage.erase(&[Key::new([1])])).is_ok());
    }

    #[test]
    fn a_lost_request_is_not_done_and_a_lost_reply_is() {
        let storage = FaultyStorage::new(MemoryStorage::new());
        for (fault, done) in [(Fault::LostRequest, 0), (Fault::LostReply, 1)] {
            storage.nth(Call::Write, 1, fault);
            let error = block_on(storage.write(put(1))).unwrap_err();
            assert!(matches!(error, StorageError::Indeterminate { .. }));
            assert_eq!(storage.inner().len(), done);
        }
    }

    #[test]
    fn a_late_write_lands_when_it_is_delivered() {
        let storage = FaultyStorage::new(MemoryStorage::new());
        storage.nth(Call::Write, 1, Fault::Late);
        assert!(block_on(storage.write(put(1))).is_err());
        assert!(storage.inner().is_empty());
        assert!(matches!(block_on(storage.write(put(2))).unwrap(), Written::Committed { .. }));
        let landed = block_on(storage.deliver_late()).unwrap();
        assert_eq!(landed, [Written::Conflict { key: Key::new([1]) }]);
    }

    #[test]
    fn a_delayed_future_can_be_dropped_on_both_sides_of_the_effect() {
        for (before, after, polls, done) in [(2, 0, 2, 0), (2, 0, 3, 1), (0, 3, 2, 1)] {
            let storage = FaultyStorage::new(MemoryStorage::new());
            storage.nth(Call::Write, 1, Fault::Delay { before, after });
            let mut future = storage.write(put(1));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                let _ = future.as_mut().poll(&mut context);
            }
            drop(future);
            assert_eq!(storage.inner().len(), done);
        }
    }
}
