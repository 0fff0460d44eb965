//! What storage and logs say of one another, as a store is opened: a log that was cut, replaced or
//! taken away, and a storage that was set back, are named; what happens honestly is not.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::task::{Context, Waker};
use std::time::Duration;

use strongroom::{
    Argon2Cost, Error, FileLog, LogId, Opaque, Passphrase, Policy, Principal, Storage, Strongroom,
    Tampered, Unavailable, blocking,
};
use strongroom::{Verdict, verify_dir};
use strongroom_core::AuditError;
use strongroom_testkit::{Call, Delaying, Fault, FaultyStorage, ManualClock, MemoryStorage};

struct Place {
    scratch: tempfile::TempDir,
    storage: MemoryStorage,
    clock: ManualClock,
}

impl Place {
    fn new() -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            storage: MemoryStorage::new(),
            clock: ManualClock::new(),
        }
    }

    fn audit(&self) -> PathBuf {
        self.scratch.path().join("audit")
    }

    fn builder(&self, storage: impl Storage, audit: &Path) -> strongroom::Builder {
        Strongroom::builder()
            .storage(storage)
            .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
            .policy(Policy::owned_by(&Principal::user("alice")))
            .audit(FileLog::open(audit).unwrap())
            .clock(self.clock.clone())
    }

    fn open_on(&self, storage: impl Storage, audit: &Path) -> Result<blocking::Strongroom, Error> {
        self.builder(storage, audit).blocking().open_or_create()
    }

    fn open_accepting(&self, reason: &str) -> Result<blocking::Strongroom, Error> {
        let builder = self.builder(self.storage.clone(), &self.audit());
        builder.accept_rollback(reason).blocking().open()
    }

    fn try_open(&self) -> Result<blocking::Strongroom, Error> {
        self.open_on(self.storage.clone(), &self.audit())
    }

    fn open(&self) -> blocking::Strongroom {
        self.try_open().unwrap()
    }

    /// A store that was used and closed. Its log.
    fn used(&self) -> LogId {
        let room = self.open();
        put(&room, 3);
        let log = room.log();
        room.close().unwrap();
        log
    }

    fn file(&self, log: LogId) -> PathBuf {
        self.audit().join(format!("{log}.jsonl"))
    }

    /// What offline verification accuses of.
    fn accused(&self) -> Vec<Verdict> {
        let stored = self.storage.snapshot().into_iter().map(|(key, entry)| (key, entry.value));
        let report = verify_dir(self.audit(), None, stored).unwrap();
        report.accusations().map(|finding| finding.verdict).collect()
    }
}

fn put(room: &blocking::Strongroom, count: usize) {
    let alice = room.session(Principal::user("alice"));
    for _ in 0..count {
        alice.put("prod/db", Opaque::new(b"value")).unwrap();
    }
}

/// Takes lines from the end.
fn cut(file: &Path, lines: usize) {
    let all = fs::read_to_string(file).unwrap().matches('\n').count();
    keep(file, all - lines);
}

fn keep(file: &Path, lines: usize) {
    let text = fs::read_to_string(file).unwrap();
    let kept: String = text.split_inclusive('\n').take(lines).collect();
    fs::write(file, kept).unwrap();
}

/// Whether opening is refused over that log: told each time, since nothing that was tried has
/// changed the answer.
#[track_caller]
fn is_refused(place: &Place, is: fn(&Tampered) -> Option<LogId>, log: LogId) {
    for _ in 0..2 {
        let refused = place.try_open();
        let told = match &refused {
            Err(Error::Tampered(tampered)) => is(tampered),
            _ => None,
        };
        assert_eq!(told, Some(log), "{refused:?}");
    }
}

#[track_caller]
fn is_log_rolled_back(place: &Place, log: LogId) {
    let is = |tampered: &Tampered| match tampered {
        Tampered::AuditLogRolledBack { log, .. } => Some(*log),
        _ => None,
    };
    is_refused(place, is, log);
}

#[track_caller]
fn is_storage_rolled_back(place: &Place, log: LogId) {
    let is = |tampered: &Tampered| match tampered {
        Tampered::StorageRolledBack { log, .. } => Some(*log),
        _ => None,
    };
    is_refused(place, is, log);
}

#[test]
fn a_closed_log_whose_end_is_cut_off_is_found_at_open() {
    for lines in [1, 2, 5] {
        let place = Place::new();
        let log = place.used();
        assert_eq!(place.accused(), []);
        cut(&place.file(log), lines);
        assert_eq!(place.accused().first(), Some(&Verdict::LogLostItsTail));
        is_log_rolled_back(&place, log);
    }
}

/// No crash leaves such a file, and nothing tells how much was in it.
#[test]
fn a_file_that_is_no_whole_log_and_of_which_nothing_is_registered_can_be_taken_away() {
    let place = Place::new();
    let kept = fs::read(place.file(place.used())).unwrap();
    for bytes in [&[][..], &kept[..100]] {
        let stray = place.audit().join("00000000000000aa.jsonl");
        fs::write(&stray, bytes).unwrap();
        let refused = place.open_accepting("it is no log").unwrap_err();
        let mut causes =
            std::iter::successors(Some(&refused as &dyn std::error::Error), |cause| cause.source());
        assert!(
            causes.any(|cause| cause.to_string().contains("take its file away")),
            "{refused:?}"
        );
        fs::remove_file(&stray).unwrap();
        place.open().close().unwrap();
        assert_eq!(place.accused(), []);
    }
}

/// A log and all that the storage has of it, set back together: they agree, and the next log tells.
#[test]
fn a_log_that_is_set_back_with_its_record_is_found_by_what_the_next_one_cites() {
    let key = |log: LogId| strongroom::Key::new([&[5], log.as_bytes().as_slice()].concat());
    let place = Place::new();
    let room = place.open();
    put(&room, 1);
    let log = room.log();
    room.checkpoint().unwrap();
    let before = fs::read(place.file(log)).unwrap();
    let before: Vec<u8> = before.split(|byte| *byte == 0).next().unwrap().to_vec();
    let old = place.storage.snapshot()[&key(log)].clone();
    place.clock.advance(Duration::from_secs(1));
    room.session(Principal::user("alice")).put("prod/api", Opaque::new(b"value")).unwrap();
    room.close().unwrap();
    let second = place.open();
    put(&second, 1);
    second.close().unwrap();
    assert_eq!(place.accused(), []);

    fs::write(place.file(log), before).unwrap();
    let mut stored = place.storage.snapshot();
    stored.insert(key(log), old);
    let report = verify_dir(
        place.audit(),
        None,
        stored.clone().into_iter().map(|(key, entry)| (key, entry.value)),
    )
    .unwrap();
    let accused: Vec<_> = report.accusations().collect();
    let is_cited = |found: &&strongroom::Finding| {
        found.verdict == Verdict::LogLostItsTail
            && found.log == Some(log)
            && found.detail.contains("cited it")
    };
    assert!(accused.iter().any(is_cited), "{accused:?}");

    // As a log is evidence, nothing of it is pruned until somebody accepts that.
    place.storage.restore(stored);
    let alice = |room: &blocking::Strongroom| room.session(Principal::user("alice"));
    let room = place.open();
    place.clock.advance(Duration::from_secs(1));
    let refused = alice(&room).prune(Duration::ZERO);
    assert!(matches!(
        refused,
        Err(Error::Unavailable(Unavailable::Audit(AuditError::Suspect { .. })))
    ));
    room.close().unwrap();
    let room = place.open_accepting("restored by hand").unwrap();
    let report = alice(&room).verify().unwrap();
    assert!(!report.accusations().any(|found| is_cited(&found)), "{report:?}");
    place.clock.advance(Duration::from_secs(1));
    assert_eq!(alice(&room).prune(Duration::ZERO).unwrap().logs, 3);
    room.close().unwrap();
    place.open();
}

/// Behind the last line that is signed of a log whose process died, anybody can write.
#[test]
fn what_is_cited_without_a_signature_makes_no_log_a_lost_one() {
    let place = Place::new();
    let ended = place.used();
    let live = place.open();
    put(&live, 1);
    live.checkpoint().unwrap();
    let dies = place.open();
    put(&dies, 1);
    let dead = place.file(dies.log());
    drop(dies);
    let lines = fs::read(&dead).unwrap();
    let lines: Vec<u8> = lines.split(|byte| *byte == 0).next().unwrap().to_vec();
    let text = String::from_utf8(lines).unwrap();
    let cited = text.lines().find(|line| line.starts_with(r#"{"t":"cited""#)).unwrap();
    let size = cited.split(r#""size":""#).nth(1).unwrap().split('"').next().unwrap();
    let told = cited.split(r#""log":""#).nth(1).unwrap().split('"').next().unwrap();
    let forged: String = [ended, live.log()]
        .map(|log| {
            let line = cited.replace(told, &log.to_string());
            line.replace(&format!(r#""size":"{size}""#), r#""size":"99""#) + "\n"
        })
        .concat();
    fs::write(&dead, text + &forged).unwrap();

    let room = place.open_accepting("to see what it takes").unwrap();
    let stage = |log: LogId| {
        let key = strongroom::Key::new([&[5], log.as_bytes().as_slice()].concat());
        place.storage.snapshot()[&key].value[49]
    };
    assert_eq!((stage(ended), stage(live.log())), (2, 1), "ended, and open");
    put(&live, 1);
    live.checkpoint().unwrap();
    live.close().unwrap();
    room.close().unwrap();
}

/// Each log of a long row tells of some before it, and not of all.
#[test]
fn a_log_cites_the_last_that_ended() {
    let place = Place::new();
    let logs: Vec<LogId> = (0..12)
        .map(|_| {
            place.clock.advance(Duration::from_secs(1));
            place.used()
        })
        .collect();
    let text = fs::read_to_string(place.file(logs[11])).unwrap();
    let cited: Vec<usize> = logs
        .iter()
        .enumerate()
        .filter(|(_, log)| {
            let log = log.to_string();
            text.lines().any(|line| line.starts_with(r#"{"t":"cited""#) && line.contains(&log))
        })
        .map(|(at, _)| at)
        .collect();
    assert_eq!(cited, [3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(place.accused(), []);
}

#[test]
fn a_log_that_is_taken_away_is_found_at_open() {
    let place = Place::new();
    let (first, _second) = (place.used(), place.used());
    fs::remove_file(place.file(first)).unwrap();
    assert!(place.accused().contains(&Verdict::LogLostItsTail));
    is_log_rolled_back(&place, first);
}

/// A note that it was settled is a file like others, and so is the lock on it.
#[test]
fn a_closed_log_that_is_cut_is_found_beside_a_note_and_under_a_lock() {
    for is_noted in [true, false] {
        let place = Place::new();
        let log = place.used();
        keep(&place.file(log), 1);
        let held = fs::File::open(place.file(log)).unwrap();
        if is_noted {
            fs::write(place.audit().join(format!("{log}.settled")), "note").unwrap();
        } else {
            held.lock().unwrap();
        }
        is_log_rolled_back(&place, log);
    }
}

/// The note beside it says how long it was. One that says something else is not believed.
#[test]
fn a_settled_log_that_is_cut_is_found_beside_its_note() {
    for (lines, is_forged) in [(1, false), (4, false), (1, true)] {
        let place = Place::new();
        let room = place.open();
        put(&room, 3);
        let log = room.log();
        drop(room);
        let settler = place.used();
        let note = place.audit().join(format!("{log}.settled"));
        let before = fs::read_to_string(&note).unwrap();
        assert_eq!(place.accused(), []);
        place.used();
        assert_eq!(fs::read_to_string(&note).unwrap(), before, "it is settled once");

        cut(&place.file(log), lines);
        if is_forged {
            let length = fs::metadata(place.file(log)).unwrap().len();
            let mut words: Vec<&str> = before.split(' ').collect();
            let length = length.to_string();
            words[2] = &length;
            fs::write(&note, words.join(" ")).unwrap();
        }
        is_log_rolled_back(&place, log);
        assert!(before.starts_with(&settler.to_string()));
    }
}

/// Nothing is lost with a note: the log is settled once more, and has one again.
#[test]
fn a_settled_log_whose_note_is_spoilt_is_settled_again() {
    let place = Place::new();
    let room = place.open();
    put(&room, 3);
    let log = room.log();
    drop(room);
    place.used();
    let note = place.audit().join(format!("{log}.settled"));
    for spoilt in ["", "note", "note 0 1 00"] {
        fs::write(&note, spoilt).unwrap();
        let settler = place.used();
        let renewed = fs::read_to_string(&note).unwrap();
        assert!(renewed.starts_with(&settler.to_string()), "{renewed}");
        assert_eq!(place.accused(), []);
    }
}

/// Nothing of it can be read: the storage knows that there was more.
#[test]
fn a_log_that_is_cut_within_its_first_line_is_found_at_open_and_can_be_accepted() {
    let place = Place::new();
    let room = place.open();
    put(&room, 3);
    let log = room.log();
    drop(room);
    let bytes = fs::read(place.file(log)).unwrap();
    for length in [100, 0] {
        fs::write(place.file(log), &bytes[..length]).unwrap();
        is_log_rolled_back(&place, log);
    }
    drop(place.open_accepting("the disk lost it").unwrap());
    place.used();
    place.used();
}

#[test]
fn a_log_that_is_cut_within_its_first_line_and_not_registered_is_malformed() {
    let place = Place::new();
    place.used();
    let room = place.open();
    let log = room.log();
    drop(room);
    fs::write(place.file(log), "{").unwrap();
    let refused = place.try_open();
    let Err(Error::Unavailable(Unavailable::Audit(AuditError::Malformed { file, .. }))) = &refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(**file, log.to_string());
}

/// Nobody has registered the end: it is believed when the whole log was read.
#[test]
fn an_end_that_its_writer_did_not_write_is_found_at_open() {
    let place = Place::new();
    let room = place.open();
    put(&room, 3);
    let log = room.log();
    room.checkpoint().unwrap();
    put(&room, 1);
    drop(room);
    keep(&place.file(log), 1);
    let (zeros, size) = ("00", "999");
    let close = format!(
        r#"{{"t":"close","at":"1700000000000","size":"{size}","root":"{}","registered":"1","signature":"{}"}}"#,
        zeros.repeat(32),
        zeros.repeat(64),
    );
    let first = fs::read_to_string(place.file(log)).unwrap();
    fs::write(place.file(log), format!("{first}{close}\n")).unwrap();
    is_log_rolled_back(&place, log);
}

/// It is believed whatever it tells of other logs, which are not read beside it. Found by a disk
/// that was full as a log was closed that had settled another one.
#[test]
fn an_end_that_could_not_be_registered_is_registered_by_the_next_opener() {
    let place = Place::new();
    let room = place.open();
    put(&room, 3);
    drop(room);
    let faulty = FaultyStorage::new(place.storage.clone());
    let room = place.open_on(faulty.clone(), &place.audit()).unwrap();
    put(&room, 1);
    let log = room.log();
    faulty.every(Call::Write, Fault::Fail(strongroom::NotDoneKind::Full));
    room.close().unwrap();
    let stage = || {
        let key = strongroom::Key::new([&[5], log.as_bytes().as_slice()].concat());
        place.storage.snapshot()[&key].value[49]
    };
    assert_eq!(stage(), 1);
    place.open();
    assert_eq!(stage(), 2);
}

#[test]
fn an_opening_that_is_refused_leaves_no_log_behind() {
    let place = Place::new();
    let log = place.used();
    cut(&place.file(log), 1);
    let before = fs::read_dir(place.audit()).unwrap().count();
    for _ in 0..3 {
        is_log_rolled_back(&place, log);
    }
    assert_eq!(fs::read_dir(place.audit()).unwrap().count(), before);
}

#[test]
fn several_may_be_the_first_to_open_a_directory() {
    for _ in 0..10 {
        let place = Place::new();
        place.used();
        let fresh = place.scratch.path().join("fresh");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let room = place.open_on(place.storage.clone(), &fresh).unwrap();
                    put(&room, 1);
                    room.close().unwrap();
                });
            }
        });
        place.open_on(place.storage.clone(), &fresh).unwrap();
        let ids: BTreeSet<String> = fs::read_dir(&fresh)
            .unwrap()
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .filter_map(|text| Some(text.split_once(r#""directory":""#)?.1.get(..16)?.to_owned()))
            .collect();
        assert_eq!(ids.len(), 1, "one directory has one id");
    }
}

#[test]
fn a_log_that_is_gone_for_good_can_be_accepted_and_is_told() {
    let place = Place::new();
    let (first, second) = (place.used(), place.used());
    fs::remove_file(place.file(first)).unwrap();
    cut(&place.file(second), 2);
    assert!(place.try_open().is_err());
    let room = place.open_accepting("the disk lost it").unwrap();
    put(&room, 1);
    room.close().unwrap();
    // From here on nobody is refused, and `verify` says what is gone.
    let room = place.open();
    let report = room.session(Principal::user("alice")).verify().unwrap();
    for log in [first, second] {
        let told = |finding: &&strongroom::Finding| finding.log == Some(log);
        assert!(report.findings.iter().filter(told).any(|found| found.detail.contains("accepted")));
    }
}

/// The message says that accepting helps, so it does: nobody registered its end, and it is damaged.
#[test]
fn an_end_that_is_not_believed_can_be_accepted() {
    let place = Place::new();
    let faulty = FaultyStorage::new(place.storage.clone());
    place.used();
    let room = place.open_on(faulty.clone(), &place.audit()).unwrap();
    put(&room, 2);
    let log = room.log();
    faulty.every(Call::Write, Fault::Fail(strongroom::NotDoneKind::Full));
    room.close().unwrap();
    let text = fs::read_to_string(place.file(log)).unwrap();
    fs::write(place.file(log), text.replacen("\"allow\"", "\"deny\"", 1)).unwrap();
    is_log_rolled_back(&place, log);
    place.open_accepting("a bit of it turned").unwrap();
    place.open();
}

#[test]
fn refused_openings_do_not_disturb_each_other() {
    let place = Place::new();
    let log = place.used();
    cut(&place.file(log), 1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..8).for_each(|_| is_log_rolled_back(&place, log)));
        }
    });
}

/// Of two that were unsealed on one sink, the first has no log any more: closing it ends no other's.
#[test]
fn a_room_does_not_end_the_log_of_another_on_the_same_sink() {
    let place = Place::new();
    let room = place.open();
    put(&room, 1);
    let (one, two) = (room.clone().seal(), room.seal());
    let seal = || Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST);
    let one = one.unseal(seal()).map_err(|(_, error)| error).unwrap();
    put(&one, 1);
    let two = two.unseal(seal()).map_err(|(_, error)| error).unwrap();
    put(&two, 1);
    one.close().unwrap();
    put(&two, 1);
    two.close().unwrap();
    place.open();
    assert_eq!(place.accused(), []);
}

#[test]
fn a_storage_that_was_restored_can_be_accepted() {
    let place = Place::new();
    let room = place.open();
    put(&room, 1);
    let before = place.storage.snapshot();
    let log = room.log();
    room.checkpoint().unwrap();
    put(&room, 1);
    room.close().unwrap();
    place.storage.restore(before);
    is_storage_rolled_back(&place, log);
    let room = place.open_accepting("restored from the backup of Monday").unwrap();
    drop(room);
    let room = place.open();
    // What is older than its last write is named all the same.
    let report = room.session(Principal::user("alice")).verify().unwrap();
    assert!(report.accusations().all(|finding| finding.verdict == Verdict::RolledBack));
    assert!(report.accusations().next().is_some());
}

#[test]
fn a_log_that_its_writer_left_open_is_held_to_its_last_checkpoint() {
    let place = Place::new();
    let room = place.open();
    put(&room, 3);
    let head = room.checkpoint().unwrap();
    put(&room, 1);
    let log = room.log();
    drop(room);

    // What follows the checkpoint, a power cut may have taken; what stands before it, not.
    let registered = usize::try_from(head.size).unwrap();
    for lines in [registered + 1, registered] {
        keep(&place.file(log), lines);
        let elsewhere = place.scratch.path().join(lines.to_string());
        fs::create_dir(&elsewhere).unwrap();
        for entry in fs::read_dir(place.audit()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, elsewhere.join(path.file_name().unwrap())).unwrap();
        }
        let storage = MemoryStorage::new();
        storage.restore(place.storage.snapshot());
        place.open_on(storage, &elsewhere).unwrap();
    }
    keep(&place.file(log), registered - 1);
    is_log_rolled_back(&place, log);
}

#[test]
fn an_older_copy_of_a_log_in_its_place_is_found_at_open() {
    let place = Place::new();
    let room = place.open();
    put(&room, 1);
    let log = room.log();
    let older = fs::read(place.file(log)).unwrap();
    put(&room, 1);
    room.close().unwrap();
    fs::write(place.file(log), older).unwrap();
    is_log_rolled_back(&place, log);
}

#[test]
fn a_storage_that_is_set_back_behind_a_checkpoint_is_found_at_open() {
    let place = Place::new();
    let room = place.open();
    put(&room, 1);
    let before = place.storage.snapshot();
    let log = room.log();
    room.checkpoint().unwrap();
    put(&room, 1);
    room.close().unwrap();
    let after = place.storage.snapshot();

    place.storage.restore(before);
    assert!(place.accused().contains(&Verdict::RolledBack));
    is_storage_rolled_back(&place, log);
    place.storage.restore(after);
    assert_eq!(place.accused(), []);
    place.open();
}

#[test]
fn a_storage_that_is_set_back_behind_a_log_that_was_left_open_is_found_at_open() {
    let place = Place::new();
    let room = place.open();
    let before = place.storage.snapshot();
    let log = room.log();
    put(&room, 1);
    room.checkpoint().unwrap();
    // The next checkpoint tells that the one before it was registered, and the one after it signs
    // that.
    for _ in 0..2 {
        place.clock.advance(Duration::from_secs(61));
        put(&room, 1);
    }
    drop(room);
    place.storage.restore(before);
    is_storage_rolled_back(&place, log);
}

/// The log knows nothing of what was registered last: what it tells of heads says it.
#[test]
fn a_storage_that_is_set_back_behind_its_last_writes_alone_is_found_by_verify() {
    let place = Place::new();
    let room = place.open();
    put(&room, 1);
    let before = place.storage.snapshot();
    put(&room, 1);
    room.close().unwrap();
    place.storage.restore(before);
    let room = place.open();
    let report = room.session(Principal::user("alice")).verify().unwrap();
    assert!(report.accusations().any(|finding| finding.verdict == Verdict::RolledBack));
}

#[test]
fn a_registry_record_that_was_written_by_somebody_else_is_found() {
    let place = Place::new();
    let log = place.used();
    let registered = |key: &strongroom::Key| key.as_bytes().first() == Some(&5);
    let key = place.storage.snapshot().into_keys().find(registered).unwrap();
    place.storage.tamper(&key, |record| record[60] ^= 1);
    assert_eq!(place.accused(), [Verdict::Altered]);
    // The log says that it was registered, and the storage has nothing that says so.
    is_storage_rolled_back(&place, log);
}

#[test]
fn a_registry_record_that_is_erased_is_found() {
    let place = Place::new();
    let room = place.open();
    put(&room, 1);
    let log = room.log();
    room.checkpoint().unwrap();
    room.close().unwrap();
    let mut records = place.storage.snapshot();
    records.retain(|key, _| key.as_bytes().first() != Some(&5));
    place.storage.restore(records);
    assert_eq!(place.accused(), [Verdict::Dropped]);
    is_storage_rolled_back(&place, log);
}

#[test]
fn nobody_is_accused_of_closing_dying_or_writing_beside_others() {
    let place = Place::new();
    for round in 0..6 {
        let (one, two) = (place.open(), place.open());
        for room in [&one, &two] {
            put(room, 1 + round % 3);
            if round % 2 == 0 {
                room.checkpoint().unwrap();
            }
            place.clock.advance(Duration::from_secs(45));
        }
        if round % 3 > 0 {
            one.close().unwrap();
        }
        drop(two);
        assert_eq!(place.accused(), [], "{round}");
    }
    let room = place.open();
    let report = room.session(Principal::user("alice")).verify().unwrap();
    assert_eq!(report.accusations().count(), 0);
    // All ends are registered: of each log the storage knows all.
    let records = place.storage.snapshot();
    let open = records.iter().filter(|(key, _)| key.as_bytes()[0] == 5);
    let open = open.filter(|(_, entry)| entry.value[49] == 1).count();
    assert_eq!(open, 0, "all but the own one, which has written nothing");
}

/// As on a second host: the logs of the first are told, and nobody is accused.
#[test]
fn logs_of_another_directory_are_not_missed() {
    let place = Place::new();
    let log = place.used();
    let elsewhere = place.scratch.path().join("elsewhere");
    let room = place.open_on(place.storage.clone(), &elsewhere).unwrap();
    put(&room, 1);
    let report = room.session(Principal::user("alice")).verify().unwrap();
    assert_eq!(report.accusations().count(), 0, "{:?}", report.findings);
    assert!(
        report
            .findings
            .iter()
            .any(|finding| { finding.log == Some(log) && finding.verdict == Verdict::Gap })
    );
}

#[test]
fn a_log_that_could_not_be_registered_is_registered_by_a_later_write() {
    let place = Place::new();
    place.used();
    let faulty = FaultyStorage::new(place.storage.clone());
    faulty.every(Call::Write, Fault::Fail(strongroom::NotDoneKind::ReadOnly));
    let room = place.open_on(faulty.clone(), &place.audit()).unwrap();
    let key = || {
        let bytes = [&[5], room.log().as_bytes().as_slice()].concat();
        place.storage.snapshot().contains_key(&strongroom::Key::new(bytes))
    };
    assert!(!key(), "a storage that takes no write can be opened all the same");
    faulty.heal();
    put(&room, 1);
    assert!(key());
    room.close().unwrap();
    assert_eq!(place.accused(), []);
}

/// An opener of which each call of its log waits.
fn opening(place: &Place) -> impl Future<Output = Result<Strongroom, Error>> {
    let sink = Delaying::new(FileLog::open(place.audit()).unwrap());
    Strongroom::builder()
        .storage(place.storage.clone())
        .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(sink)
        .clock(place.clock.clone())
        .open()
}

/// Found by simulation: a log ends once the registry was read, and all of it is pruned before its end
/// is. The second prune erases what was registered of it, too.
#[test]
fn a_log_that_ends_and_is_pruned_while_another_opens_accuses_nobody() {
    for prunes in [1, 2] {
        let place = Place::new();
        place.used();
        let logs = || fs::read_dir(place.audit()).unwrap().count();
        let mut context = Context::from_waker(Waker::noop());
        // The turn in which it looks at the directory, and begins its own log.
        let turn = {
            let (mut room, before) = (Box::pin(opening(&place)), logs());
            let begins = |_: &i32| room.as_mut().poll(&mut context).is_ready() || logs() > before;
            (0..100).find(begins).unwrap()
        };
        let mut room = Box::pin(opening(&place));
        for _ in 0..turn {
            assert!(room.as_mut().poll(&mut context).is_pending());
        }
        let log = place.used();
        assert!(room.as_mut().poll(&mut context).is_pending());
        for _ in 0..prunes {
            place.clock.advance(Duration::from_secs(1));
            let other = place.open();
            other.session(Principal::user("alice")).prune(Duration::ZERO).unwrap();
            other.close().unwrap();
        }
        assert!(!place.file(log).exists(), "it is pruned");
        let key = strongroom::Key::new([&[5], log.as_bytes().as_slice()].concat());
        assert_eq!(place.storage.snapshot().contains_key(&key), prunes == 1);
        futures_executor::block_on(room).unwrap();
        assert_eq!(place.accused(), []);
    }
}
