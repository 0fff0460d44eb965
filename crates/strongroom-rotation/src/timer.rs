//! Waiting without a runtime: one thread, which belongs to the timer and ends with it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use strongroom_core::{Clock, Monotonic, Timer, async_trait};
use strongroom_engine::SystemClock;

/// How long the thread waits at most before it looks at the clock: what it waits with stands still
/// while the machine is suspended, and the clock does not.
const LOOK: Duration = Duration::from_secs(1);

/// A timer with a thread of its own, begun at the first sleep and joined on drop.
///
/// A host that has a runtime may give its own [`Timer`] instead.
///
/// ```
/// use std::time::Duration;
/// use strongroom_core::{Clock, Timer};
/// use strongroom_engine::SystemClock;
/// use strongroom_rotation::SystemTimer;
///
/// let timer = SystemTimer::new();
/// let before = SystemClock.elapsed();
/// futures_executor::block_on(timer.sleep(Duration::from_millis(20)));
/// assert!(SystemClock.elapsed().saturating_since(before) >= Duration::from_millis(20));
/// ```
#[derive(Default)]
pub struct SystemTimer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    sleepers: Mutex<Sleepers>,
    changed: Condvar,
}

#[derive(Default)]
struct Sleepers {
    /// By the time to wake and a number of its own.
    waiting: BTreeMap<(Monotonic, u64), Waker>,
    next: u64,
    is_over: bool,
}

impl Shared {
    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever is due, until the timer is dropped.
    fn run(&self) {
        let mut sleepers = self.sleepers();
        while !sleepers.is_over {
            let now = SystemClock.elapsed();
            let later = sleepers.waiting.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut sleepers.waiting, later);
            if !due.is_empty() {
                // A waker is the host's code: it may come back for this lock.
                drop(sleepers);
                for waker in due.into_values() {
                    // One that panics keeps none of the others asleep.
                    drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
                }
                sleepers = self.sleepers();
                continue;
            }
            sleepers = match sleepers.waiting.first_key_value() {
                None => self.changed.wait(sleepers).unwrap_or_else(PoisonError::into_inner),
                Some((&(wakes, _), _)) => {
                    let span = wakes.saturating_since(now).min(LOOK);
                    let waited = self.changed.wait_timeout(sleepers, span);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl SystemTimer {
    /// A timer; its thread begins with the first sleep.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the thread that wakes sleepers, unless there is one. Whether there is one now.
    fn begin_thread(&self) -> bool {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            let builder = std::thread::Builder::new().name("strongroom-timer".to_owned());
            *thread = builder.spawn(move || shared.run()).ok();
        }
        thread.is_some()
    }
}

impl fmt::Debug for SystemTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.shared.sleepers().waiting.len();
        f.debug_struct("SystemTimer").field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl Drop for SystemTimer {
    fn drop(&mut self) {
        self.shared.sleepers().is_over = true;
        self.shared.changed.notify_all();
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A waker may own the last handle of what owns this timer, and so drop it on the thread itself.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            drop(thread.join());
        }
    }
}

/// A sleeper's place, given up when it is dropped.
struct Sleeper<'a> {
    shared: &'a Shared,
    key: (Monotonic, u64),
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        // Outside of the lock: a waker may own another sleeper.
        let waker = self.shared.sleepers().waiting.remove(&self.key);
        drop(waker);
    }
}

#[async_trait]
impl Timer for SystemTimer {
    async fn sleep(&self, span: Duration) {
        let wakes = SystemClock.elapsed().saturating_add(span);
        if !self.begin_thread() {
            // The system gives no thread: to hold the caller's up is better than not to wait.
            std::thread::sleep(span);
            return;
        }
        let key = {
            let mut sleepers = self.shared.sleepers();
            sleepers.next += 1;
            (wakes, sleepers.next)
        };
        let sleeper = Sleeper { shared: &self.shared, key };
        poll_fn(|context| {
            if SystemClock.elapsed() >= wakes {
                return Poll::Ready(());
            }
            let mut sleepers = self.shared.sleepers();
            let replaced = sleepers.waiting.insert(sleeper.key, context.waker().clone());
            let is_first =
                sleepers.waiting.first_key_value().is_some_and(|(key, _)| *key == sleeper.key);
            drop(sleepers);
            drop(replaced);
            if is_first {
                self.shared.changed.notify_all();
            }
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    #[test]
    fn sleepers_wake_and_not_early() {
        let timer = SystemTimer::new();
        let woken = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for millis in [60, 5, 30, 5] {
                let (timer, woken) = (&timer, &woken);
                scope.spawn(move || {
                    let span = Duration::from_millis(millis);
                    let before = SystemClock.elapsed();
                    block_on(timer.sleep(span));
                    assert!(SystemClock.elapsed().saturating_since(before) >= span);
                    woken.lock().unwrap().push(millis);
                });
            }
        });
        assert_eq!(woken.into_inner().unwrap().len(), 4);
        assert!(timer.shared.sleepers().waiting.is_empty());
    }

    #[test]
    fn a_dropped_sleeper_leaves_its_place() {
        let timer = SystemTimer::new();
        let mut sleep = timer.sleep(Duration::from_secs(3600));
        let mut context = std::task::Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        assert_eq!(timer.shared.sleepers().waiting.len(), 1);
        drop(sleep);
        assert!(timer.shared.sleepers().waiting.is_empty());
        // Its thread waits without a time, and ends all the same.
        drop(timer);
    }
}
