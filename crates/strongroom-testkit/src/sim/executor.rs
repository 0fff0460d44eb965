//! An executor whose order of polls is a seed's.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::dice::Dice;

/// A task of a [`SimExecutor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// What one turn of a [`SimExecutor`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The task whose turn it was.
    pub task: TaskId,
    /// Whether it is gone now: it came to its end, or its time to be dropped had come.
    pub ended: bool,
}

/// Why tasks did not come to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// So many wait, and nobody is left who could wake them.
    Waiting(usize),
    /// So many are still busy after as many polls as they were given.
    Busy(usize),
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(tasks) => write!(f, "{tasks} tasks wait and nobody wakes them"),
            Self::Busy(tasks) => write!(f, "{tasks} tasks are busy and come to no end"),
        }
    }
}

impl std::error::Error for Stuck {}

/// Polls one ready task at a time on the caller's thread; which one, the seed decides. The same
/// tasks under the same seed run in the same order, poll for poll.
///
/// It has no time, no thread and no I/O of its own: what is to be simulated must neither.
///
/// ```
/// use std::cell::RefCell;
/// use strongroom_testkit::sim::SimExecutor;
///
/// let order = RefCell::new(Vec::new());
/// let said = |what: &'static str| order.borrow_mut().push(what);
/// let mut executor = SimExecutor::new(7);
/// executor.spawn(async { said("one") });
/// let two = executor.spawn(async { said("two") });
/// executor.drop_task(two); // as when a process is killed
/// executor.run(100)?;
/// drop(executor);
/// assert_eq!(order.into_inner(), ["one"]);
/// # Ok::<(), strongroom_testkit::sim::Stuck>(())
/// ```
pub struct SimExecutor<'a> {
    tasks: BTreeMap<TaskId, Task<'a>>,
    ready: Ready,
    dice: Dice,
    next: u64,
    polls: u64,
}

struct Task<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    waker: Waker,
    flag: Arc<Flag>,
    /// After so many polls it is dropped.
    polls_left: Option<u64>,
}

type Ready = Arc<Mutex<Vec<TaskId>>>;

/// Marks a task as ready. `Send + Sync` because a [`Waker`] must be.
struct Flag {
    task: TaskId,
    is_ready: AtomicBool,
    ready: Ready,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::SeqCst) {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.task);
        }
    }
}

impl fmt::Debug for SimExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimExecutor")
            .field("tasks", &self.tasks.len())
            .field("polls", &self.polls)
            .finish_non_exhaustive()
    }
}

impl<'a> SimExecutor<'a> {
    /// An executor without tasks, with the order of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (tasks, ready) = (BTreeMap::new(), Ready::default());
        Self { tasks, ready, dice: Dice::new(seed), next: 0, polls: 0 }
    }

    /// Adds a task. It is polled for the first time when its turn comes.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'a) -> TaskId {
        let task = TaskId(self.next);
        self.next += 1;
        let flag =
            Arc::new(Flag { task, is_ready: AtomicBool::new(false), ready: self.ready.clone() });
        flag.wake_by_ref();
        let (future, waker) = (Box::pin(future), Waker::from(flag.clone()));
        self.tasks.insert(task, Task { future, waker, flag, polls_left: None });
        task
    }

    /// Adds a task that is dropped once it was polled so often, unless it has ended by then.
    pub fn spawn_dropped_after(
        &mut self,
        polls: u64,
        future: impl Future<Output = ()> + 'a,
    ) -> TaskId {
        let task = self.spawn(future);
        if let Some(spawned) = self.tasks.get_mut(&task) {
            spawned.polls_left = Some(polls);
        }
        task
    }

    /// Drops a task where it stands. Answers whether there was one to drop.
    pub fn drop_task(&mut self, task: TaskId) -> bool {
        self.tasks.remove(&task).is_some()
    }

    /// Whether the task is still there.
    #[must_use]
    pub fn has(&self, task: TaskId) -> bool {
        self.tasks.contains_key(&task)
    }

    /// How often tasks were polled, all together.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// Polls one task that is ready. `None` where none is.
    pub fn turn(&mut self) -> Option<Turn> {
        loop {
            let id = {
                let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
                if ready.is_empty() {
                    return None;
                }
                let at = self.dice.index(ready.len());
                ready.swap_remove(at)
            };
            // A task that was dropped may have been woken before.
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let is_over = match &mut task.polls_left {
                Some(0) => true,
                Some(left) => {
                    *left -= 1;
                    false
                }
                None => false,
            };
            let ended = is_over || {
                task.flag.is_ready.store(false, Ordering::SeqCst);
                self.polls += 1;
                matches!(
                    task.future.as_mut().poll(&mut Context::from_waker(&task.waker)),
                    Poll::Ready(())
                )
            };
            if ended {
                self.tasks.remove(&id);
            }
            return Some(Turn { task: id, ended });
        }
    }

    /// Polls until no task is ready, and says how many are left that wait.
    pub fn run_until_idle(&mut self) -> usize {
        while self.turn().is_some() {}
        self.tasks.len()
    }

    /// Polls until all tasks have ended, at most so often.
    ///
    /// # Errors
    /// Where some wait for ever, or do not end.
    pub fn run(&mut self, most_polls: u64) -> Result<(), Stuck> {
        let last = self.polls.saturating_add(most_polls);
        while !self.tasks.is_empty() {
            if self.polls >= last {
                return Err(Stuck::Busy(self.tasks.len()));
            }
            if self.turn().is_none() {
                return Err(Stuck::Waiting(self.tasks.len()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::faulty::Pause;

    fn order(seed: u64) -> Vec<u32> {
        let order = RefCell::new(Vec::new());
        let mut executor = SimExecutor::new(seed);
        for name in 0..4 {
            let order = &order;
            executor.spawn(async move {
                for _ in 0..8 {
                    Pause(1).await;
                    order.borrow_mut().push(name);
                }
            });
        }
        executor.run(1000).unwrap();
        drop(executor);
        order.into_inner()
    }

    #[test]
    fn the_order_is_the_seeds() {
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert!(!order(1).is_sorted());
    }

    #[test]
    fn a_task_is_dropped_where_it_was_said() {
        for polls in 0..5 {
            let count = RefCell::new(0);
            let mut executor = SimExecutor::new(polls);
            let task = executor.spawn_dropped_after(polls, async {
                loop {
                    *count.borrow_mut() += 1;
                    Pause(1).await;
                }
            });
            executor.run(100).unwrap();
            assert!(!executor.has(task) && !executor.drop_task(task));
            assert_eq!(executor.polls(), polls);
            drop(executor);
            assert_eq!(count.into_inner(), polls);
        }
    }

    #[test]
    fn who_waits_for_nobody_and_who_never_ends_are_named() {
        let mut executor = SimExecutor::new(1);
        let waits = executor.spawn(Pause(u32::MAX));
        assert_eq!(executor.run_until_idle(), 1);
        assert_eq!(executor.run(10), Err(Stuck::Waiting(1)));
        executor.spawn(Pause(1000));
        assert_eq!(executor.run(10), Err(Stuck::Busy(2)));
        assert!(executor.drop_task(waits));
        assert_eq!(executor.run(1000), Ok(()));
        assert_eq!(executor.turn(), None);
    }
}
