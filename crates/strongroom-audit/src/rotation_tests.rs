//! Where a log goes on in a new file, on a disk that fails at one step of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_executor::block_on;
use strongroom_core::Timestamp;

use super::tests::{Faulty, Nameless, append, close, lines, numbers};
use super::*;
use crate::folder::Folder;
use crate::medium::failed;
use crate::{Line, read_line};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Draft,
    Sweep,
    Sync,
    Publish,
    /// It takes effect, and an error is told.
    PublishAndSay,
    SyncNames,
}

/// Files in memory, and the step that fails.
#[derive(Debug, Default)]
struct Shelf {
    files: Mutex<BTreeMap<u64, Arc<Faulty>>>,
    named: Mutex<BTreeSet<u64>>,
    fails: Mutex<Option<Step>>,
    /// A new file may have so many bytes; 0 is no limit.
    room: AtomicU64,
    tries: AtomicU64,
}

impl Shelf {
    fn step(&self, step: Step) -> io::Result<()> {
        let fails = *self.fails.lock().unwrap() == Some(step);
        if fails { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }

    fn file(&self, number: u64) -> Arc<Faulty> {
        Arc::clone(&self.files.lock().unwrap()[&number])
    }

    fn count(&self) -> usize {
        let (files, named) = (self.files.lock().unwrap(), self.named.lock().unwrap());
        assert!(files.keys().eq(named.iter()), "no draft is left");
        files.len()
    }

    /// The numbers of all records, in order.
    fn numbers(&self) -> Vec<u64> {
        self.files.lock().unwrap().values().flat_map(|file| numbers(file)).collect()
    }
}

impl Folder for Arc<Shelf> {
    fn draft(&self, number: u64) -> Result<Option<Arc<dyn Medium>>, AuditError> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        self.step(Step::Draft).map_err(|error| failed("no draft", error))?;
        if self.step(Step::Sweep).is_err() {
            return Ok(None);
        }
        let file = Arc::new(Faulty::default());
        file.room.store(self.room.load(Ordering::SeqCst), Ordering::SeqCst);
        file.syncs_fail.store(self.step(Step::Sync).is_err(), Ordering::SeqCst);
        self.files.lock().unwrap().insert(number, Arc::clone(&file));
        Ok(Some(file))
    }
    fn publish(&self, number: u64) -> io::Result<()> {
        self.step(Step::Publish)?;
        self.named.lock().unwrap().insert(number);
        self.step(Step::PublishAndSay)
    }
    fn is_published(&self, number: u64) -> bool {
        self.named.lock().unwrap().contains(&number)
    }
    fn sync(&self) -> io::Result<()> {
        self.step(Step::SyncNames)
    }
    fn discard(&self, number: u64) {
        self.files.lock().unwrap().remove(&number);
    }
}

/// A log whose files end at 1,000 bytes.
fn log_on(shelf: &Arc<Shelf>) -> FileLog {
    log_with_reserve(shelf, 0)
}

fn log_with_reserve(shelf: &Arc<Shelf>, reserve: u64) -> FileLog {
    let medium = Arc::new(Faulty::default());
    shelf.files.lock().unwrap().insert(0, Arc::clone(&medium));
    shelf.named.lock().unwrap().insert(0);
    let limits = Limits { bytes: 1_000, millis: u64::MAX, reserve };
    let mut writer = LineWriter::begin(Arc::new(Nameless(7))).unwrap();
    medium.write_at(writer.pending(), 0).unwrap();
    let medium: Arc<dyn Medium> = medium;
    let tail = Tail::new(Arc::clone(&medium), writer.pending().len() as u64, limits.reserve);
    writer.written();
    let segments = Segments::new(Arc::clone(shelf), limits, Timestamp::default(), tail.length());
    let open = OpenLog::new(writer, medium, tail, segments, true, HashMap::new());
    let log = FileLog::with(Path::new("no/such/directory"), true).unwrap();
    *log.current.lock().unwrap() = Some(open);
    log
}

/// Appends these records, and says how many were taken.
fn fill(log: &FileLog, numbers: std::ops::Range<u64>) -> u64 {
    let levels = [Durability::Held, Durability::Flushed, Durability::Synced];
    let levels = levels.into_iter().cycle().skip(usize::try_from(numbers.start % 3).unwrap());
    let take = |(number, level): &(u64, Durability)| append(log, *number, *level).is_ok();
    numbers.zip(levels).take_while(take).count() as u64
}

/// All records are there, their indices have no hole, and each file begins as it should.
fn check(shelf: &Shelf, records: u64) {
    let is_whole = shelf.numbers().into_iter().eq(0..records);
    assert!(is_whole, "a record is missing, twice there, or elsewhere");
    let mut size = 0;
    for (number, file) in &*shelf.files.lock().unwrap() {
        for line in lines(file).split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if let Line::Segment(segment) = read_line(line).unwrap() {
                assert_eq!((segment.number, segment.size), (*number, size));
            }
            size += 1;
        }
    }
}

#[test]
fn a_rotation_that_fails_at_any_step_leaves_the_file_in_use_and_is_tried_again_later() {
    for step in [Step::Draft, Step::Sweep, Step::Sync, Step::Publish] {
        let shelf = Arc::new(Shelf::default());
        let log = log_on(&shelf);
        *shelf.fails.lock().unwrap() = Some(step);
        assert_eq!(fill(&log, 0..50), 50, "{step:?}");
        assert_eq!((shelf.count(), shelf.tries.load(Ordering::SeqCst)), (1, 1), "{step:?}");
        assert!(!shelf.file(0).unlocked.load(Ordering::SeqCst), "{step:?}");
        *shelf.fails.lock().unwrap() = None;
        assert_eq!(fill(&log, 50..100), 50);
        assert_eq!(shelf.count(), 1, "not at each append: {step:?}");
        assert_eq!(fill(&log, 100..16_000), 15_900);
        assert!(shelf.count() > 2, "{step:?}");
        close(&log).unwrap();
        check(&shelf, 16_000);
        let last = shelf.count() as u64 - 1;
        assert!(lines(&shelf.file(last)).ends_with(b"\"}\n"));
    }
}

#[test]
fn a_disk_that_fills_at_any_byte_of_a_new_file_leaves_the_last_one_in_use() {
    let shelf = Arc::new(Shelf::default());
    let log = log_on(&shelf);
    (0..).find(|number| fill(&log, *number..number + 1) == 1 && shelf.count() > 1).unwrap();
    let first = lines(&shelf.file(1)).iter().position(|byte| *byte == b'\n').unwrap() as u64 + 1;
    for room in (1..first).step_by(7).chain([first - 1]) {
        let shelf = Arc::new(Shelf::default());
        let log = log_on(&shelf);
        shelf.room.store(room, Ordering::SeqCst);
        assert_eq!(fill(&log, 0..20), 20, "room for {room}");
        assert_eq!((shelf.count(), shelf.tries.load(Ordering::SeqCst)), (1, 1), "room for {room}");
        check(&shelf, 20);
    }
}

#[test]
fn a_file_that_cannot_be_cut_or_filled_is_written_on() {
    let shelf = Arc::new(Shelf::default());
    let log = log_on(&shelf);
    append(&log, 0, Durability::Synced).unwrap();
    shelf.file(0).cuts_fail.store(true, Ordering::SeqCst);
    assert_eq!(fill(&log, 1..50), 49);
    assert_eq!(shelf.count(), 1);
    check(&shelf, 50);
}

#[test]
fn a_failed_sync_of_the_last_file_ends_the_log_and_begins_none() {
    let shelf = Arc::new(Shelf::default());
    let log = log_on(&shelf);
    let mut taken = 0;
    while lines(&shelf.file(0)).len() < 1_000 {
        append(&log, taken, Durability::Flushed).unwrap();
        taken += 1;
    }
    shelf.file(0).syncs_fail.store(true, Ordering::SeqCst);
    assert!(append(&log, taken, Durability::Held).is_err());
    shelf.file(0).syncs_fail.store(false, Ordering::SeqCst);
    assert!(append(&log, taken, Durability::Flushed).is_err());
    assert_eq!(shelf.tries.load(Ordering::SeqCst), 0);
    drop(log);
    check(&shelf, taken);
}

#[test]
fn a_name_that_a_power_cut_may_take_again_ends_the_log() {
    for step in [Step::PublishAndSay, Step::SyncNames] {
        let shelf = Arc::new(Shelf::default());
        let log = log_on(&shelf);
        *shelf.fails.lock().unwrap() = Some(step);
        let taken = fill(&log, 0..50);
        assert!(taken < 20, "{step:?}");
        *shelf.fails.lock().unwrap() = None;
        for durability in [Durability::Flushed, Durability::Synced] {
            assert!(append(&log, taken, durability).is_err(), "{step:?}");
        }
        // As long as it is open, nobody takes it for dead.
        assert_eq!(shelf.count(), 2);
        assert!(!shelf.file(1).unlocked.load(Ordering::SeqCst));
        assert!(close(&log).is_err());
        assert!(shelf.file(1).unlocked.load(Ordering::SeqCst));
        check(&shelf, taken);
    }
}

#[test]
fn who_waits_for_a_record_is_answered_though_its_file_ends() {
    let shelf = Arc::new(Shelf::default());
    let log = log_on(&shelf);
    let receipts: Vec<Receipt> =
        (0..4).map(|number| append(&log, number, Durability::Flushed).unwrap()[0]).collect();
    let wait = {
        let mut current = log.current.lock().unwrap();
        let open = current.as_mut().unwrap();
        open.reach(receipts[3].index + 1)
    };
    assert_eq!(fill(&log, 4..30), 26);
    assert!(shelf.count() > 1);
    block_on(wait).unwrap();
    block_on(log.sync(&receipts[0])).unwrap();
    assert!(shelf.file(0).unlocked.load(Ordering::SeqCst));
}

#[test]
fn a_forked_process_begins_no_file() {
    let shelf = Arc::new(Shelf::default());
    let log = log_on(&shelf);
    while lines(&shelf.file(0)).len() < 1_000 {
        append(&log, 0, Durability::Flushed).unwrap();
    }
    log.current.lock().unwrap().as_mut().unwrap().process += 1;
    append(&log, 1, Durability::Flushed).unwrap_err();
    assert_eq!(shelf.tries.load(Ordering::SeqCst), 0);
}

/// An opener that has listed the directory before its writer went on: the last file is what counts.
#[test]
fn an_opener_goes_on_to_the_file_that_was_begun_meanwhile() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let log = FileLog::open_inline(dir).unwrap().with_segment_bytes(0);
    let own = block_on(log.attach(Arc::new(Nameless(7)))).unwrap().log;
    let listed = dir::logs(dir).unwrap();
    let claim = || dead::claim(&listed, &Nameless(8)).unwrap();
    assert_eq!(fill(&log, 0..300), 300);
    assert!(dir::logs(dir).unwrap()[0].segments.len() > 2);
    assert!(claim().dead.is_empty(), "it lives");
    drop(log);
    let dead = claim().dead;
    assert_eq!(dead.len(), 1);
    let page = DirReader::new(dir).read(None, NonZeroU32::MAX).unwrap();
    assert_eq!((dead[0].log, dead[0].size), (own, page.len() as u64));
}

#[test]
fn a_file_that_has_no_room_for_the_reserve_is_not_begun_and_the_last_one_keeps_its_own() {
    const RESERVE: u64 = 100_000;
    let shelf = Arc::new(Shelf::default());
    let log = log_with_reserve(&shelf, RESERVE);
    let left = |number: u64| {
        let file = shelf.file(number);
        (file.length() - lines(&file).len()) as u64
    };
    append(&log, 0, Durability::Flushed).unwrap();
    assert!(left(0) >= RESERVE);
    // Room for the lines of another file, and for a part of the reserve.
    shelf.room.store(70_000, Ordering::SeqCst);
    let full = shelf.file(0);
    full.room.store(full.length() as u64, Ordering::SeqCst);
    assert_eq!(fill(&log, 1..50), 49);
    assert!(shelf.tries.load(Ordering::SeqCst) > 0, "it was tried");
    assert_eq!(shelf.count(), 1);
    assert!(left(0) >= RESERVE, "{}", left(0));
    // Once there is room the log goes on in another file.
    shelf.room.store(0, Ordering::SeqCst);
    log.current.lock().unwrap().as_mut().unwrap().segments.failed = None;
    append(&log, 50, Durability::Synced).unwrap();
    assert_eq!(shelf.count(), 2);
    assert_eq!(left(0), 0, "what is whole has nothing behind it");
    assert!(left(1) >= RESERVE);
    check(&shelf, 51);
}

#[test]
fn a_file_whose_successor_gets_no_name_lays_its_reserve_out_again() {
    const RESERVE: u64 = 100_000;
    let shelf = Arc::new(Shelf::default());
    let log = log_with_reserve(&shelf, RESERVE);
    append(&log, 0, Durability::Flushed).unwrap();
    *shelf.fails.lock().unwrap() = Some(Step::Publish);
    let due = |open: &mut OpenLog| {
        open.segments.failed = None;
        open.rotate_if_due()
    };
    while shelf.tries.load(Ordering::SeqCst) == 0 {
        append(&log, 1, Durability::Flushed).unwrap();
        due(log.current.lock().unwrap().as_mut().unwrap()).unwrap();
    }
    let file = shelf.file(0);
    assert!((file.length() - lines(&file).len()) as u64 >= 2 * RESERVE, "before another record");
}
