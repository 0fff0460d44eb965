//! Wall time, monotonic time, and randomness: the three things that a test must be able to hold.

use std::fmt::{self, Debug};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, civil};
use serde::{Serialize, Serializer};
use thiserror::Error;

/// A moment of wall time: milliseconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
///
/// Printed and parsed as RFC 3339. A text without an offset is refused, since what it means would
/// depend on the zone of the machine.
///
/// ```
/// use strongroom_core::Timestamp;
///
/// let moment: Timestamp = "2027-03-28T02:30:00+02:00".parse()?;
/// assert_eq!(moment.to_string(), "2027-03-28T00:30:00Z");
/// assert!("2027-03-28T02:30:00".parse::<Timestamp>().is_err());
/// # Ok::<(), strongroom_core::TimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// Why a text or number is no [`Timestamp`].
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimestampError {
    /// Not RFC 3339, or without an offset.
    #[error("this is no RFC 3339 time with an offset: write it as 2027-03-28T00:30:00Z")]
    Malformed,
    /// Before 1970 or after 9999.
    #[error("the time lies before 1970 or after the year 9999: choose one between")]
    OutOfRange,
}

impl Timestamp {
    /// The last millisecond of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The moment this many milliseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// `OutOfRange` beyond the year 9999.
    pub const fn from_millis(millis: u64) -> Result<Self, TimestampError> {
        if millis > Self::MAX.0 { Err(TimestampError::OutOfRange) } else { Ok(Self(millis)) }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `span` later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// The time from `earlier` to this moment; zero where `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The calendar's moment 0, for what lies beyond the moments of `jiff`: it leaves out the last 26 hours of
/// the year 9999, which certificates name where they mean "never" (RFC 5280, section 4.1.2.5).
const EPOCH: civil::DateTime = civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        if let Ok(moment) = jiff::Timestamp::from_millisecond(millis) {
            return write!(f, "{moment}");
        }
        match EPOCH.checked_add(SignedDuration::from_millis(millis)) {
            Ok(moment) => write!(f, "{moment}Z"),
            // INVARIANT: not reached, since every value lies within the calendar.
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let millis = match text.parse::<jiff::Timestamp>() {
            Ok(moment) => moment.as_millisecond(),
            Err(_) => last_hours(text).ok_or(TimestampError::Malformed)?,
        };
        let millis = u64::try_from(millis).map_err(|_| TimestampError::OutOfRange)?;
        Self::from_millis(millis)
    }
}

/// The milliseconds of a moment in UTC that is beyond those of `jiff`.
fn last_hours(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').filter(|text| text.contains('T'))?;
    let moment: civil::DateTime = text.parse().ok()?;
    let is_beyond = moment.date() >= civil::date(9999, 12, 30);
    i64::try_from(moment.duration_since(EPOCH).as_millis()).ok().filter(|_| is_beyond)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

/// A reading of a clock that never steps back and counts the time that the machine is suspended.
/// Only differences within one process mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// A reading, as the time since some fixed start.
    #[must_use]
    pub const fn from_start(since: Duration) -> Self {
        Self(since)
    }

    /// The time from `earlier` to this reading; zero where `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The reading that the clock will show after `span`.
    #[must_use]
    pub const fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// The source of time.
///
/// # Contract
/// `now` may step in either direction at any moment; nothing safe rests on it alone. `elapsed`
/// never steps back and goes on while the machine is suspended. `strongroom_testkit::sources` holds
/// a clock to what of it can be seen.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Wall time.
    fn now(&self) -> Timestamp;
    /// Monotonic time.
    fn elapsed(&self) -> Monotonic;
}

/// Waiting.
///
/// # Contract
/// `sleep` ends no earlier than `span` after it was first polled, by a clock that goes on while the
/// machine is suspended, and not much later once the machine is awake. It makes progress under any
/// executor, and may be dropped at any moment. Whoever waited looks at its [`Clock`] again: how long
/// it took is not promised.
#[async_trait]
pub trait Timer: Debug + Send + Sync + 'static {
    /// Waits that long.
    async fn sleep(&self, span: Duration);
}

/// The source of randomness gave nothing.
#[derive(Debug, Error)]
#[error("the source of randomness failed: no key can be made until it works again")]
pub struct EntropyError {
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl EntropyError {
    /// The error without a cause.
    #[must_use]
    pub const fn new() -> Self {
        Self { source: None }
    }

    /// The error with what caused it.
    #[must_use]
    pub fn because(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()) }
    }
}

impl Default for EntropyError {
    fn default() -> Self {
        Self::new()
    }
}

/// The source of randomness for keys, nonces and ids.
///
/// # Contract
/// Fills the whole buffer with bytes that nobody can predict, or fails and the buffer's content
/// means nothing. `strongroom_testkit::sources` holds a source to what of it can be seen.
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills the buffer.
    ///
    /// # Errors
    /// Where the source gives nothing; the caller makes no key.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError>;
}
