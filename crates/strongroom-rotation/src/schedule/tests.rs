use proptest::prelude::*;
use strongroom_core::path;

use super::*;

const DB: SecretPath = path!("prod/db");
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn before(moment: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_millis(moment.as_millis() - u64::try_from(span.as_millis()).unwrap()).unwrap()
}

fn numbered(number: usize) -> SecretPath {
    format!("prod/many/{number}").parse().unwrap()
}

/// The planned moment, seen from the moment of the last rotation.
fn planned(schedule: &Schedule, path: &SecretPath, facts: &Facts) -> Timestamp {
    match schedule.next(path, facts, facts.last) {
        Next::At(moment) => moment,
        other => panic!("{other:?}"),
    }
}

/// The next moments, each rotation done as soon as it is due.
fn moments(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let mut facts = Facts::new(at(from));
    (0..count)
        .map(|_| {
            facts.last = planned(schedule, &DB, &facts);
            assert_eq!(schedule.next(&DB, &Facts::new(at(from)), facts.last), Next::Due);
            facts.last.to_string()
        })
        .collect()
}

fn until(not_before: Timestamp, not_after: Timestamp, put: Timestamp) -> Facts {
    Facts { valid: Some(Validity { not_before, not_after }), ..Facts::new(put) }
}

/// How many issues there are from `start`, looked at every `step` for `span`, the first one included.
fn issues(
    schedule: &Schedule,
    start: Timestamp,
    step: Duration,
    span: Duration,
    issue: impl Fn(Timestamp) -> Facts,
) -> Vec<Timestamp> {
    let (mut now, mut facts, mut issued) = (start, issue(start), vec![start]);
    while now.saturating_since(start) < span {
        now = now.saturating_add(step);
        if schedule.next(&DB, &facts, now) == Next::Due {
            facts = issue(now);
            issued.push(now);
        }
    }
    issued
}

#[test]
fn less_than_a_millisecond_is_refused() {
    for short in [Duration::ZERO, Duration::from_micros(999)] {
        assert!(matches!(Schedule::every(short), Err(ScheduleError::TooShort { .. })));
        assert!(matches!(Schedule::before_expiry_by(short), Err(ScheduleError::TooShort { .. })));
    }
    assert!(Schedule::every(Duration::from_millis(1)).is_ok());
}

#[test]
fn an_interval_counts_from_the_last_rotation() {
    let schedule = Schedule::every(30 * DAY).unwrap();
    assert_eq!(
        moments(&schedule, "2027-01-01T00:00:00Z", 2),
        ["2027-01-31T00:00:00Z", "2027-03-02T00:00:00Z"]
    );
    let facts = Facts::new(at("2027-01-01T00:00:00Z"));
    let due = at("2027-01-31T00:00:00Z");
    assert_eq!(schedule.next(&DB, &facts, before(due, Duration::from_millis(1))), Next::At(due));
    assert_eq!(schedule.next(&DB, &facts, due), Next::Due);
}

#[test]
fn uses_and_demand() {
    let now = at("2027-01-01T00:00:00Z");
    let mut facts = Facts::new(now);
    let uses = Schedule::after_uses(NonZeroU64::new(3).unwrap());
    for (count, next) in [(0, Next::Never), (2, Next::Never), (3, Next::Due), (4, Next::Due)] {
        facts.uses = count;
        assert_eq!(uses.next(&DB, &facts, now), next, "{count}");
    }

    let demand = Schedule::on_demand();
    assert_eq!(demand.next(&DB, &facts, now), Next::Never);
    facts.asked = Some(facts.request(now));
    assert_eq!(demand.next(&DB, &facts, now), Next::Due);
    for served in [facts.asked.unwrap(), now.saturating_add(SECOND)] {
        facts.last = served;
        assert_eq!(demand.next(&DB, &facts, facts.last), Next::Never, "{served}");
    }
}

// FC-043
#[test]
fn fc_043_what_is_due_after_a_suspend_or_a_jump_is_due_once() {
    let start = at("2027-03-10T08:00:00Z");
    let schedules = [
        Schedule::every(HOUR).unwrap(),
        #[cfg(feature = "cron")]
        Schedule::cron("*/20 * * * *", "Europe/Berlin").unwrap(),
        Schedule::every(HOUR).unwrap().spread(HOUR),
        Schedule::every(HOUR)
            .unwrap()
            .within(Window::new(Day::ALL, "00:00", "24:00", "UTC").unwrap()),
    ];
    for schedule in schedules {
        let mut facts = Facts::new(start);
        assert!(matches!(schedule.next(&DB, &facts, start), Next::At(_)));
        let jumped = start.saturating_add(5 * HOUR);
        assert_eq!(schedule.next(&DB, &facts, jumped), Next::Due, "{schedule:?}");
        facts.last = jumped;
        let Next::At(again) = schedule.next(&DB, &facts, jumped) else {
            panic!("due a second time: {schedule:?}")
        };
        assert!(again > jumped);

        // The clock steps back: not due, then and until the time is there again.
        for minutes in 0..=300 {
            let now = start.saturating_add(minutes * MINUTE);
            assert_eq!(schedule.next(&DB, &facts, now), Next::At(again), "{schedule:?}");
        }
    }
}

// FC-043
#[test]
fn fc_043_what_was_served_is_not_due_again_after_a_step_back() {
    let now = at("2027-03-10T08:00:00Z");
    let back = before(now, 5 * HOUR);
    let schedule = Schedule::on_demand();
    let mut facts = Facts { asked: Some(before(now, HOUR)), ..Facts::new(now) };
    assert_eq!(schedule.next(&DB, &facts, back), Next::Never);
    // Nor is a request lost that is made then.
    facts.asked = Some(facts.request(back));
    assert_eq!(schedule.next(&DB, &facts, back), Next::Due);
}

// FC-045
#[test]
fn fc_045_half_of_the_requested_life_and_a_margin_as_long() {
    let start = at("2027-01-01T00:00:00Z");
    // 60 days were asked for.
    let issue = |now| {
        let not_before = before(now, 30 * SECOND);
        until(not_before, not_before.saturating_add(30 * DAY), now)
    };
    let schedule = Schedule::before_expiry_by(30 * DAY).unwrap();
    assert_eq!(issues(&schedule, start, MINUTE, DAY, issue), [start]);
    let issued = issues(&schedule, start, MINUTE, 60 * DAY, issue);
    assert_eq!(issued.len(), 4);
    for pair in issued.windows(2) {
        let apart = pair[1].saturating_since(pair[0]);
        assert!(apart > 20 * DAY - 2 * MINUTE && apart <= 20 * DAY, "{apart:?}");
    }
    // A margin that fits is kept.
    let ten = Schedule::before_expiry_by(9 * DAY).unwrap();
    assert_eq!(
        planned(&ten, &DB, &issue(start)),
        before(start, 30 * SECOND).saturating_add(21 * DAY)
    );
}

// FC-045
#[test]
fn fc_045_five_minutes_give_one_issue_per_life() {
    let start = at("2027-01-01T00:00:00Z");
    let issue = |now: Timestamp| until(now, now.saturating_add(5 * MINUTE), now);
    for schedule in [Schedule::before_expiry(), Schedule::before_expiry_by(30 * DAY).unwrap()] {
        assert_eq!(
            planned(&schedule, &DB, &issue(start)),
            start.saturating_add(Duration::from_secs(200))
        );
        let issued = issues(&schedule, start, SECOND, HOUR, issue);
        assert_eq!(issued.len(), 19);
    }
}

// FC-045
#[test]
fn fc_045_no_life_is_broken_and_never_due() {
    let put = at("2027-01-01T00:00:00Z");
    let schedule = Schedule::before_expiry();
    for (not_before, not_after, no_life) in [
        (put, put, true),
        (put, before(put, DAY), true),
        (put.saturating_add(DAY), put.saturating_add(HOUR), true),
        (before(put, DAY), before(put, HOUR), false),
        (before(put, DAY), put, false),
    ] {
        let facts = until(not_before, not_after, put);
        for now in [before(put, DAY), put, put.saturating_add(365 * DAY)] {
            let Next::Broken(why) = schedule.next(&DB, &facts, now) else {
                panic!("{not_before} {not_after}")
            };
            assert_eq!(matches!(why, Broken::NoLife { .. }), no_life, "{why}");
        }
    }
}

#[test]
fn what_is_put_late_in_its_life_is_not_due_at_once() {
    let put = at("2027-01-26T00:00:00Z");
    let facts = until(at("2027-01-01T00:00:00Z"), at("2027-01-29T00:00:00Z"), put);
    let schedule = Schedule::before_expiry_by(10 * DAY).unwrap();
    assert_eq!(planned(&schedule, &DB, &facts), at("2027-01-28T00:00:00Z"));
    // And what begins later is counted from there.
    let facts = until(at("2027-02-01T00:00:00Z"), at("2027-02-04T00:00:00Z"), put);
    assert_eq!(planned(&schedule, &DB, &facts), at("2027-02-03T00:00:00Z"));
    assert_eq!(schedule.next(&DB, &Facts::new(put), Timestamp::MAX), Next::Never, "no validity");
}

#[test]
fn what_is_first_counts_and_broken_comes_before_waiting() {
    let put = at("2027-01-01T00:00:00Z");
    let broken = until(put, put, put);
    let both = Schedule::every(DAY).unwrap().or(Schedule::before_expiry());
    assert!(matches!(both.next(&DB, &broken, put), Next::Broken(_)));
    assert_eq!(both.next(&DB, &broken, put.saturating_add(DAY)), Next::Due);
    let living = until(put, put.saturating_add(3 * DAY), put);
    assert_eq!(both.next(&DB, &living, put), Next::At(put.saturating_add(DAY)));
    let living = until(put, put.saturating_add(3 * HOUR), put);
    assert_eq!(both.next(&DB, &living, put), Next::At(put.saturating_add(2 * HOUR)));
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let new = |days: &[Day], from, to, zone| {
        Window::new(days.iter().copied(), from, to, zone).map(drop).unwrap_err()
    };
    assert_eq!(new(&[], "22:00", "05:00", "UTC"), ScheduleError::NeverOpens);
    assert_eq!(new(&Day::ALL, "22:00", "22:00", "UTC"), ScheduleError::NeverOpens);
    for text in ["", "22", "24:00", "25:00", "12:60", "22:00:30", "-1:00", "10 pm"] {
        let time = ScheduleError::Time { text: text.to_owned() };
        assert_eq!(new(&Day::ALL, text, "12:30", "UTC"), time);
    }
    for zone in ["", "Europe/Berln", "Etc/Unknown", "../zoneinfo/UTC", "/etc/localtime"] {
        let unknown = ScheduleError::UnknownZone { zone: zone.to_owned() };
        assert_eq!(new(&Day::ALL, "22:00", "05:00", zone), unknown);
    }
}

#[test]
fn a_due_time_outside_of_the_window_waits_for_the_opening() {
    let night = Window::new(Day::WORKDAYS, "22:00", "05:00", "Europe/Berlin").unwrap();
    let schedule = Schedule::every(DAY).unwrap().within(night.clone());
    let wait = |last| planned(&schedule, &DB, &Facts::new(at(last))).to_string();
    // 2027-03-26 is a Friday, and Germany's clocks go forward in the night to the 28th.
    assert_eq!(wait("2027-03-24T11:00:00Z"), "2027-03-25T21:00:00Z", "Thursday noon");
    assert_eq!(wait("2027-03-24T22:00:00Z"), "2027-03-25T22:00:00Z", "Thursday 23:00");
    assert_eq!(wait("2027-03-26T03:59:59Z"), "2027-03-27T03:59:59Z", "Friday's, on Saturday");
    assert_eq!(wait("2027-03-26T04:00:00Z"), "2027-03-29T20:00:00Z", "closed: Monday's");

    let weekend = [Day::Saturday, Day::Sunday];
    let weekend = Window::new(weekend, "00:00", "24:00", "Europe/Berlin").unwrap();
    let schedule = Schedule::every(DAY).unwrap().within(night.or(weekend));
    let wait = |last| planned(&schedule, &DB, &Facts::new(at(last))).to_string();
    assert_eq!(wait("2027-03-26T04:00:00Z"), "2027-03-27T04:00:00Z", "either");
    assert_eq!(wait("2027-03-27T21:59:59Z"), "2027-03-28T21:59:59Z", "the last second of Sunday");
    assert_eq!(wait("2027-03-27T22:00:00Z"), "2027-03-29T20:00:00Z", "Monday, 00:00");
}

#[test]
fn what_was_missed_in_a_window_waits_for_the_next() {
    let night = Window::new(Day::ALL, "02:00", "04:00", "UTC").unwrap();
    let schedule = Schedule::every(DAY).unwrap().within(night);
    let facts = Facts::new(at("2027-01-01T03:00:00Z"));
    let next = |now| schedule.next(&DB, &facts, at(now));
    assert_eq!(next("2027-01-02T02:59:59Z"), Next::At(at("2027-01-02T03:00:00Z")));
    assert_eq!(next("2027-01-02T03:59:59Z"), Next::Due);
    assert_eq!(next("2027-01-02T04:00:00Z"), Next::At(at("2027-01-03T02:00:00Z")));
    assert_eq!(next("2027-01-03T02:00:00Z"), Next::Due);

    // The spread holds in the window that it was put off to, too, and is that announced.
    let schedule = schedule.spread(HOUR);
    let Next::At(announced) = schedule.next(&DB, &facts, at("2027-01-02T12:00:00Z")) else {
        panic!()
    };
    let offset = offset(&DB, HOUR);
    assert!(offset > SECOND);
    assert_eq!(announced, at("2027-01-03T02:00:00Z").saturating_add(offset));
    assert_eq!(schedule.next(&DB, &facts, before(announced, SECOND)), Next::At(announced));
    assert_eq!(schedule.next(&DB, &facts, announced), Next::Due);
}

#[test]
fn uses_and_demand_wait_for_a_window_that_is_set_after_them() {
    let window = Window::new(Day::ALL, "02:00", "04:00", "UTC").unwrap();
    let now = at("2027-01-01T12:00:00Z");
    let facts = Facts { uses: 1, asked: Some(now), ..Facts::new(at("2027-01-01T00:00:00Z")) };
    let opening = Next::At(at("2027-01-02T02:00:00Z"));
    for schedule in [Schedule::after_uses(NonZeroU64::MIN), Schedule::on_demand()] {
        let held = schedule.clone().within(window.clone());
        assert_eq!(held.next(&DB, &facts, now), opening);
        assert_eq!(held.next(&DB, &facts, at("2027-01-02T03:00:00Z")), Next::Due);
        let free = Schedule::every(DAY).unwrap().within(window.clone()).or(schedule);
        assert_eq!(free.next(&DB, &facts, now), Next::Due);
    }
}

#[test]
fn the_end_of_a_life_does_not_wait_for_a_window() {
    let sunday = Window::new([Day::Sunday], "02:00", "04:00", "UTC").unwrap();
    let schedule = Schedule::before_expiry().within(sunday);
    // 2027-01-01 is a Friday.
    let put = at("2027-01-01T00:00:00Z");
    let week = until(put, at("2027-01-04T00:00:00Z"), put);
    assert_eq!(planned(&schedule, &DB, &week), at("2027-01-03T02:00:00Z"));
    let hours = until(put, put.saturating_add(3 * HOUR), put);
    assert_eq!(planned(&schedule, &DB, &hours), put.saturating_add(2 * HOUR));
    // Nor does what has ended while the machine was off.
    assert_eq!(schedule.next(&DB, &week, at("2027-01-05T00:00:00Z")), Next::Due);
}

#[test]
fn a_window_in_the_gap_does_not_open_on_that_day() {
    let gap = Window::new(Day::ALL, "02:10", "02:50", "Europe/Berlin").unwrap();
    let schedule = Schedule::every(DAY).unwrap().within(gap);
    let facts = Facts::new(at("2027-03-26T23:00:00Z"));
    assert_eq!(planned(&schedule, &DB, &facts), at("2027-03-29T00:10:00Z"));
    // From within the gap, and to within the hour that is repeated.
    let window = Window::new(Day::ALL, "01:00", "02:30", "Europe/Berlin").unwrap();
    let spring = at("2027-03-28T00:59:59Z");
    assert_eq!(
        window.open_after(spring),
        Some((at("2027-03-28T00:00:00Z"), at("2027-03-28T01:00:00Z")))
    );
    let autumn = at("2027-10-31T00:00:00Z");
    assert_eq!(
        window.open_after(autumn),
        Some((at("2027-10-30T23:00:00Z"), at("2027-10-31T00:30:00Z")))
    );
}

#[test]
fn a_window_on_a_day_that_falls_out_opens_a_week_later() {
    // Samoa went over the date line from Thursday 2011-12-29 to Saturday 2011-12-31.
    let friday = Window::new([Day::Friday], "08:00", "09:00", "Pacific/Apia").unwrap();
    let (open, _) = friday.open_after(at("2011-12-29T12:00:00Z")).unwrap();
    assert_eq!(open, at("2012-01-05T18:00:00Z"));
}

// Computed with another implementation: int.from_bytes(sha256(path)[:8], "big") * span >> 64. A change
// here moves every rotation of everybody: it is a change of a promise.
#[test]
fn the_offset_of_a_path_is_pinned() {
    for (path, hour, day) in [
        (path!("prod/db"), 2_121_989, 50_927_755),
        (path!("prod/billing/db"), 1_534_537, 36_828_904),
        (path!("staging/api-key"), 932_625, 22_383_017),
    ] {
        assert_eq!(offset(&path, HOUR), Duration::from_millis(hour), "{path}");
        assert_eq!(offset(&path, DAY), Duration::from_millis(day), "{path}");
    }
}

#[test]
fn a_thousand_secrets_of_one_moment_are_spread_from_the_first_rotation_on() {
    let put = at("2027-01-01T00:00:00Z");
    let valid = until(put, put.saturating_add(90 * DAY), put);
    let window = Window::new(Day::ALL, "02:00", "04:00", "UTC").unwrap();
    for schedule in [
        Schedule::every(30 * DAY).unwrap(),
        Schedule::before_expiry(),
        Schedule::every(30 * DAY).unwrap().within(window),
        #[cfg(feature = "cron")]
        Schedule::cron("0 12 * * *", "UTC").unwrap(),
    ] {
        let schedule = schedule.spread(HOUR);
        let mut at_minute = [0_u32; 60];
        for number in 0..1_000 {
            let planned = planned(&schedule, &numbered(number), &valid).as_millis();
            at_minute[usize::try_from(planned / 60_000 % 60).unwrap()] += 1;
        }
        // 17 are expected in each: more than 40 in one is less likely than one in a million.
        assert!(
            at_minute.iter().all(|count| (1..=40).contains(count)),
            "{at_minute:?} {schedule:?}"
        );
    }
}

#[cfg(feature = "cron")]
mod cron {
    use super::*;

    fn daily(expression: &str, zone: &str) -> Schedule {
        Schedule::cron(expression, zone).unwrap()
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let new = |text| Schedule::cron(text, "UTC").map(drop).unwrap_err();
        for text in [
            "",
            "* * * *",
            "0 30 2 * * *",
            "0 30 2 * * * 2027",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "*/0 * * * *",
            "5-1 * * * *",
            "@reboot",
            "a b c d e",
            "ä * * * *",
        ] {
            assert!(matches!(new(text), ScheduleError::Cron { .. }), "{text}: {:?}", new(text));
        }
        for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
            assert_eq!(new(text), ScheduleError::NeverFires { expression: text.to_owned() });
        }
        let unknown = Schedule::cron("@daily", "Mars/Olympus").map(drop).unwrap_err();
        assert_eq!(unknown, ScheduleError::UnknownZone { zone: "Mars/Olympus".to_owned() });
        assert!(unknown.to_string().contains("Europe/Berlin"));
    }

    #[test]
    fn a_time_that_does_not_exist_fires_after_the_gap() {
        assert_eq!(
            moments(&daily("30 2 * * *", "Europe/Berlin"), "2027-03-27T00:00:00Z", 3),
            ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]
        );
        // Both of those in the gap, and the one after it, are the same moment.
        assert_eq!(
            moments(&daily("*/30 * * * *", "Europe/Berlin"), "2027-03-28T00:00:00Z", 3),
            ["2027-03-28T00:30:00Z", "2027-03-28T01:00:00Z", "2027-03-28T01:30:00Z"]
        );
        // From 02:00 to 02:30 on 2027-10-03.
        assert_eq!(
            moments(&daily("15 2 * * *", "Australia/Lord_Howe"), "2027-10-01T12:00:00Z", 3),
            ["2027-10-01T15:45:00Z", "2027-10-02T15:30:00Z", "2027-10-03T15:15:00Z"]
        );
    }

    #[test]
    fn a_time_that_exists_twice_fires_at_the_first() {
        let berlin = daily("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            moments(&berlin, "2027-10-30T00:00:00Z", 3),
            ["2027-10-30T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]
        );
        // Nor from a rotation by another cause, between the two or before the second.
        for last in ["2027-10-31T00:30:00.001Z", "2027-10-31T00:45:00Z", "2027-10-31T01:10:00Z"] {
            assert_eq!(moments(&berlin, last, 1), ["2027-11-01T01:30:00Z"], "{last}");
        }
        assert_eq!(
            moments(&daily("*/30 * * * *", "Europe/Berlin"), "2027-10-31T00:00:00Z", 3),
            ["2027-10-31T00:30:00Z", "2027-10-31T02:00:00Z", "2027-10-31T02:30:00Z"]
        );
        // From 02:00 back to 01:30 on 2027-04-04.
        assert_eq!(
            moments(&daily("45 1 * * *", "Australia/Lord_Howe"), "2027-04-02T12:00:00Z", 3),
            ["2027-04-02T14:45:00Z", "2027-04-03T14:45:00Z", "2027-04-04T15:15:00Z"]
        );
    }

    #[test]
    fn fields() {
        // Day of the month or weekday: the 13th, and Fridays. 2027-01-01 is a Friday.
        assert_eq!(
            moments(&daily("0 0 13 * FRI", "UTC"), "2027-01-01T00:00:00Z", 3),
            ["2027-01-08T00:00:00Z", "2027-01-13T00:00:00Z", "2027-01-15T00:00:00Z"]
        );
        assert_eq!(
            moments(&daily("@weekly", "Europe/Berlin"), "2027-01-01T00:00:00Z", 1),
            ["2027-01-02T23:00:00Z"]
        );
        assert_eq!(
            moments(&daily("0 0 29 2 *", "UTC"), "2027-01-01T00:00:00Z", 1),
            ["2028-02-29T00:00:00Z"]
        );
        let last = Facts::new(Timestamp::MAX);
        assert_eq!(daily("@daily", "UTC").next(&DB, &last, Timestamp::MAX), Next::Never);
    }

    #[test]
    fn a_span_longer_than_the_period_passes_over_no_time() {
        let schedule = daily("0 * * * *", "UTC").spread(DAY);
        let offset = offset(&DB, DAY);
        assert!(offset > HOUR);
        let first = at("2027-01-01T12:00:00Z").saturating_add(offset);
        let second = first.saturating_add(HOUR);
        assert_eq!(moments(&schedule, &first.to_string(), 1), [second.to_string()]);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(
            text in prop_oneof![
                "\\PC{0,24}",
                "[0-9*/,LW#?+@A-Z -]{0,24}",
                "[0-6*]([/,#-][0-9]|L)?( [0-9*]([/,-][0-9])?){3} [0-7*]([/,#-][0-9]|L)?",
                "[*] [*] [0-9L]{1,2}W?[/,-]?[0-9LW]{0,2} [*] [+]?(MON|tue|SUN|[0-7])[#L-]?[0-9]?",
            ],
        ) {
            if let Ok(schedule) = Schedule::cron(&text, "Europe/Berlin") {
                let facts = Facts::new(at("2027-01-01T00:00:00Z"));
                prop_assert!(planned(&schedule, &DB, &facts) > facts.last);
            }
        }

        /// The clocks show what the expression says, or an hour more after a gap, and there is one a day.
        #[test]
        fn the_clocks_show_the_time(
            hour in 0_u8..24, minute in 0_u8..60, last in moment(), zone in zone(),
        ) {
            let schedule = daily(&format!("{minute} {hour} * * *"), zone);
            let next = planned(&schedule, &DB, &Facts::new(last));
            prop_assert!(next > last);
            prop_assert!(next.saturating_since(last) <= 26 * HOUR);
            let shown = calendar::shown(&calendar::zone(zone).unwrap(), next);
            let said = i32::from(hour) * 60 + i32::from(minute);
            let shows = i32::from(shown.hour()) * 60 + i32::from(shown.minute());
            prop_assert!((0..=60).contains(&(shows - said)), "{shows} {said}");
        }

        /// However the moments are walked, each is found from any point between it and the one before.
        #[test]
        fn no_moment_is_passed_over(last in moment(), zone in zone(), part in 0.0..1.0_f64) {
            let schedule = daily("*/30 * * * *", zone);
            let next = planned(&schedule, &DB, &Facts::new(last));
            let between = last.saturating_add(next.saturating_since(last).mul_f64(part));
            if between < next {
                prop_assert_eq!(planned(&schedule, &DB, &Facts::new(between)), next);
            }
        }
    }
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/New_York",
        "Asia/Kathmandu",
        "Pacific/Apia",
    ])
}

/// From 2020 to 2050.
fn moment() -> impl Strategy<Value = Timestamp> {
    (1_577_836_800_000_u64..2_524_608_000_000).prop_map(|ms| Timestamp::from_millis(ms).unwrap())
}

/// From a millisecond to 400 days.
fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![1_u64..1_000, 1_000_u64..86_400_000, 86_400_000_u64..34_560_000_000]
        .prop_map(Duration::from_millis)
}

fn window() -> impl Strategy<Value = (Vec<Day>, u8, u8, &'static str)> {
    (prop::sample::subsequence(Day::ALL.to_vec(), 1..=7), 0_u8..24, 0_u8..24, zone())
        .prop_filter("never opens", |(_, from, to, _)| from != to)
}

fn make((days, from, to, zone): &(Vec<Day>, u8, u8, &'static str)) -> Window {
    Window::new(days.iter().copied(), &format!("{from:02}:00"), &format!("{to:02}:00"), zone)
        .unwrap()
}

#[cfg(feature = "cron")]
fn by_calendar() -> impl Strategy<Value = Schedule> {
    (0_u8..60, zone())
        .prop_map(|(minute, zone)| Schedule::cron(&format!("{minute} */5 * * *"), zone).unwrap())
}

#[cfg(not(feature = "cron"))]
fn by_calendar() -> impl Strategy<Value = Schedule> {
    Just(Schedule::every(DAY).unwrap())
}

fn rule() -> impl Strategy<Value = Schedule> {
    let rule = prop_oneof![
        span().prop_map(|interval| Schedule::every(interval).unwrap()),
        by_calendar(),
        Just(Schedule::before_expiry()),
        span().prop_map(|margin| Schedule::before_expiry_by(margin).unwrap()),
        (1_u64..5).prop_map(|uses| Schedule::after_uses(NonZeroU64::new(uses).unwrap())),
        Just(Schedule::on_demand()),
    ];
    (rule, prop::option::of(span()), prop::option::of(window())).prop_map(|(rule, over, window)| {
        let rule = match over {
            Some(over) => rule.spread(over),
            None => rule,
        };
        match window {
            Some(window) => rule.within(make(&window)),
            None => rule,
        }
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    let valid = (0_u64..40, 0_u64..80);
    (moment(), prop::option::of(valid), 0_u64..5, prop::option::of(0_u64..20)).prop_map(
        |(last, valid, uses, asked)| {
            // Around the last rotation, before it and after.
            let around = |days: u64, before: u64| {
                Timestamp::from_millis(last.as_millis() + days * 86_400_000 - before * 86_400_000)
                    .unwrap()
            };
            let valid = valid.map(|(begin, end)| Validity {
                not_before: around(begin, 20),
                not_after: around(end, 30),
            });
            Facts { valid, uses, asked: asked.map(|days| around(days, 10)), ..Facts::new(last) }
        },
    )
}

/// By the clocks and not by the code under test. Whole hours, with which a change of the clocks makes no
/// difference: none of these zones changes in the midst of a window that it opens or closes.
fn is_open((days, from, to, zone): &(Vec<Day>, u8, u8, &'static str), moment: Timestamp) -> bool {
    let zone = jiff::tz::TimeZone::get(zone).unwrap();
    let moment =
        jiff::Timestamp::from_millisecond(i64::try_from(moment.as_millis()).unwrap()).unwrap();
    let shown = moment.to_zoned_datetime(zone);
    let hour = u8::try_from(shown.hour()).unwrap();
    let today = usize::try_from(shown.weekday().to_monday_zero_offset()).unwrap();
    let on = |day: usize| days.contains(&Day::ALL[day % 7]);
    if from < to {
        on(today) && (*from..*to).contains(&hour)
    } else {
        (on(today) && hour >= *from) || (on(today + 6) && hour < *to)
    }
}

proptest! {
    #[test]
    fn an_interval_is_later_than_the_last_rotation_and_never_late(
        last in moment(), interval in span(), over in span(), number in 0_usize..10_000,
    ) {
        let facts = Facts::new(last);
        let schedule = Schedule::every(interval).unwrap();
        prop_assert_eq!(planned(&schedule, &DB, &facts), last.saturating_add(interval));
        let next = planned(&schedule.spread(over), &numbered(number), &facts);
        prop_assert!(next > last && next <= last.saturating_add(interval));
        prop_assert!(next.saturating_since(last) >= interval / 2);
    }

    #[test]
    fn a_plan_before_the_end_lies_in_the_last_third(
        last in moment(), back in span(), life in span(), margin in span(),
    ) {
        let facts = until(before(last, back), last.saturating_add(life), last);
        let next = planned(&Schedule::before_expiry_by(margin).unwrap(), &DB, &facts);
        prop_assert!(next > last && next <= last.saturating_add(life));
        prop_assert!(next.saturating_since(last) >= life * 2 / 3);
        prop_assert!(next >= before(last.saturating_add(life), margin));
    }

    #[test]
    fn an_offset_lies_within_its_span(number in 0_usize..100_000, over in span()) {
        let path = numbered(number);
        prop_assert!(offset(&path, over) < over);
        prop_assert_eq!(offset(&path, over), offset(&path.to_string().parse().unwrap(), over));
        prop_assert_eq!(offset(&path, Duration::ZERO), Duration::ZERO);
        prop_assert!(offset(&path, Duration::MAX) < Duration::MAX);
    }

    #[test]
    fn what_waits_for_a_window_is_within_it(
        rule in rule(), window in window(), facts in facts(), now in moment(),
    ) {
        let schedule = rule.within(make(&window));
        let ends = matches!(schedule.parts[0].rule, Rule::BeforeExpiry(_));
        match schedule.next(&DB, &facts, now) {
            Next::Due if !ends => prop_assert!(is_open(&window, now)),
            Next::At(at) if !ends => {
                prop_assert!(at > now);
                prop_assert!(is_open(&window, at), "{at}");
            }
            Next::At(at) => {
                let valid = facts.valid.unwrap();
                prop_assert!(at > now && at <= valid.not_after);
            }
            _ => {}
        }
    }

    #[test]
    fn a_promised_moment_is_kept(rule in rule(), facts in facts(), now in moment()) {
        if let Next::At(at) = rule.next(&DB, &facts, now) {
            prop_assert!(at > now);
            prop_assert_eq!(rule.next(&DB, &facts, at), Next::Due);
            if at.saturating_since(now) > SECOND {
                let almost = before(at, SECOND);
                prop_assert_eq!(rule.next(&DB, &facts, almost), Next::At(at));
            }
        }
    }

    #[test]
    fn the_order_of_or_does_not_matter(
        one in rule(), two in rule(), three in rule(), facts in facts(), now in moment(),
    ) {
        let next = |schedule: Schedule| schedule.next(&DB, &facts, now);
        let expected = next(one.clone().or(two.clone()).or(three.clone()));
        prop_assert_eq!(next(three.clone().or(two.clone()).or(one.clone())), expected);
        prop_assert_eq!(next(two.clone().or(one.clone().or(three.clone()))), expected);
        // The first of them.
        let each = [next(one), next(two), next(three)];
        let first = each.iter().filter_map(|next| match next {
            Next::At(at) => Some(*at),
            _ => None,
        });
        match expected {
            Next::At(at) => prop_assert_eq!(Some(at), first.min()),
            other => prop_assert!(each.contains(&other)),
        }
    }

    #[test]
    fn one_rotation_serves_what_is_due(rule in rule(), facts in facts(), now in moment()) {
        if rule.next(&DB, &facts, now) == Next::Due {
            let after = Facts { asked: facts.asked.filter(|asked| *asked <= now), ..Facts::new(now) };
            let valid = Validity { not_before: now, not_after: now.saturating_add(DAY) };
            let after = Facts { valid: Some(valid), ..after };
            prop_assert!(matches!(rule.next(&DB, &after, now), Next::At(_) | Next::Never));
        }
    }

    #[test]
    fn no_moment_makes_it_panic(rule in rule(), facts in facts(), far in any::<bool>()) {
        let edge = if far { Timestamp::MAX } else { Timestamp::default() };
        let valid = facts.valid.map(|valid| Validity { not_after: Timestamp::MAX, ..valid });
        _ = rule.next(&DB, &Facts { last: edge, valid, ..facts }, edge);
        _ = rule.next(&DB, &facts, edge);
    }
}
