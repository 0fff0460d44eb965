//! From the clocks of a time zone to moments and back, by one rule for what daylight saving does to
//! them: see [`Schedule::cron`](super::Schedule::cron).

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use strongroom_core::Timestamp;

use super::ScheduleError;

/// A time zone by its IANA name.
pub(super) fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    match TimeZone::get(name) {
        // `Etc/Unknown` would pass for UTC.
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        _ => Err(ScheduleError::UnknownZone { zone: name.to_owned() }),
    }
}

/// What the clocks of the zone show at that moment.
pub(super) fn shown(zone: &TimeZone, moment: Timestamp) -> DateTime {
    let moment = i64::try_from(moment.as_millis()).map(jiff::Timestamp::from_millisecond);
    // The last two days of the year 9999 are beyond jiff.
    zone.to_datetime(moment.ok().and_then(Result::ok).unwrap_or(jiff::Timestamp::MAX))
}

/// The moment at which the clocks of the zone show that time for the first time; where they pass over
/// it, the first moment after the gap. None before 1970 and after 9999.
pub(super) fn moment(zone: &TimeZone, shown: DateTime) -> Option<Timestamp> {
    let found = zone.to_ambiguous_timestamp(shown);
    let moment = match found.offset() {
        // By the offset after the gap, the time lies before the transition, by less than the gap.
        AmbiguousOffset::Gap { after, .. } => {
            let before = after.to_timestamp(shown).ok()?;
            zone.following(before).next()?.timestamp()
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
            found.earlier().ok()?
        }
    };
    Timestamp::from_millis(u64::try_from(moment.as_millisecond()).ok()?).ok()
}
