//! Old parts of the log go, and `verify` says what it said before; a crash at any step of it leaves a
//! store that opens, accuses nobody, and can be pruned again.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom::audit::{ProveError, prove_consistency, prove_inclusion, prove_record};
use strongroom::{
    Entry, Error, FileAnchor, FileLog, Key, LogId, Opaque, Policy, Principal, PruneReport, Receipt,
    Report, SqliteStorage, Storage, StorageError, Strongroom, Tampered, Unavailable, Verdict,
    blocking, verify_dir,
};
use strongroom_testkit::{Call, Fault, FaultyStorage, ManualClock, MemorySeal, MemoryStorage};

const HOUR: Duration = Duration::from_secs(3600);

struct Place {
    scratch: tempfile::TempDir,
    storage: MemoryStorage,
    seal: MemorySeal,
    clock: ManualClock,
}

/// Storage and log at one moment.
#[derive(Clone)]
struct Moment {
    records: BTreeMap<Key, Entry>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Place {
    fn new() -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            storage: MemoryStorage::new(),
            seal: MemorySeal::new(),
            clock: ManualClock::new(),
        }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn builder(&self, storage: impl Storage) -> strongroom::Builder {
        self.builder_in("audit", storage)
    }

    fn builder_in(&self, audit: &str, storage: impl Storage) -> strongroom::Builder {
        Strongroom::builder()
            .storage(storage)
            .seal(self.seal.clone())
            .policy(Policy::owned_by(&Principal::user("alice")))
            .audit(FileLog::open(self.dir(audit)).unwrap().with_segment_bytes(4096))
            .clock(self.clock.clone())
    }

    fn try_open(&self) -> Result<blocking::Strongroom, Error> {
        self.builder(self.storage.clone()).blocking().open_or_create()
    }

    #[track_caller]
    fn open(&self) -> blocking::Strongroom {
        self.try_open().unwrap()
    }

    fn moment(&self) -> Moment {
        let mut files = BTreeMap::new();
        for file in fs::read_dir(self.dir("audit")).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            files.insert(name, fs::read(file.path()).unwrap());
        }
        Moment { records: self.storage.snapshot(), files }
    }

    fn set(&self, to: &Moment) {
        self.storage.restore(to.records.clone());
        write(&self.dir("audit"), &to.files);
    }

    /// A history of two hours: a log that ended, one whose process died, and the own one, in many
    /// small files. What is written last is `prod/live`.
    fn used(&self) -> blocking::Strongroom {
        let room = self.open();
        put(&room, "prod/a", 6);
        put(&room, "prod/gone", 1);
        put(&room, "old/b", 2);
        alice(&room).purge("prod/gone").unwrap();
        room.close().unwrap();
        self.clock.advance(HOUR);
        let room = self.open();
        put(&room, "prod/b", 4);
        alice(&room).destroy_namespace("old").unwrap();
        drop(room);
        self.clock.advance(HOUR);
        let room = self.open();
        put(&room, "prod/a", 6);
        alice(&room).rotate_keys("prod").unwrap();
        alice(&room).rewrap("prod").unwrap();
        self.clock.advance(HOUR);
        put(&room, "prod/live", 2);
        room
    }
}

impl Moment {
    fn report(&self) -> Report {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("audit");
        write(&dir, &self.files);
        let stored = self.records.iter().map(|(key, entry)| (key.clone(), entry.value.clone()));
        verify_dir(dir, None, stored).unwrap()
    }

    fn accused(&self) -> Vec<String> {
        self.report().accusations().map(ToString::to_string).collect()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        self.report().accusations().map(|finding| finding.verdict).collect()
    }

    /// What is said of heads, namespaces and the keyring.
    fn of_records(&self) -> BTreeSet<String> {
        let findings = self.report().findings.into_iter();
        let of_records = findings
            .filter(|finding| finding.key.as_ref().is_some_and(|key| key.as_bytes()[0] <= 3));
        of_records.map(|finding| format!("{finding:?}")).collect()
    }

    fn log_files(&self) -> Vec<&String> {
        self.files.keys().filter(|name| name.ends_with("jsonl")).collect()
    }

    fn registered(&self) -> usize {
        self.records.keys().filter(|key| key.as_bytes()[0] == 5).count()
    }
}

fn write(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir).unwrap();
    for (name, bytes) in files {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

fn alice(room: &blocking::Strongroom) -> blocking::Session {
    room.session(Principal::user("alice"))
}

fn put(room: &blocking::Strongroom, path: &'static str, count: usize) {
    for _ in 0..count {
        alice(room).put(path, Opaque::new(b"value")).unwrap();
    }
}

#[track_caller]
fn prune(room: &blocking::Strongroom) -> PruneReport {
    alice(room).prune(HOUR / 2).unwrap()
}

/// Opens, is accused of nothing, is pruned, and is accused of nothing.
#[track_caller]
fn goes_on(place: &Place, step: &str) {
    assert_eq!(place.moment().accused(), Vec::<String>::new(), "{step}, as it was left");
    let room = place.open();
    assert!(!alice(&room).verify().unwrap().accuses(), "{step}: {:?}", alice(&room).verify());
    put(&room, "prod/a", 1);
    prune(&room);
    assert!(!alice(&room).verify().unwrap().accuses(), "{step}: {:?}", alice(&room).verify());
    room.close().unwrap();
    assert_eq!(place.moment().accused(), Vec::<String>::new(), "{step}, pruned again");
}

#[test]
fn old_files_and_logs_go() {
    let place = Place::new();
    let room = place.used();
    let before = place.moment();
    let report = prune(&room);
    assert_eq!((report.logs, report.shortened), (2, 1), "{report:?}");
    let after = place.moment();
    let gone = before.files.keys().filter(|name| !after.files.contains_key(*name)).count();
    assert_eq!(report.files, gone as u64);
    assert!(report.bytes > 0 && report.kept > 0);
    let own = room.log().to_string();
    assert!(after.log_files().iter().all(|name| name.starts_with(&own)), "{:?}", after.log_files());
    assert!(!after.files.contains_key(&format!("{own}.jsonl")));
    assert_eq!(after.accused(), Vec::<String>::new());
    assert!(!alice(&room).verify().unwrap().accuses());
    assert_eq!(prune(&room).files, 0, "there is nothing more");
    assert_eq!(alice(&room).get::<Opaque>("prod/a").unwrap().value().expose(<[u8]>::len), 5);
    room.close().unwrap();
    place.open().close().unwrap();
    assert_eq!(place.moment().accused(), Vec::<String>::new());
}

/// Splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 8) % limit
    }
}

const PATHS: [&str; 5] = ["prod/a", "prod/b", "prod/c/d", "test/a", "test/b"];

/// A history that is drawn. Moments of it, and the room that is open at its end.
fn drawn(place: &Place, dice: &mut Dice) -> (Vec<Moment>, blocking::Strongroom) {
    let mut moments = Vec::new();
    let mut room = place.open();
    for _ in 0..20 + dice.below(40) {
        let path = PATHS[usize::try_from(dice.below(5)).unwrap()];
        let namespace = if path.starts_with("prod") { "prod" } else { "test" };
        match dice.below(20) {
            0 => drop(alice(&room).purge(path)),
            1 => drop(alice(&room).destroy_namespace(namespace)),
            2 => {
                drop(alice(&room).rotate_keys(namespace));
                drop(alice(&room).rewrap(namespace));
            }
            3 => {
                room.close().unwrap();
                room = place.open();
            }
            4 => {
                drop(room);
                room = place.open();
            }
            5 => place.clock.advance(HOUR),
            6 => drop(prune(&room)),
            _ => put(&room, path, 1),
        }
        if dice.below(4) == 0 {
            moments.push(place.moment());
        }
    }
    (moments, room)
}

/// Of an honest store, and of one in which records were set back to earlier ones, or taken away.
#[test]
fn what_is_said_of_records_does_not_change() {
    let mut said = 0;
    for seed in 0..25 {
        let (place, mut dice) = (Place::new(), Dice(seed));
        let (moments, room) = drawn(&place, &mut dice);
        place.clock.advance(HOUR);
        put(&room, "prod/live", 1);
        let before = place.moment();
        assert_eq!(before.accused(), Vec::<String>::new(), "seed {seed}");
        prune(&room);
        let after = Moment { records: before.records.clone(), ..place.moment() };
        let stays = |after: &mut Moment| {
            // The registry says what is gone: it is not what is compared.
            after.records.retain(|key, _| key.as_bytes()[0] != 5);
            after.of_records()
        };
        let compare = |change: &dyn Fn(&mut BTreeMap<Key, Entry>)| {
            let (mut before, mut after) = (before.clone(), after.clone());
            change(&mut before.records);
            change(&mut after.records);
            let (before, after) = (stays(&mut before), stays(&mut after));
            assert_eq!(before, after, "seed {seed}");
            before.len()
        };
        compare(&|_| {});
        for key in before.records.keys().filter(|key| key.as_bytes()[0] <= 3) {
            said += compare(&|records| drop(records.remove(key)));
            for older in moments.iter().filter_map(|moment| moment.records.get(key)) {
                said += compare(&|records| drop(records.insert(key.clone(), older.clone())));
            }
            let mut other = before.records[key].clone();
            other.value.push(0);
            said += compare(&|records| drop(records.insert(key.clone(), other.clone())));
        }
    }
    assert!(said > 1000, "{said}");
}

#[test]
fn a_record_that_is_older_than_the_snapshot_is_rolled_back_and_an_absent_one_dropped() {
    let place = Place::new();
    let room = place.open();
    put(&room, "prod/a", 1);
    let first = place.storage.snapshot();
    put(&room, "prod/a", 2);
    let is_head = |key: &&Key| key.as_bytes()[0] == 3;
    let key = first.keys().find(is_head).unwrap().clone();
    place.clock.advance(HOUR);
    put(&room, "prod/b", 12);
    assert_eq!(prune(&room).shortened, 1);
    room.close().unwrap();
    let now = place.moment();
    assert_eq!(now.accused(), Vec::<String>::new());

    let mut older = now.clone();
    older.records.insert(key.clone(), first[&key].clone());
    assert_eq!(older.verdicts(), [Verdict::RolledBack]);

    let mut without = now.clone();
    without.records.remove(&key);
    assert_eq!(without.verdicts(), [Verdict::Dropped]);

    let mut edited = now;
    edited.records.get_mut(&key).unwrap().value.push(0);
    assert_eq!(edited.verdicts(), [Verdict::Altered]);
}

#[test]
fn files_that_nobody_pruned_are_missed() {
    let place = Place::new();
    let room = place.used();
    prune(&room);
    put(&room, "prod/live", 12);
    room.close().unwrap();
    place.clock.advance(HOUR);
    place.open().close().unwrap();
    let whole = place.moment();
    assert_eq!(whole.accused(), Vec::<String>::new());
    for name in whole.log_files() {
        let mut without = whole.clone();
        without.files.remove(name);
        assert!(without.verdicts().contains(&Verdict::LogLostItsTail), "{name}");
    }
    // All that is left of the one that has the snapshot.
    let own = room_of(&whole);
    let mut without = whole.clone();
    without.files.retain(|name, _| !name.starts_with(&own));
    assert!(without.verdicts().contains(&Verdict::LogLostItsTail));
}

/// The log with the most files.
fn room_of(moment: &Moment) -> String {
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for name in moment.log_files() {
        *files.entry(&name[..16]).or_default() += 1;
    }
    files.into_iter().max_by_key(|(_, count)| *count).unwrap().0.to_owned()
}

/// The storage fails at each of the calls of a prune, in each way.
#[test]
fn a_storage_that_fails_on_the_way_costs_nothing() {
    for call in [Call::Read, Call::List, Call::Write, Call::Erase] {
        for fault in [Fault::LostRequest, Fault::LostReply] {
            for nth in 1.. {
                let place = Place::new();
                let room = place.used();
                prune(&room);
                place.clock.advance(HOUR);
                put(&room, "prod/live", 2);
                room.close().unwrap();
                place.clock.advance(HOUR);
                let storage = FaultyStorage::new(place.storage.clone());
                let room = place.builder(storage.clone()).blocking().open().unwrap();
                put(&room, "prod/b", 1);
                let made = storage.calls(call);
                storage.nth(call, made + nth, fault);
                let answer = alice(&room).prune(HOUR / 2);
                storage.heal();
                let step = format!("{call:?} {nth} {fault:?}: {answer:?}");
                if storage.calls(call) < made + nth {
                    answer.unwrap();
                    assert!(nth > 1 || call == Call::Erase, "{step}");
                    break;
                }
                drop(room);
                goes_on(&place, &step);
            }
        }
    }
}

/// A process dies as it writes the snapshot: nothing is pruned yet.
#[test]
fn a_snapshot_that_is_cut_off_counts_for_nothing() {
    let place = Place::new();
    let room = place.used();
    let before = place.moment();
    prune(&room);
    let after = place.moment();
    let own = room.log().to_string();
    drop(room);
    // The files that were written since, cut at each of their lines.
    let mut files = before.files.clone();
    let written = after
        .files
        .iter()
        .filter(|(name, bytes)| name.starts_with(&own) && before.files.get(*name) != Some(*bytes));
    let mut steps = 0;
    for (name, bytes) in written {
        let start = before.files.get(name).map_or(0, |bytes| whole(bytes).len());
        let ends = (start..whole(bytes).len()).filter(|at| bytes[*at] == b'\n');
        for end in ends.step_by(3) {
            files.insert(name.clone(), bytes[..=end].to_vec());
            place.set(&Moment { records: before.records.clone(), files: files.clone() });
            goes_on(&place, &format!("{name} cut at {end}"));
            steps += 1;
        }
        files.insert(name.clone(), bytes.clone());
    }
    assert!(steps > 5, "{steps}");
}

/// Without the zero bytes that are laid out.
fn whole(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// A process dies as it removes files, the oldest of each log first.
#[test]
fn files_that_were_not_removed_yet_accuse_nobody_and_go_with_the_next_prune() {
    let place = Place::new();
    let room = place.used();
    let before = place.moment();
    prune(&room);
    let after = place.moment();
    drop(room);
    let gone = before.files.iter().filter(|(name, _)| !after.files.contains_key(*name));
    let mut gone: Vec<(&String, &Vec<u8>)> = gone.collect();
    // The first file of a log sorts behind its others.
    gone.sort_by_key(|(name, _)| (name[..16].to_owned(), name.len(), (*name).clone()));
    for left in 0..gone.len() {
        let mut files = after.files.clone();
        files.extend(gone[left..].iter().map(|(name, bytes)| ((*name).clone(), (*bytes).clone())));
        place.set(&Moment { records: after.records.clone(), files });
        goes_on(&place, &format!("{left} files removed"));
        let left = place.moment();
        let is_left = |(name, _): &&(&String, &Vec<u8>)| {
            name.ends_with("jsonl") && left.files.contains_key(*name)
        };
        assert_eq!(gone.iter().filter(is_left).count(), 0, "they are gone now");
    }
    // In no order: what a power cut may leave of names.
    for odd in 0..2 {
        let mut files = after.files.clone();
        let some = gone.iter().skip(odd).step_by(2);
        files.extend(some.map(|(name, bytes)| ((*name).clone(), (*bytes).clone())));
        place.set(&Moment { records: after.records.clone(), files });
        goes_on(&place, &format!("each other one removed, {odd}"));
    }
}

#[test]
fn a_log_in_which_something_was_changed_is_not_pruned() {
    let place = Place::new();
    place.used().close().unwrap();
    place.clock.advance(HOUR);
    let room = place.open();
    let before = place.moment();
    let has_intent = |name: &&&String| {
        before.files[**name].windows(12).any(|found| found == b"\"t\":\"intent\"")
    };
    let name = (*before.log_files().iter().find(has_intent).unwrap()).clone();
    let path = place.dir("audit").join(&name);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).rposition(|found| found == b"\"intent\"").unwrap();
    bytes[at + 1] = b'j';
    fs::write(&path, bytes).unwrap();
    let refused = alice(&room).prune(HOUR / 2);
    assert!(matches!(refused, Err(Error::Unavailable(Unavailable::Audit(_)))), "{refused:?}");
    assert_eq!(place.moment().log_files(), before.log_files());
}

#[test]
fn who_may_not_prune_is_denied() {
    let place = Place::new();
    let room = place.used();
    let files = place.moment().log_files().len();
    let denied = room.session(Principal::user("bob")).prune(Duration::ZERO);
    assert!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");
    assert_eq!(place.moment().log_files().len(), files);
}

#[test]
fn the_registry_does_not_grow() {
    let place = Place::new();
    for _ in 0..8 {
        let room = place.open();
        put(&room, "prod/a", 1);
        room.close().unwrap();
        place.clock.advance(HOUR);
        let room = place.open();
        put(&room, "prod/a", 1);
        prune(&room);
        drop(room);
        place.clock.advance(HOUR);
    }
    let moment = place.moment();
    assert_eq!(moment.accused(), Vec::<String>::new());
    // The own one, the one before it, and what was pruned last.
    assert!(moment.registered() <= 6, "{}", moment.registered());
    assert!(moment.log_files().len() <= 8, "{:?}", moment.log_files());
}

/// A registration whose reply was lost may land at any time later: behind the erasure of the record.
#[test]
fn a_registration_that_lands_late_accuses_nobody() {
    let place = Place::new();
    let room = place.open();
    put(&room, "prod/a", 1);
    let key = Key::new([&[5], room.log().as_bytes().as_slice()].concat());
    let late = place.storage.snapshot()[&key].value.clone();
    room.close().unwrap();
    for _ in 0..2 {
        place.clock.advance(HOUR);
        let room = place.open();
        put(&room, "prod/a", 12);
        prune(&room);
        room.close().unwrap();
    }
    assert!(!place.storage.snapshot().contains_key(&key), "it is erased");
    place.storage.replace(key.clone(), Some(late));
    goes_on(&place, "a registration landed late");
    assert!(!place.storage.snapshot().contains_key(&key), "it is erased once more");
    goes_on(&place, "it is erased once more");
}

/// No snapshot tells that it went.
#[test]
fn a_log_that_was_taken_away_is_not_pruned() {
    let place = Place::new();
    let room = place.used();
    prune(&room);
    room.close().unwrap();
    place.clock.advance(HOUR);
    let room = place.open();
    put(&room, "prod/a", 1);
    let log = room.log();
    drop(room);
    let mut moment = place.moment();
    moment.files.retain(|name, _| !name.starts_with(&log.to_string()));
    place.set(&moment);
    let refused = place.try_open();
    let is_named = matches!(
        &refused,
        Err(Error::Tampered(Tampered::AuditLogRolledBack { log: found, .. })) if *found == log
    );
    assert!(is_named, "{refused:?}");
}

#[test]
fn an_anchor_does_not_ask_for_logs_that_are_gone() {
    let place = Place::new();
    let open = || {
        let anchor = FileAnchor::new(place.dir("pins"));
        place.builder(place.storage.clone()).anchor(anchor).blocking().open_or_create().unwrap()
    };
    for _ in 0..3 {
        for dies in [true, false] {
            let room = open();
            put(&room, "prod/a", 2);
            place.clock.advance(HOUR);
            prune(&room);
            if dies { drop(room) } else { room.close().unwrap() }
        }
    }
    assert_eq!(place.moment().accused(), Vec::<String>::new());
}

#[test]
fn a_backup_of_a_pruned_store_opens() {
    let place = Place::new();
    let room = |dir: &Path| -> blocking::Strongroom {
        let storage: Result<SqliteStorage, StorageError> =
            SqliteStorage::open(dir.join("secrets.db"));
        Strongroom::builder()
            .storage(storage.unwrap())
            .seal(place.seal.clone())
            .policy(Policy::owned_by(&Principal::user("alice")))
            .audit(FileLog::open(dir.join("audit")).unwrap().with_segment_bytes(4096))
            .clock(place.clock.clone())
            .blocking()
            .open_or_create()
            .unwrap()
    };
    let (here, copy) = (place.dir("here"), place.dir("copy"));
    fs::create_dir(&here).unwrap();
    let first = room(&here);
    put(&first, "prod/a", 12);
    first.close().unwrap();
    place.clock.advance(HOUR);
    let open = room(&here);
    put(&open, "prod/b", 2);
    assert_eq!(prune(&open).logs, 1);
    alice(&open).backup(&copy).unwrap();
    let restored = room(&copy);
    assert!(!alice(&restored).verify().unwrap().accuses());
    assert_eq!(alice(&restored).get::<Opaque>("prod/a").unwrap().value().expose(<[u8]>::len), 5);
    place.clock.advance(HOUR);
    put(&restored, "prod/b", 1);
    prune(&restored);
    assert!(!alice(&restored).verify().unwrap().accuses());
}

/// A log is pruned while another process verifies: what was read of it is told once more.
#[test]
fn who_verifies_meanwhile_is_told_the_same() {
    let place = Place::new();
    let room = place.used();
    let before = place.moment();
    prune(&room);
    let own: LogId = room.log();
    drop(room);
    // All that was there, and the snapshot as well.
    let mut both = place.moment();
    for (name, bytes) in before.files {
        if !name.starts_with(&own.to_string()) || !both.files.contains_key(&name) {
            both.files.insert(name, bytes);
        }
    }
    assert_eq!(both.accused(), Vec::<String>::new());
}

/// Each line of the snapshot, edited, dropped and doubled, and the log cut there.
#[test]
fn whoever_changes_a_snapshot_is_found() {
    let place = Place::new();
    let room = place.used();
    prune(&room);
    room.close().unwrap();
    let honest = place.moment();
    assert_eq!(honest.accused(), Vec::<String>::new());
    let mut changes = 0;
    for name in honest.log_files() {
        let text = String::from_utf8(whole(&honest.files[name]).to_vec()).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let kinds = ["snapshot", "pruned", "kept", "older", "erased", "snapshot-end"];
        for (at, line) in lines.iter().enumerate() {
            if !kinds.iter().any(|kind| line.starts_with(&format!("{{\"t\":\"{kind}\""))) {
                continue;
            }
            let digit = line.rfind(|digit: char| digit.is_ascii_digit());
            let other = digit.map(|digit| {
                let mut other = (*line).to_owned();
                let next = if other.as_bytes()[digit] == b'7' { "8" } else { "7" };
                other.replace_range(digit..=digit, next);
                [&lines[..at], &[other.as_str()], &lines[at + 1..]].concat().concat()
            });
            let variants = [
                other,
                Some([&lines[..at], &lines[at + 1..]].concat().concat()),
                Some([&lines[..=at], &lines[at..]].concat().concat()),
                Some(lines[..at].concat()),
            ];
            for changed in variants.into_iter().flatten() {
                let mut moment = honest.clone();
                moment.files.insert(name.clone(), changed.into_bytes());
                assert!(!moment.accused().is_empty(), "{name}, line {at}: {line}");
                changes += 1;
            }
        }
    }
    assert!(changes > 40, "{changes}");
}

/// Behind the last line that is signed of a log whose process died, anybody can write.
#[test]
fn a_snapshot_that_nobody_signed_counts_for_nothing() {
    let place = Place::new();
    let room = place.open();
    put(&room, "prod/a", 1);
    let first = room.log();
    room.close().unwrap();
    let room = place.open();
    put(&room, "prod/a", 1);
    let own = room.log();
    drop(room);
    let mut moment = place.moment();
    assert_eq!(moment.accused(), Vec::<String>::new());
    let zeros = "00".repeat(32);
    let forged = format!(
        "{{\"t\":\"snapshot\",\"at\":\"7\",\"number\":\"9\"}}\n{{\"t\":\"pruned\",\"log\":\"{first}\",\
         \"size\":\"999\",\"root\":\"{zeros}\",\"registered\":\"0\",\"rest\":\"ended\"}}\n\
         {{\"t\":\"snapshot-end\",\"number\":\"9\",\"lines\":\"1\",\"elsewhere\":\"no\"}}\n"
    );
    let file = moment.files.get_mut(&format!("{own}.jsonl")).unwrap();
    let lines = whole(file).to_vec();
    *file = [lines.as_slice(), forged.as_bytes()].concat();
    assert_eq!(moment.accused(), Vec::<String>::new(), "the lines alone say nothing");
    moment.files.retain(|name, _| !name.starts_with(&first.to_string()));
    assert!(moment.verdicts().contains(&Verdict::LogLostItsTail), "{:?}", moment.accused());
}

/// It is in nobody's way, and goes as others do.
#[test]
fn a_log_whose_loss_was_accepted_is_pruned() {
    let place = Place::new();
    let room = place.open();
    put(&room, "prod/a", 1);
    room.close().unwrap();
    let room = place.open();
    put(&room, "prod/a", 1);
    let first = room.log();
    drop(room);
    let room = place.open();
    put(&room, "prod/a", 1);
    room.close().unwrap();
    let file = place.dir("audit").join(format!("{first}.jsonl"));
    let bytes = fs::read(&file).unwrap();
    let lines: Vec<&[u8]> = whole(&bytes).split_inclusive(|byte| *byte == b'\n').collect();
    fs::write(&file, lines[..2].concat()).unwrap();
    fs::remove_file(file.with_extension("settled")).unwrap();
    let builder = place.builder(place.storage.clone());
    let room = builder.accept_rollback("the disk lost it").blocking().open().unwrap();
    place.clock.advance(HOUR);
    put(&room, "prod/a", 1);
    assert!(alice(&room).verify().unwrap().accuses(), "what settled it tells of more lines");
    assert_eq!(prune(&room).logs, 3);
    place.clock.advance(HOUR);
    put(&room, "prod/a", 12);
    assert!(!file.exists());
    let report = alice(&room).verify().unwrap();
    assert!(!report.accuses(), "{report:?}");
    let is_told = report.findings.iter().any(|finding| finding.verdict == Verdict::Gap);
    assert!(is_told, "that lines were lost is said on");
    room.close().unwrap();
    let room = place.open();
    prune(&room);
    assert!(!alice(&room).verify().unwrap().accuses());
}

#[test]
fn what_is_left_can_be_proven_and_what_is_gone_says_so() {
    let place = Place::new();
    let room = place.used();
    prune(&room);
    let old = room.checkpoint().unwrap();
    put(&room, "prod/live", 2);
    let new = room.checkpoint().unwrap();
    let (dir, log) = (place.dir("audit"), room.log());
    let files = place.moment();
    let first = files.log_files()[0].clone();
    let text = String::from_utf8(whole(&files.files[&first]).to_vec()).unwrap();
    let line = text.lines().next().unwrap();
    let size = line.split(r#""size":""#).nth(1).unwrap().split('"').next().unwrap();
    let size: u64 = size.parse().unwrap();
    assert!(size > 1 && old.size > size);

    let record = Receipt { log, index: size };
    let proof = prove_inclusion(&dir, record, new.size).unwrap();
    assert_eq!(proof.verify(line.as_bytes(), &new), Ok(()));
    let proof = prove_consistency(&dir, log, old.size, new.size).unwrap();
    assert_eq!(proof.verify(&old, &new), Ok(()));
    assert_eq!(prove_record(&dir, record).unwrap().line, line.as_bytes());

    let record = Receipt { log, index: size - 1 };
    let is_pruned = |error| match error {
        ProveError::Pruned { log: told, lines } => (told, lines) == (log, size),
        _ => false,
    };
    assert!(prove_inclusion(&dir, record, new.size).is_err_and(is_pruned));
    assert!(prove_record(&dir, record).is_err_and(is_pruned));
    assert!(prove_consistency(&dir, log, size - 1, new.size).is_err_and(is_pruned));
}

/// It dies before it removes its files; another one must not take the records of these for the last
/// trace of them.
#[test]
fn a_host_leaves_the_records_of_another_hosts_logs_alone() {
    let place = Place::new();
    let room = place.used();
    let before = place.moment();
    prune(&room);
    drop(room);
    let mut both = place.moment();
    for (name, bytes) in &before.files {
        both.files.entry(name.clone()).or_insert_with(|| bytes.clone());
    }
    place.set(&both);

    let builder = place.builder_in("elsewhere", place.storage.clone());
    let room = builder.blocking().open().unwrap();
    prune(&room);
    prune(&room);
    room.close().unwrap();
    goes_on(&place, "pruned elsewhere");
}
