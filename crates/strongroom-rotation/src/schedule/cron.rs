//! Cron expressions: `croner` parses them and searches the calendar without a time zone, and
//! `calendar` finds the moments. Its own rules for daylight saving differ from one expression to the
//! next, and its `jiff` is another major version than ours.

use std::cmp::Ordering;
use std::sync::Arc;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use strongroom_core::Timestamp;

use super::ScheduleError;
use super::calendar::{moment, shown, zone};

/// An expression and the zone whose clocks it is read by.
#[derive(Debug, Clone)]
pub(super) struct Cron {
    cron: Arc<croner::Cron>,
    zone: TimeZone,
}

impl Cron {
    pub(super) fn new(expression: &str, zone_name: &str) -> Result<Self, ScheduleError> {
        // Dialects differ in whether a sixth field is seconds or the year: five are the same in all.
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| ScheduleError::Cron {
            expression: expression.to_owned(),
            problem: error.to_string(),
        })?;
        // The search gives up at the year 5000.
        if cron.find_next_occurrence(&Civil(date(2000, 1, 1).at(0, 0, 0, 0)), true).is_err() {
            return Err(ScheduleError::NeverFires { expression: expression.to_owned() });
        }
        Ok(Self { cron: Arc::new(cron), zone: zone(zone_name)? })
    }

    /// The first moment later than that one. None after the year 4999.
    pub(super) fn after(&self, last: Timestamp) -> Option<Timestamp> {
        let mut time = Civil(shown(&self.zone, last));
        loop {
            time = self.cron.find_next_occurrence(&time, false).ok()?;
            // In an hour that is repeated, a time may be ahead on the clock, and its moment past.
            if let Some(moment) = moment(&self.zone, time.0)
                && moment > last
            {
                return Some(moment);
            }
        }
    }
}

/// A time without a zone, so that `croner` meets no daylight saving.
#[derive(Debug, Clone)]
struct Civil(DateTime);

impl CronDateTime for Civil {
    fn to_civil(&self) -> CivilDateTime {
        let part = |value: i8| u32::try_from(value).unwrap_or_default();
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(
                i32::from(self.0.year()),
                part(self.0.month()),
                part(self.0.day()),
            ),
            CivilTime::from_parts_unchecked(
                part(self.0.hour()),
                part(self.0.minute()),
                part(self.0.second()),
            ),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let day = self.0.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(u32::try_from(day).unwrap_or_default())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |value: u32| i8::try_from(value).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let time = DateTime::new(
            year,
            part(civil.month())?,
            part(civil.day())?,
            part(civil.hour())?,
            part(civil.minute())?,
            part(civil.second())?,
            0,
        );
        Ok(Resolution::Single(Self(time.map_err(|_| CronError::InvalidDate)?)))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
