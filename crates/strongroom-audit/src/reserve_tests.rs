//! The room that is kept for records of importance.

use std::sync::atomic::Ordering;

use futures_executor::block_on;
use strongroom_core::{
    ActionName, DecisionRecord, Effect, Explanation, Importance, RequestContext, Target, Timestamp,
};

use super::tests::{Faulty, Nameless, append, close, lines, log_with_reserve, numbers};
use super::*;

const RESERVE: u64 = 100_000;

fn decision(action: ActionName, effect: Effect) -> AuditRecord {
    AuditRecord::Decision(DecisionRecord {
        at: Timestamp::default(),
        principal: None,
        action,
        target: Target::Store,
        effect,
        count: std::num::NonZeroU64::MIN,
        explanation: Explanation::default(),
        context: RequestContext::new(),
        loaded: None,
    })
}

fn reading() -> AuditRecord {
    decision(ActionName::Read, Effect::Allow)
}

fn take(log: &FileLog, record: &AuditRecord, at_least: Durability) -> Result<(), AuditError> {
    block_on(log.append(std::slice::from_ref(record), at_least)).map(drop)
}

/// Appends until there is no room, and says how many were taken.
fn fill(log: &FileLog, record: &AuditRecord, at_least: Durability) -> usize {
    for taken in 0..100_000 {
        if let Err(error) = take(log, record, at_least) {
            assert!(matches!(error, AuditError::Full), "{error:?}");
            return taken;
        }
    }
    panic!("it never ends");
}

/// How much of the file is laid out behind the lines that it has.
fn left(medium: &Faulty) -> u64 {
    (medium.length() - lines(medium).len()) as u64
}

#[test]
fn a_record_says_how_important_it_is() {
    for action in ActionName::ALL {
        assert_eq!(decision(*action, Effect::Deny).importance(), Importance::Refusal);
        assert_eq!(decision(*action, Effect::Unavailable).importance(), Importance::Refusal);
    }
    let essential: Vec<&str> = ActionName::ALL
        .iter()
        .filter(|action| decision(**action, Effect::Allow).importance() == Importance::Essential)
        .map(|action| action.as_str())
        .collect();
    let expected =
        ["delete", "disable", "destroy", "purge", "destroy-namespace", "manage-seals", "recover"];
    assert_eq!(essential, expected);
    assert_eq!(reading().importance(), Importance::Ordinary);
}

#[test]
fn a_full_disk_takes_what_takes_access_away_until_the_reserve_is_used() {
    for level in [Durability::Held, Durability::Flushed, Durability::Synced] {
        let medium = Arc::new(Faulty::default());
        let log = log_with_reserve(&medium, true, RESERVE);
        take(&log, &reading(), level).unwrap();
        assert!(left(&medium) >= 2 * RESERVE, "it is laid out before it is needed");
        assert!(!log.is_scarce());
        // Somebody else has all the rest of the disk.
        medium.room.store(medium.length() as u64, Ordering::SeqCst);
        let read = fill(&log, &reading(), level);
        assert!(read > 500, "{read}");
        assert!(log.is_scarce());
        let line = 100;
        take(&log, &decision(ActionName::Purge, Effect::Allow), Durability::Flushed).unwrap();
        assert!((RESERVE - 2 * line..RESERVE + line).contains(&left(&medium)), "{}", left(&medium));

        // All or none: the least of them counts.
        let mixed = [decision(ActionName::Purge, Effect::Allow), reading()];
        assert!(matches!(block_on(log.append(&mixed, level)), Err(AuditError::Full)));

        let denied = fill(&log, &decision(ActionName::Read, Effect::Deny), level);
        assert!(denied > 200, "{denied}");
        take(&log, &decision(ActionName::Purge, Effect::Allow), Durability::Flushed).unwrap();
        let half = RESERVE / 2;
        assert!((half - 2 * line..half + line).contains(&left(&medium)), "{}", left(&medium));

        let purged =
            fill(&log, &decision(ActionName::Purge, Effect::Allow), level.max(Durability::Flushed));
        assert!(purged > 200, "{purged}");

        // There is room again.
        medium.room.store(0, Ordering::SeqCst);
        take(&log, &reading(), Durability::Flushed).unwrap();
        assert!(!log.is_scarce());
        assert!(left(&medium) >= 2 * RESERVE);
        let receipt = append(&log, 7, Durability::Synced).unwrap()[0];
        assert_eq!(numbers(&medium), [7]);
        let text = lines(&medium);
        let written = text.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(receipt.index + 1, written, "indices have no hole");
        close(&log).unwrap();
        assert_eq!(left(&medium), 0);
    }
}

#[test]
fn outcomes_and_the_end_are_written_where_nothing_ordinary_is() {
    let medium = Arc::new(Faulty::default());
    let log = log_with_reserve(&medium, true, RESERVE);
    take(&log, &reading(), Durability::Flushed).unwrap();
    medium.room.store(medium.length() as u64 + 100, Ordering::SeqCst);
    fill(&log, &reading(), Durability::Flushed);
    append(&log, 1, Durability::Synced).unwrap();
    let id = log.log().unwrap();
    assert!(log.checkpoint(id).unwrap().is_some());
    close(&log).unwrap();
    assert_eq!(numbers(&medium), [1]);
}

#[test]
fn without_a_reserve_all_that_fits_is_taken() {
    let medium = Arc::new(Faulty::default());
    let log = log_with_reserve(&medium, true, 0);
    let room = medium.length() + 10_000;
    medium.room.store(room as u64, Ordering::SeqCst);
    let taken = fill(&log, &reading(), Durability::Flushed);
    assert!(taken > 50, "{taken}");
    assert!(room - lines(&medium).len() < 1_000);
}

#[test]
fn the_reserve_is_there_after_each_record_however_small_it_is() {
    for reserve in [1, 1_000, 20_000, 65_536, 100_000] {
        let medium = Arc::new(Faulty::default());
        let log = log_with_reserve(&medium, true, reserve);
        for n in 0..1_000 {
            take(&log, &reading(), Durability::Flushed).unwrap();
            assert!(left(&medium) >= reserve, "{reserve}, record {n}");
        }
    }
}

/// The disk may be full: what nobody needs any more is then the only room for another log.
#[test]
fn a_dead_log_gives_back_what_was_laid_out_before_another_one_is_begun() {
    let scratch = tempfile::tempdir().unwrap();
    let log = FileLog::open_inline(scratch.path()).unwrap();
    let own = block_on(log.attach(Arc::new(Nameless(7)))).unwrap().log;
    take(&log, &reading(), Durability::Flushed).unwrap();
    drop(log);
    let file = scratch.path().join(file_name(own, 0, LOG));
    let before = std::fs::read(&file).unwrap();
    assert!(before.ends_with(&[0; 256 * 1024]));
    // It draws the same id, so that no file can be made.
    let next = FileLog::open_inline(scratch.path()).unwrap();
    block_on(next.attach(Arc::new(Nameless(7)))).unwrap_err();
    let after = std::fs::read(&file).unwrap();
    assert!(after.ends_with(b"}\n") && before.starts_with(&after), "{}", after.len());
}

#[test]
fn an_essential_record_that_does_not_fit_leaves_the_rest_of_the_reserve() {
    let purge = decision(ActionName::Purge, Effect::Allow);
    for level in [Durability::Held, Durability::Flushed, Durability::Synced] {
        let medium = Arc::new(Faulty::default());
        let log = log_with_reserve(&medium, true, RESERVE);
        take(&log, &reading(), level).unwrap();
        medium.room.store(medium.length() as u64, Ordering::SeqCst);
        fill(&log, &reading(), level);
        let before = medium.length();
        // As many at once as the reserve has no room for.
        let many = vec![purge.clone(); 2_000];
        assert!(matches!(block_on(log.append(&many, level)), Err(AuditError::Full)));
        assert_eq!(medium.length(), before, "nobody else on the disk can take it");
        assert!(fill(&log, &purge, level) > 200);
        assert_eq!(medium.length(), before);
        // A checkpoint needs no leave, and finds no room either.
        while take(&log, &reading(), level).is_ok() {}
        let _ = log.checkpoint(log.log().unwrap());
        assert_eq!(medium.length(), before);
    }
}

#[test]
fn the_last_bytes_of_a_disk_are_laid_out_though_they_are_less_than_a_step() {
    let medium = Arc::new(Faulty::default());
    let log = log_with_reserve(&medium, true, 1_000);
    take(&log, &reading(), Durability::Flushed).unwrap();
    let room = medium.length() + 20_000;
    medium.room.store(room as u64, Ordering::SeqCst);
    fill(&log, &decision(ActionName::Purge, Effect::Allow), Durability::Flushed);
    assert!(room - lines(&medium).len() < 1_000, "{}", room - lines(&medium).len());
}

/// What is laid out is the only room: who gives it back first may not get it again.
#[test]
fn a_log_is_ended_on_a_disk_that_others_fill_at_once() {
    for reserve in [0, RESERVE] {
        let medium = Arc::new(Faulty::default());
        let log = log_with_reserve(&medium, true, reserve);
        append(&log, 1, Durability::Synced).unwrap();
        // Whatever is cut off is taken by somebody else.
        medium.full.store(true, Ordering::SeqCst);
        close(&log).unwrap();
        assert!(lines(&medium).ends_with(b"}\n") && left(&medium) == 0);
        let written = lines(&medium);
        let last = written.strip_suffix(b"\n").unwrap().rsplit(|byte| *byte == b'\n').next();
        assert!(matches!(crate::read_line(last.unwrap()), Ok(crate::Line::Close(_))));
    }
}

#[test]
fn a_log_is_ended_though_what_is_laid_out_behind_it_cannot_be_cut_off() {
    let medium = Arc::new(Faulty::default());
    let log = log_with_reserve(&medium, true, RESERVE);
    append(&log, 1, Durability::Synced).unwrap();
    medium.cuts_fail.store(true, Ordering::SeqCst);
    close(&log).unwrap();
    assert!(lines(&medium).ends_with(b"}\n") && left(&medium) > 0);
}
