//! The times at which rotations are allowed.

use jiff::SignedDuration;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use strongroom_core::Timestamp;

use super::ScheduleError;
use super::calendar::{moment, shown, zone};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Day {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

impl Day {
    /// All seven.
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];
    /// Monday to Friday.
    pub const WORKDAYS: [Self; 5] =
        [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday];

    const fn of(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}

/// Times of the week at which rotations are allowed, by the clocks of a time zone.
///
/// Daylight saving moves an opening or closing as it does the times of a cron expression: to the first
/// moment after the gap that it lies in, and to the first of two. A window that lies in the gap as a
/// whole does not open on that day.
#[derive(Debug, Clone)]
pub struct Window {
    spans: Vec<Open>,
}

#[derive(Debug, Clone)]
struct Open {
    days: Vec<Day>,
    from: Time,
    to: Time,
    /// Whether it closes on the day after.
    overnight: bool,
    zone: TimeZone,
}

impl Window {
    /// Open on these days from one time, inclusive, to the other, exclusive: `22:00`, `05:00`, up to
    /// `24:00`. Where `to` is earlier than `from`, it closes on the day after the one named. The zone is
    /// an IANA name.
    ///
    /// # Errors
    /// `NeverOpens` without days or where the times are the same, `Time` and `UnknownZone`.
    pub fn new(
        days: impl IntoIterator<Item = Day>,
        from: &str,
        to: &str,
        zone_name: &str,
    ) -> Result<Self, ScheduleError> {
        let days: Vec<Day> = days.into_iter().collect();
        let from = time(from)?;
        let (to, whole) = if to == "24:00" { (Time::midnight(), true) } else { (time(to)?, false) };
        if days.is_empty() || (from == to && !whole) {
            return Err(ScheduleError::NeverOpens);
        }
        let overnight = whole || to < from;
        Ok(Self { spans: vec![Open { days, from, to, overnight, zone: zone(zone_name)? }] })
    }

    /// Open whenever one of the two is.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self
    }

    /// From when to when it is open at that moment, or next. None where the calendar ends.
    pub(super) fn open_after(&self, moment: Timestamp) -> Option<(Timestamp, Timestamp)> {
        self.spans.iter().filter_map(|span| span.open_after(moment)).min()
    }
}

impl Open {
    fn open_after(&self, after: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let today = shown(&self.zone, after).date();
        // From the evening before, since that may be open still, to the week after the next: a day may
        // fall out, as where a zone changes sides of the date line.
        (-2..=15).find_map(|days: i64| {
            let day = today.checked_add(SignedDuration::from_hours(24 * days)).ok()?;
            if !self.days.contains(&Day::of(day.weekday())) {
                return None;
            }
            let last = if self.overnight { day.tomorrow().ok()? } else { day };
            let open = moment(&self.zone, day.to_datetime(self.from))?;
            let close = moment(&self.zone, last.to_datetime(self.to))?;
            (open < close && after < close).then_some((open, close))
        })
    }
}

/// Hours and minutes.
fn time(text: &str) -> Result<Time, ScheduleError> {
    Time::strptime("%H:%M", text).map_err(|_| ScheduleError::Time { text: text.to_owned() })
}
