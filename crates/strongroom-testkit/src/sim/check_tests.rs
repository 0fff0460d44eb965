//! Histories made by hand: impossible ones beside their possible twins.

use super::history::{Expected, Fate, Found, History, Kind, Look, Moment, NEVER, Read, Write};

/// A put of the value with the number of its version.
const fn put(version: u64, begin: Moment, end: Moment) -> Write {
    let kind = Kind::Put { number: version, pending: false, expected: Expected::Any };
    Write { path: 0, kind, begin, end, fate: Fate::Took(Some(version)) }
}

const fn swap(expected: Expected, version: u64, begin: Moment, end: Moment) -> Write {
    let kind = Kind::Put { number: version, pending: false, expected };
    Write { kind, ..put(version, begin, end) }
}

const fn fated(write: Write, fate: Fate) -> Write {
    let end = if matches!(fate, Fate::Maybe) { NEVER } else { write.end };
    Write { fate, end, ..write }
}

/// A write of another kind, on or with that version.
const fn act(kind: Kind, version: Option<u64>, begin: Moment, end: Moment) -> Write {
    Write { path: 0, kind, begin, end, fate: Fate::Took(version) }
}

const fn read(found: Found, begin: Moment, end: Moment) -> Read {
    Read { path: 0, begin, end, is_cached: false, found }
}

const fn value(version: u64) -> Found {
    Found::Value { version, number: version }
}

fn look(seq: u64, next: u64, begin: Moment, end: Moment) -> Look {
    Look { path: 0, begin, end, seq, next, current: None, content: format!("head {seq}") }
}

/// What is said of a history.
fn said(writes: &[Write], reads: &[Read], looks: &[Look]) -> String {
    let mut history = History::default();
    history.writes.extend_from_slice(writes);
    history.reads.extend_from_slice(reads);
    history.looks.extend_from_slice(looks);
    super::check::check(&history).join("\n")
}

#[track_caller]
fn is_possible(writes: &[Write], reads: &[Read], looks: &[Look]) {
    assert_eq!(said(writes, reads, looks), "");
}

#[track_caller]
fn is_found(what: &str, writes: &[Write], reads: &[Read], looks: &[Look]) {
    let said = said(writes, reads, looks);
    assert!(said.contains(what), "{said}");
}

#[test]
fn a_read_after_a_put_sees_it_or_what_came_later() {
    let writes = [put(1, 1, 2), put(2, 3, 6)];
    for found in [value(1), value(2)] {
        is_possible(&writes, &[read(found, 4, 5)], &[]);
    }
    is_possible(&writes, &[read(value(2), 7, 8)], &[]);
    is_found("after 2 was in force", &writes, &[read(value(1), 7, 8)], &[]);
    let reads = [read(value(2), 4, 5), read(value(1), 6, 7)];
    is_found("after 2 was in force", &[put(1, 1, 2), put(2, 3, 9)], &reads, &[]);
}

#[test]
fn an_older_version_comes_into_force_by_promotion_alone() {
    let writes = [put(1, 1, 2), put(2, 3, 4)];
    let promoted = |fate| [&writes[..], &[fated(act(Kind::Promote, Some(1), 5, 6), fate)]].concat();
    let reads = [read(value(1), 7, 8)];
    is_possible(&promoted(Fate::Took(Some(1))), &reads, &[]);
    is_possible(&promoted(Fate::Maybe), &reads, &[]);
    is_found("after 2 was in force", &promoted(Fate::Not), &reads, &[]);
    is_found("after 2 was in force", &promoted(Fate::Took(Some(3))), &reads, &[]);
}

#[test]
fn what_was_not_done_is_nowhere_and_what_was_is_counted() {
    let writes = |fate| [put(1, 1, 2), fated(put(2, 3, 4), fate)];
    is_possible(&writes(Fate::Not), &[read(value(1), 5, 6)], &[look(1, 2, 7, 8)]);
    is_possible(&writes(Fate::Maybe), &[read(value(2), 5, 6)], &[look(2, 3, 7, 8)]);
    is_possible(&writes(Fate::Maybe), &[read(value(1), 5, 6)], &[look(1, 2, 7, 8)]);
    is_found("reported as not done", &writes(Fate::Not), &[read(value(2), 5, 6)], &[]);
    is_found("2 versions were given out", &writes(Fate::Not), &[], &[look(2, 3, 7, 8)]);
    is_found("comes next", &writes(Fate::Took(Some(2))), &[], &[look(1, 2, 7, 8)]);
    is_found("has no version", &writes(Fate::Took(None)), &[], &[]);
}

#[test]
fn a_version_has_one_value_and_a_value_one_version() {
    let kind = Kind::Put { number: 7, pending: false, expected: Expected::Any };
    let other = Write { kind, ..put(1, 3, 4) };
    is_found("is value 1 and value 7", &[put(1, 1, 2), other], &[], &[]);
    let found = Found::Value { version: 2, number: 1 };
    is_found("value 1 is version 1 and version 2", &[put(1, 1, 2)], &[read(found, 3, 4)], &[]);
    is_found("never put", &[put(1, 1, 2)], &[read(value(2), 3, 4)], &[]);
    is_found("before it was put", &[put(1, 5, 6)], &[read(value(1), 3, 4)], &[]);
}

#[test]
fn a_swap_finds_what_it_expects_and_no_other_does() {
    let first = put(1, 1, 2);
    let expects = Expected::Version(1);
    is_possible(&[first, swap(expects, 2, 3, 4)], &[], &[]);
    is_found("a swap", &[first, put(2, 3, 4), swap(expects, 3, 5, 6)], &[], &[]);
    let both = [first, swap(expects, 2, 3, 9), swap(expects, 3, 4, 9)];
    is_found("two swaps", &both, &[], &[]);
    let absent = [swap(Expected::Absent, 1, 1, 8), swap(Expected::Absent, 2, 2, 9)];
    is_found("two swaps", &absent, &[], &[]);
    let purged = [&absent[..], &[act(Kind::Purge, None, 3, 4)]].concat();
    is_possible(&purged, &[], &[]);
    let head = [first, swap(Expected::Head(1), 2, 5, 6)];
    is_possible(&head, &[], &[look(1, 2, 3, 4)]);
    is_found("came after it", &head, &[], &[look(2, 2, 3, 4)]);
}

#[test]
fn what_is_gone_stays_gone() {
    let ended = |kind, version| [put(1, 1, 2), act(kind, version, 3, 4)];
    let reads = [read(value(1), 5, 6)];
    is_found("destroyed before", &ended(Kind::Destroy, Some(1)), &reads, &[]);
    is_found("purged before", &ended(Kind::Purge, None), &reads, &[]);
    is_found("deleted before", &ended(Kind::Delete, Some(1)), &reads, &[]);
    let undeleted = act(Kind::Undelete, Some(1), 4, 6);
    let back = [&ended(Kind::Delete, Some(1))[..], &[undeleted]].concat();
    is_possible(&back, &reads, &[]);
}

#[test]
fn nothing_goes_without_somebody_who_took_it() {
    for (kind, version, found, what) in [
        (Kind::Delete, Some(1), Found::Deleted(1), "is deleted"),
        (Kind::Destroy, Some(1), Found::Destroyed(1), "is destroyed"),
        (Kind::Purge, None, Found::Nothing, "nothing is there"),
        (Kind::Purge, None, Found::NothingInForce, "nothing is there"),
    ] {
        let reads = [read(found, 5, 6)];
        is_possible(&[put(1, 1, 2), act(kind, version, 3, 4)], &reads, &[]);
        is_found(what, &[put(1, 1, 2)], &reads, &[]);
        is_found(what, &[act(kind, version, 1, 2), put(1, 3, 4)], &reads, &[]);
    }
}

#[test]
fn numbers_of_heads_ascend_and_name_one_head() {
    let writes = [put(1, 1, 2), act(Kind::Label, None, 5, 6)];
    is_possible(&writes, &[], &[look(1, 2, 3, 4), look(2, 2, 7, 8)]);
    is_found("after 1 at", &writes, &[], &[look(1, 2, 3, 4), look(1, 2, 7, 8)]);
    is_found("after 2 at", &writes, &[], &[look(2, 2, 3, 4), look(1, 2, 4, 9), look(1, 2, 7, 8)]);
    let other = Look { content: "another".into(), ..look(1, 2, 3, 5) };
    is_found("head 1 was", &[put(1, 1, 2)], &[], &[look(1, 2, 3, 4), other]);
    let forgets = [look(1, 3, 3, 4), look(2, 2, 5, 6)];
    is_found("comes back", &[put(1, 1, 2), fated(put(2, 1, 2), Fate::Maybe)], &[], &forgets);
}
