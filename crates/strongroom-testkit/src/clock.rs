//! A clock that stands still until the test moves it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use strongroom_core::{Clock, Monotonic, Timer, Timestamp, async_trait};

/// 2027-01-01T00:00:00Z, where a [`ManualClock`] begins unless told otherwise.
const START_MILLIS: u64 = 1_798_761_600_000;

/// A clock in the test's hand. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use strongroom_core::Clock;
/// use strongroom_testkit::ManualClock;
///
/// let clock = ManualClock::new();
/// let (then, started) = (clock.now(), clock.elapsed());
/// clock.advance(Duration::from_secs(60));
/// clock.step_back(Duration::from_secs(3600)); // as when somebody sets the machine's clock
///
/// assert!(clock.now() < then);
/// assert_eq!(clock.elapsed().saturating_since(started), Duration::from_secs(60));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Reading>>);

#[derive(Debug)]
struct Reading {
    now: Timestamp,
    elapsed: Duration,
    /// Who sleeps, by the time to wake and a number of its own.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next_sleeper: u64,
}

impl ManualClock {
    /// A clock that shows 2027-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Timestamp::from_millis(START_MILLIS).unwrap_or_default())
    }

    /// A clock that shows this moment.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Reading {
            now,
            elapsed: Duration::ZERO,
            sleepers: BTreeMap::new(),
            next_sleeper: 0,
        })))
    }

    /// Lets time pass, on the wall clock and on the monotonic one.
    pub fn advance(&self, span: Duration) {
        self.change(|reading| {
            reading.now = reading.now.saturating_add(span);
            reading.elapsed = reading.elapsed.saturating_add(span);
        });
        self.wake_who_is_due();
    }

    /// Lets as much time pass as the first sleeper still sleeps. False where nobody does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use strongroom_core::{Clock, Timer};
    /// use strongroom_testkit::ManualClock;
    /// use strongroom_testkit::sim::SimExecutor;
    ///
    /// let clock = ManualClock::new();
    /// let mut executor = SimExecutor::new(1);
    /// executor.spawn(clock.sleep(Duration::from_secs(3600)));
    /// while executor.run_until_idle() > 0 && clock.advance_to_next_sleeper() {}
    /// assert_eq!(clock.now().to_string(), "2027-01-01T01:00:00Z");
    /// ```
    pub fn advance_to_next_sleeper(&self) -> bool {
        let left = self.change(|reading| {
            let (&(wakes, _), _) = reading.sleepers.first_key_value()?;
            Some(wakes.saturating_sub(reading.elapsed))
        });
        if let Some(left) = left {
            self.advance(left);
        }
        left.is_some()
    }

    fn wake_who_is_due(&self) {
        let due = self.change(|reading| {
            let later = reading.sleepers.split_off(&(reading.elapsed, u64::MAX));
            std::mem::replace(&mut reading.sleepers, later)
        });
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// Sets the wall clock alone, in either direction.
    pub fn set(&self, now: Timestamp) {
        self.change(|reading| reading.now = now);
    }

    /// Steps the wall clock alone back, at most to 1970.
    pub fn step_back(&self, span: Duration) {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.change(|reading| {
            let millis = reading.now.as_millis().saturating_sub(span);
            reading.now = Timestamp::from_millis(millis).unwrap_or_default();
        });
    }

    /// Steps the wall clock alone forward, at most to the end of 9999.
    pub fn step_forward(&self, span: Duration) {
        self.change(|reading| reading.now = reading.now.saturating_add(span));
    }

    fn change<R>(&self, f: impl FnOnce(&mut Reading) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A sleeper's place, given up when it is dropped.
struct Sleeper<'a> {
    clock: &'a ManualClock,
    key: (Duration, u64),
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.clock.change(|reading| reading.sleepers.remove(&self.key));
    }
}

#[async_trait]
impl Timer for ManualClock {
    /// Ends when the test has advanced the clock that far.
    async fn sleep(&self, span: Duration) {
        let key = self.change(|reading| {
            reading.next_sleeper += 1;
            (reading.elapsed.saturating_add(span), reading.next_sleeper)
        });
        let sleeper = Sleeper { clock: self, key };
        poll_fn(|context| {
            self.change(|reading| {
                if reading.elapsed >= sleeper.key.0 {
                    return Poll::Ready(());
                }
                reading.sleepers.insert(sleeper.key, context.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.change(|reading| reading.now)
    }

    fn elapsed(&self) -> Monotonic {
        self.change(|reading| Monotonic::from_start(reading.elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_where_the_documentation_says() {
        assert_eq!(ManualClock::new().now().to_string(), "2027-01-01T00:00:00Z");
    }

    #[test]
    fn wall_and_monotonic_time_part_only_when_told_to() {
        let clock = ManualClock::new();
        let twin = clock.clone();
        let start = clock.now();
        clock.step_forward(Duration::from_secs(5));
        assert_eq!(clock.now().saturating_since(start), Duration::from_secs(5));
        assert_eq!(clock.elapsed(), Monotonic::from_start(Duration::ZERO));
        clock.set(start);
        clock.advance(Duration::from_millis(1));
        assert_eq!(twin.now().saturating_since(start), Duration::from_millis(1));
        assert_eq!(twin.elapsed(), Monotonic::from_start(Duration::from_millis(1)));
        clock.step_back(Duration::MAX);
        assert_eq!(twin.now(), Timestamp::default());
    }
}
