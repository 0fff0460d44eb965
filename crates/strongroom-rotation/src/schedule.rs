//! When a secret is to be rotated.
//!
//! A schedule is a pure function of facts: when the version in force was put, how long it is valid,
//! how often it was used, whether somebody asked. It reads no clock and keeps no state, so a process
//! that was suspended, restarted or moved to another machine comes to the same answer, and a step of
//! the clock changes nothing but whether the planned moment is reached.

mod calendar;
#[cfg(feature = "cron")]
mod cron;
#[cfg(test)]
mod tests;
mod window;

use std::num::NonZeroU64;
use std::time::Duration;

use sha2::{Digest, Sha256};
use strongroom_core::{SecretPath, Timestamp};
use thiserror::Error;

pub use window::{Day, Window};

/// Why a schedule or window cannot be made.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// A duration of less than a millisecond, with which a secret would be due all the time.
    #[error("the {what} is less than a millisecond: choose a longer one")]
    TooShort {
        /// Which duration.
        what: &'static str,
    },
    /// No cron expression of five fields.
    #[error(
        "`{expression}` is no cron expression, {problem}: write minute, hour, day of the month, month \
         and weekday, as in `30 2 * * SUN`"
    )]
    Cron {
        /// What was given.
        expression: String,
        /// What the parser says.
        problem: String,
    },
    /// A cron expression that names no day of the calendar, such as 30 February.
    #[error("`{expression}` never fires: choose a day that the month has")]
    NeverFires {
        /// What was given.
        expression: String,
    },
    /// A time zone that the system's database does not have.
    #[error(
        "the time zone `{zone}` is not in the time zone database of this system: write an IANA name \
         such as `Europe/Berlin`, and install `tzdata` if the system has no database"
    )]
    UnknownZone {
        /// What was given.
        zone: String,
    },
    /// No time of the day.
    #[error("`{text}` is no time of the day: write hours and minutes, as in `22:30`")]
    Time {
        /// What was given.
        text: String,
    },
    /// A window without days, or that closes as it opens.
    #[error(
        "the window never opens: name at least one day and two different times, `00:00` to `24:00` for \
         a whole day"
    )]
    NeverOpens,
}

/// Why the validity of what was issued allows no plan.
///
/// A failure of whoever issued it, to be treated as a failed rotation: try again with back-off. It is
/// never reported as due, since each new issue would be due at once, too.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Broken {
    /// The life is zero or negative.
    #[error(
        "what was issued ends at {not_after}, not after it begins at {not_before}: check the issuer, and \
         try again with back-off"
    )]
    NoLife {
        /// When it begins.
        not_before: Timestamp,
        /// When it ends.
        not_after: Timestamp,
    },
    /// The life was already over when the version was put.
    #[error(
        "what was issued ended at {not_after}, before it was put at {put}: check the issuer and this \
         machine's clock, and try again with back-off"
    )]
    Over {
        /// When it ended.
        not_after: Timestamp,
        /// When the version was put.
        put: Timestamp,
    },
}

/// From when to when something issued is valid, as it says itself and not as it was requested.
///
/// For what has an end only, such as most tokens, `not_before` is when it was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// When it begins. Issuers set it back a little, for clocks that are behind.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// What a [`Schedule`] decides from.
///
/// ```
/// use strongroom_core::Timestamp;
/// use strongroom_rotation::Facts;
///
/// let mut facts = Facts::new("2027-03-28T00:30:00Z".parse()?);
/// facts.uses = 12;
/// # Ok::<(), strongroom_core::TimestampError>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// When the version in force was put: the last rotation.
    pub last: Timestamp,
    /// The validity of the version in force, if it has one.
    pub valid: Option<Validity>,
    /// How often the version in force was used.
    pub uses: u64,
    /// When a rotation was last asked for, or the last event came that calls for one. Served by any
    /// later rotation. Kept as [`Facts::request`] gives it.
    pub asked: Option<Timestamp>,
}

impl Facts {
    /// The facts of a version without an end, never used, that nobody asked to rotate.
    #[must_use]
    pub const fn new(last: Timestamp) -> Self {
        Self { last, valid: None, uses: 0, asked: None }
    }

    /// The moment to keep as [`asked`](Self::asked) for a request made `now`: later than the last
    /// rotation, even where the clock has stepped back behind it, so that no request is lost.
    #[must_use]
    pub fn request(&self, now: Timestamp) -> Timestamp {
        now.max(self.last.saturating_add(Duration::from_millis(1)))
    }
}

/// What a [`Schedule`] says.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Rotate now.
    Due,
    /// Not before this moment, which is later than now. Ask again then, and whenever a fact changes.
    At(Timestamp),
    /// No moment follows from these facts. Ask again when a fact changes.
    Never,
    /// What is in force has no usable life: a failure, to be tried again with back-off.
    Broken(Broken),
}

impl Next {
    /// Which of two comes first. `Due` goes before `Broken`, since what is due comes of a reason that
    /// the rotation removes; `Broken` goes before all that would wait with a version that is of no use.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Due, _) | (_, Self::Due) => Self::Due,
            (broken @ Self::Broken(_), _) | (_, broken @ Self::Broken(_)) => broken,
            (Self::At(one), Self::At(two)) => Self::At(one.min(two)),
            (at @ Self::At(_), Self::Never) | (Self::Never, at) => at,
        }
    }
}

/// When a secret is to be rotated.
///
/// ```
/// use std::time::Duration;
/// use strongroom_core::{Timestamp, path};
/// use strongroom_rotation::{Day, Facts, Next, Schedule, Window};
///
/// // Every 30 days, or when a third of its life is left, whichever is first; at night only, and not
/// // all secrets at one moment. But at once when somebody asks.
/// let schedule = Schedule::every(Duration::from_secs(30 * 86_400))?
///     .or(Schedule::before_expiry())
///     .within(Window::new(Day::ALL, "22:00", "05:00", "Europe/Berlin")?)
///     .spread(Duration::from_secs(3_600))
///     .or(Schedule::on_demand());
///
/// let now: Timestamp = "2027-03-28T12:00:00Z".parse()?;
/// let mut facts = Facts::new(now);
/// assert!(matches!(schedule.next(&path!("prod/db"), &facts, now), Next::At(_)));
/// facts.asked = Some(facts.request(now));
/// assert_eq!(schedule.next(&path!("prod/db"), &facts, now), Next::Due);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # A clock that is wrong
/// Every plan is counted from [`Facts::last`]. After a suspend or a jump forward, what has become due
/// is due once, however many moments were passed over: the rotation sets `last`, and the next plan is
/// counted from there. After a step back nothing becomes due again. A version that was put by a clock
/// that was ahead waits until the clock is there again and for its plan from there, but for what
/// becomes due by use or demand.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Whichever is first counts.
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    rule: Rule,
    /// Zero for none.
    spread: Duration,
    window: Option<Window>,
}

#[derive(Debug, Clone)]
enum Rule {
    Every(Duration),
    #[cfg(feature = "cron")]
    Cron(cron::Cron),
    /// With the margin.
    BeforeExpiry(Duration),
    AfterUses(NonZeroU64),
    OnDemand,
}

impl Schedule {
    /// That long after the last rotation, whatever caused that.
    ///
    /// # Errors
    /// `TooShort` below a millisecond.
    pub fn every(interval: Duration) -> Result<Self, ScheduleError> {
        Ok(Self::of(Rule::Every(long_enough(interval, "interval")?)))
    }

    /// At the times of a cron expression, by the clocks of a time zone: `30 2 * * SUN`,
    /// `Europe/Berlin`.
    ///
    /// Five fields: minute, hour, day of the month, month, weekday; or `@hourly`, `@daily`, `@weekly`,
    /// `@monthly`, `@yearly`. A day matches where day of the month *or* weekday does if both are given,
    /// as in Vixie cron. The zone is an IANA name; its rules are those that the system's database had
    /// when the schedule was made.
    ///
    /// # Daylight saving
    /// A time that does not exist, since the clocks go forward over it, fires at the first moment after
    /// the gap. A time that exists twice, since the clocks go back, fires once, at the first. In
    /// Europe/Berlin, where clocks go from 2 to 3 on 2027-03-28, `30 2 * * *` fires at 03:00 on that
    /// day; where they go from 3 back to 2 on 2027-10-31, it fires at the 02:30 before that. The rule is
    /// the same for every expression: `0 * * * *` does not fire in the hour that is repeated.
    ///
    /// # Errors
    /// `Cron`, `NeverFires` and `UnknownZone`.
    #[cfg(feature = "cron")]
    pub fn cron(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        Ok(Self::of(Rule::Cron(cron::Cron::new(expression, zone)?)))
    }

    /// When a third of its life is left.
    ///
    /// The life is that of [`Facts::valid`], begun at the earliest when the version was put, so that a
    /// certificate put late in its life is not due at once, again and again. Without a validity it is
    /// never due. A life that leaves nothing is [`Next::Broken`].
    #[must_use]
    pub fn before_expiry() -> Self {
        Self::of(Rule::BeforeExpiry(Duration::MAX))
    }

    /// That long before the end, but at most a third of its life before, as in
    /// [`before_expiry`](Self::before_expiry). Without the limit, a margin of 30 days and an issuer
    /// that gives 30 days would make each issue due at once.
    ///
    /// # Errors
    /// `TooShort` below a millisecond.
    pub fn before_expiry_by(margin: Duration) -> Result<Self, ScheduleError> {
        Ok(Self::of(Rule::BeforeExpiry(long_enough(margin, "margin before the end")?)))
    }

    /// As soon as the version in force was used that often.
    #[must_use]
    pub fn after_uses(uses: NonZeroU64) -> Self {
        Self::of(Rule::AfterUses(uses))
    }

    /// When asked for, or on an event: as soon as [`Facts::asked`] is later than the last rotation.
    #[must_use]
    pub fn on_demand() -> Self {
        Self::of(Rule::OnDemand)
    }

    fn of(rule: Rule) -> Self {
        Self { parts: vec![Part { rule, spread: Duration::ZERO, window: None }] }
    }

    /// Whichever of the two is due first. Each keeps its own window and spread.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Only within these times: what becomes due outside waits for the next opening, and so does what
    /// was due in a window that has closed unused, as while the machine was suspended.
    ///
    /// It holds for all that the schedule has up to here, in place of a window set before. What is added
    /// with [`or`](Self::or) later is not held back.
    ///
    /// Where the window would open only at or after the end of its life, a rotation before expiry does
    /// not wait: one outside of the window is better than a secret that has ended.
    #[must_use]
    pub fn within(mut self, window: Window) -> Self {
        for part in &mut self.parts {
            part.window = Some(window.clone());
        }
        self
    }

    /// Spreads the rotations of different secrets over a span, so that a thousand that were created at
    /// one moment are not rotated at one. Zero is no spread.
    ///
    /// It holds for all that the schedule has up to here, in place of a spread set before:
    ///
    /// * An interval, and a rotation before expiry, comes earlier by the offset of the path: never
    ///   later than without spread, and by at most half of the interval, or of the life up to there.
    /// * The times of a cron expression come later by the offset.
    /// * What waits for a window comes later than its opening by the offset, in as much of the span as
    ///   the window is open for.
    /// * Uses and demand are not spread by themselves; with a window they always wait for the offset after
    ///   its opening.
    ///
    /// The offset of a path is the first 8 bytes of the SHA-256 of its text, as a big-endian fraction of
    /// 2^64, of the span in milliseconds, rounded down. It is the same in every process and, as a
    /// promise, in every version of this crate.
    #[must_use]
    pub fn spread(mut self, over: Duration) -> Self {
        for part in &mut self.parts {
            part.spread = over;
        }
        self
    }

    /// When the secret at the path is to be rotated.
    ///
    /// `now` decides only whether a moment is reached and whether a window is open; the moment itself
    /// comes of the facts. A window that has passed unused is the exception: the next one follows from
    /// `now`.
    #[must_use]
    pub fn next(&self, path: &SecretPath, facts: &Facts, now: Timestamp) -> Next {
        self.parts.iter().map(|part| part.next(path, facts, now)).fold(Next::Never, Next::or)
    }
}

impl Part {
    fn next(&self, path: &SecretPath, facts: &Facts, now: Timestamp) -> Next {
        let planned = match self.planned(path, facts) {
            Ok(Some(planned)) => planned,
            Ok(None) => return Next::Never,
            Err(broken) => return Next::Broken(broken),
        };
        let end = match self.rule {
            Rule::BeforeExpiry(_) => facts.valid.map(|valid| valid.not_after),
            _ => None,
        };
        match (self.opened(path, planned, now), end) {
            (Some(at), Some(end)) if at >= end => reached(planned, now),
            (Some(at), _) => reached(at, now),
            (None, Some(_)) => reached(planned, now),
            // The calendar ends before the window opens.
            (None, None) => Next::Never,
        }
    }

    /// The moment by the rule and the spread, later than the last rotation, before any window.
    fn planned(&self, path: &SecretPath, facts: &Facts) -> Result<Option<Timestamp>, Broken> {
        Ok(match &self.rule {
            Rule::Every(interval) => {
                let offset = offset(path, self.spread.min(*interval / 2));
                Some(facts.last.saturating_add(interval.saturating_sub(offset)))
            }
            #[cfg(feature = "cron")]
            Rule::Cron(cron) => {
                // The whole calendar is moved, and not each time found in it: else a span longer
                // than from one time to the next would pass over times.
                let offset = offset(path, self.spread);
                cron.after(earlier(facts.last, offset)).map(|at| at.saturating_add(offset))
            }
            Rule::BeforeExpiry(margin) => match facts.valid {
                Some(valid) => {
                    let (start, until_due) = life(valid, facts.last, *margin)?;
                    let offset = offset(path, self.spread.min(until_due / 2));
                    Some(start.saturating_add(until_due.saturating_sub(offset)))
                }
                None => None,
            },
            Rule::AfterUses(limit) => (facts.uses >= limit.get()).then(ever),
            // A request may lie ahead, where the clock has stepped back since: it is due all the same.
            Rule::OnDemand => facts.asked.filter(|asked| *asked > facts.last).map(|_| ever()),
        })
    }

    /// The planned moment, or that in the next window, if the one that it lies in is not open any more.
    fn opened(&self, path: &SecretPath, planned: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let Some(window) = &self.window else {
            return Some(planned);
        };
        let (open, close) = window.open_after(planned.max(now))?;
        if open <= planned {
            return Some(planned);
        }
        Some(open.saturating_add(offset(path, self.spread.min(close.saturating_since(open)))))
    }
}

/// Due without a moment of its own: before every rotation.
fn ever() -> Timestamp {
    Timestamp::default()
}

fn reached(at: Timestamp, now: Timestamp) -> Next {
    if at <= now { Next::Due } else { Next::At(at) }
}

fn long_enough(span: Duration, what: &'static str) -> Result<Duration, ScheduleError> {
    // Timestamps count milliseconds: less than one would be due at the moment of the rotation itself.
    if span < Duration::from_millis(1) { Err(ScheduleError::TooShort { what }) } else { Ok(span) }
}

/// Where the usable life begins, and how long after that the rotation is due. More than zero.
fn life(
    valid: Validity,
    put: Timestamp,
    margin: Duration,
) -> Result<(Timestamp, Duration), Broken> {
    let Validity { not_before, not_after } = valid;
    if not_after <= not_before {
        return Err(Broken::NoLife { not_before, not_after });
    }
    if not_after <= put {
        return Err(Broken::Over { not_after, put });
    }
    let start = not_before.max(put);
    let life = not_after.saturating_since(start);
    // Both are whole milliseconds, so that the rounding goes towards the end and never to the start.
    let third = Duration::from_millis(u64::try_from(life.as_millis() / 3).unwrap_or(u64::MAX));
    Ok((start, life.saturating_sub(margin.min(third))))
}

/// The offset of a path within a span: see [`Schedule::spread`].
fn offset(path: &SecretPath, span: Duration) -> Duration {
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(path.as_str()));
    let fraction = u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    // A span that does not fit 64 bits of milliseconds is 500 million years.
    let span = u128::from(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    Duration::from_millis(u64::try_from((fraction * span) >> 64).unwrap_or(u64::MAX))
}

/// The moment that much earlier, at the earliest the start of 1970.
#[cfg(feature = "cron")]
fn earlier(moment: Timestamp, span: Duration) -> Timestamp {
    let start = Timestamp::default();
    start.saturating_add(moment.saturating_since(start).saturating_sub(span))
}
