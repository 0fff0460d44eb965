//! A clock that stands still until the test moves it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strongroom_core::{Clock, Monotonic, Timestamp};

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
        Self(Arc::new(Mutex::new(Reading { now, elapsed: Duration::ZERO })))
    }

    /// Lets time pass, on the wall clock and on the monotonic one.
    pub fn advance(&self, span: Duration) {
        self.change(|reading| {
            reading.now = reading.now.saturating_add(span);
            reading.elapsed = reading.elapsed.saturating_add(span);
        });
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
