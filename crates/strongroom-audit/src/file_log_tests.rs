//! The sink on a medium that fails where the test says so.

use std::io;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use futures_executor::block_on;
use strongroom_core::{EntropyError, Outcome, OutcomeRecord, Timestamp};

use super::*;
use crate::folder::LogFolder;
use crate::{certificate_message, read_line, store_id};

/// The bytes of a file, and which calls fail.
#[derive(Debug, Default)]
pub(super) struct Faulty {
    bytes: Mutex<Vec<u8>>,
    /// The file may have so many bytes; 0 is no limit.
    pub(super) room: AtomicU64,
    /// Nothing may be longer than it is.
    pub(super) full: AtomicBool,
    pub(super) cuts_fail: AtomicBool,
    pub(super) syncs_fail: AtomicBool,
    pub(super) unlocked: AtomicBool,
    syncs: AtomicU64,
    pub(super) writes: AtomicU64,
    /// While held, a sync waits.
    hold: Mutex<bool>,
    released: Condvar,
}

impl Faulty {
    pub(super) fn length(&self) -> usize {
        self.bytes.lock().unwrap().len()
    }
}

impl Medium for Faulty {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let mut file = self.bytes.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        assert!(offset <= file.len(), "no hole is written");
        let end = offset + bytes.len();
        let room = usize::try_from(self.room.load(Ordering::SeqCst)).unwrap();
        // What is there already may be written over.
        let room =
            if self.full.load(Ordering::SeqCst) { Some(0) } else { (room > 0).then_some(room) };
        let until = room.map_or(end, |room| end.min(room.max(file.len())));
        let length = file.len().max(until);
        file.resize(length, 0);
        file[offset..until].copy_from_slice(&bytes[..until - offset]);
        if until < end { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
    fn cut(&self, length: u64) -> io::Result<()> {
        if self.cuts_fail.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Other.into());
        }
        self.bytes.lock().unwrap().truncate(usize::try_from(length).unwrap());
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        let mut hold = self.hold.lock().unwrap();
        while *hold {
            hold = self.released.wait(hold).unwrap();
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.syncs_fail.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::Other.into());
        }
        Ok(())
    }
    fn unlock(&self) {
        self.unlocked.store(true, Ordering::SeqCst);
    }
}

/// As much of an identity as records without names need, and what it draws.
#[derive(Debug)]
pub(super) struct Nameless(pub(super) u8);

impl StoreIdentity for Nameless {
    fn store(&self) -> StoreId {
        store_id(&self.public_key())
    }
    fn public_key(&self) -> [u8; 32] {
        SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes()
    }
    fn certify(&self, log: LogId, key: &[u8; 32]) -> [u8; 64] {
        let message = certificate_message(self.store(), log, key);
        SigningKey::from_bytes(&[1; 32]).sign(&message).to_bytes()
    }
    fn token(&self, class: u8, _: &str) -> [u8; 16] {
        [class; 16]
    }
    fn encrypt_name(&self, _: LogId, _: &str) -> Result<Vec<u8>, EntropyError> {
        Err(EntropyError::new())
    }
    fn decrypt_name(&self, _: LogId, _: &[u8]) -> Result<String, AuditError> {
        Err(AuditError::Closed)
    }
    fn random(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(self.0);
        Ok(())
    }
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }
}

/// Ends the log that it writes, if any.
pub(super) fn close(log: &FileLog) -> Result<Option<TreeHead>, AuditError> {
    log.log().map_or(Ok(None), |id| block_on(log.close(id)))
}

pub(super) fn log_on(medium: &Arc<Faulty>, inline: bool) -> FileLog {
    log_with_reserve(medium, inline, 0)
}

pub(super) fn log_with_reserve(medium: &Arc<Faulty>, inline: bool, reserve: u64) -> FileLog {
    let limits = Limits { reserve, ..Limits::default() };
    let mut writer = LineWriter::begin(Arc::new(Nameless(7))).unwrap();
    medium.write_at(writer.pending(), 0).unwrap();
    let medium: Arc<dyn Medium> = Arc::clone(medium) as _;
    let tail = Tail::new(Arc::clone(&medium), writer.pending().len() as u64, limits.reserve);
    writer.written();
    let folder = LogFolder::new(Path::new("no/such/directory"), writer.log());
    let segments = Segments::new(folder, limits, writer.now(), tail.length());
    let open = OpenLog::new(writer, medium, tail, segments, inline, HashMap::new());
    let log = FileLog::with(Path::new("no/such/directory"), inline).unwrap();
    *log.current.lock().unwrap() = Some(open);
    log
}

pub(super) fn record(number: u64) -> AuditRecord {
    AuditRecord::Outcome(OutcomeRecord {
        at: Timestamp::default(),
        intent: Receipt { log: LogId::from_bytes([9; 8]), index: number },
        outcome: Outcome::Done,
    })
}

pub(super) fn append(
    log: &FileLog,
    number: u64,
    at_least: Durability,
) -> Result<Vec<Receipt>, AuditError> {
    block_on(log.append(&[record(number)], at_least))
}

/// The bytes of the file that are lines: zero bytes are laid out behind them.
pub(super) fn lines(medium: &Faulty) -> Vec<u8> {
    let bytes = medium.bytes.lock().unwrap();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    assert!(bytes[end..].iter().all(|byte| *byte == 0), "something follows the last line");
    bytes[..end].to_vec()
}

/// The numbers of the records in the file, every byte of which must be a line that is read.
pub(super) fn numbers(medium: &Faulty) -> Vec<u64> {
    let bytes = lines(medium);
    assert_eq!(bytes.last(), Some(&b'\n'), "the file ends with a whole line");
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .filter_map(|line| match read_line(line).unwrap() {
            crate::Line::Outcome(outcome) => Some(outcome.intent),
            _ => None,
        })
        .collect()
}

#[test]
fn a_disk_that_fills_at_any_byte_refuses_the_record_and_takes_the_next_once_there_is_room() {
    for room in 1..260 {
        let medium = Arc::new(Faulty::default());
        let log = log_on(&medium, true);
        append(&log, 0, Durability::Held).unwrap();
        let start = lines(&medium).len() as u64;
        medium.room.store(start + room, Ordering::SeqCst);
        let taken = append(&log, 1, Durability::Flushed);
        medium.room.store(0, Ordering::SeqCst);
        if let Err(error) = &taken {
            assert!(matches!(error, AuditError::Full));
            assert_eq!(lines(&medium).len() as u64, start);
        }
        let receipt = append(&log, 2, Durability::Flushed).unwrap()[0];
        let expected = if taken.is_ok() { vec![0, 1, 2] } else { vec![0, 2] };
        assert_eq!(receipt.index, expected.len() as u64, "indices have no hole");
        assert_eq!(numbers(&medium), expected, "room for {room}");
    }
}

#[test]
fn records_that_fit_are_taken_where_nothing_more_can_be_laid_out() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, true);
    append(&log, 0, Durability::Flushed).unwrap();
    let length = lines(&medium).len() as u64;
    // Room for some lines, and for no more than a part of what is laid out.
    medium.room.store(length + 1_000, Ordering::SeqCst);
    let taken = (1..100).take_while(|n| append(&log, *n, Durability::Synced).is_ok()).count();
    assert!(taken > 5, "{taken}");
    medium.room.store(0, Ordering::SeqCst);
    append(&log, 100, Durability::Synced).unwrap();
    assert_eq!(numbers(&medium).len(), taken + 2);
    close(&log).unwrap();
    let bytes = medium.bytes.lock().unwrap().clone();
    assert_eq!(bytes, lines(&medium));
}

#[test]
fn what_cannot_be_cut_off_is_cut_before_anything_follows() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, true);
    append(&log, 0, Durability::Flushed).unwrap();
    let length = lines(&medium).len() as u64;
    medium.room.store(length + 10, Ordering::SeqCst);
    medium.cuts_fail.store(true, Ordering::SeqCst);
    assert!(append(&log, 1, Durability::Flushed).is_err());
    medium.room.store(0, Ordering::SeqCst);
    assert!(append(&log, 2, Durability::Flushed).is_err(), "still torn");
    medium.cuts_fail.store(false, Ordering::SeqCst);
    append(&log, 3, Durability::Flushed).unwrap();
    assert_eq!(numbers(&medium), [0, 3]);
}

#[test]
fn a_last_line_that_cannot_be_written_at_close_is_not_written_at_drop() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, false);
    append(&log, 0, Durability::Flushed).unwrap();
    append(&log, 1, Durability::Flushed).unwrap();
    medium.room.store(medium.length() as u64 + 10, Ordering::SeqCst);
    close(&log).unwrap_err();
    medium.room.store(0, Ordering::SeqCst);
    drop(log);
    assert_eq!(numbers(&medium), [0, 1]);
    let bytes = lines(&medium);
    let last = bytes.strip_suffix(b"\n").unwrap().rsplit(|byte| *byte == b'\n').next().unwrap();
    assert!(!matches!(read_line(last), Ok(crate::Line::Close(_))), "the log counts as ended");
}

#[test]
fn a_failed_sync_ends_the_log_for_good() {
    for inline in [true, false] {
        let medium = Arc::new(Faulty::default());
        let log = log_on(&medium, inline);
        medium.syncs_fail.store(true, Ordering::SeqCst);
        assert!(append(&log, 0, Durability::Synced).is_err());
        medium.syncs_fail.store(false, Ordering::SeqCst);
        for durability in [Durability::Flushed, Durability::Synced] {
            assert!(append(&log, 1, durability).is_err());
        }
        assert_eq!(medium.syncs.load(Ordering::SeqCst), 1, "no second try");
        assert!(close(&log).is_err());
        close(&log).unwrap();
    }
}

#[test]
fn one_sync_serves_all_who_wait() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, false);
    *medium.hold.lock().unwrap() = true;
    let tasks = (0..64).map(|number| {
        let log = &log;
        async move { log.append(&[record(number)], Durability::Synced).await.unwrap() }
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // All tasks have written before the first sync may end.
            while numbers(&medium).len() < 64 {
                std::thread::sleep(Duration::from_millis(1));
            }
            *medium.hold.lock().unwrap() = false;
            medium.released.notify_all();
        });
        block_on(futures_util::future::join_all(tasks));
    });
    let syncs = medium.syncs.load(Ordering::SeqCst);
    assert!((1..=2).contains(&syncs), "{syncs} syncs for 64 records");
    // Nothing new was written: nothing is synced.
    block_on(log.sync(&Receipt { log: LogId::from_bytes([7; 8]), index: 5 })).unwrap();
    assert_eq!(medium.syncs.load(Ordering::SeqCst), syncs);
}

#[test]
fn threads_that_sync_in_place_share_a_sync() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, true);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..50 {
                    append(log, thread * 50 + number, Durability::Synced).unwrap();
                }
            });
        }
    });
    assert_eq!(numbers(&medium).len(), 400);
    assert!(medium.syncs.load(Ordering::SeqCst) <= 400);
}

#[test]
fn a_dropped_wait_changes_nothing_and_close_wakes_the_others() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, false);
    *medium.hold.lock().unwrap() = true;
    let records = [record(0)];
    {
        let mut dropped = Box::pin(log.append(&records, Durability::Synced));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
    }
    *medium.hold.lock().unwrap() = false;
    medium.released.notify_all();
    append(&log, 1, Durability::Synced).unwrap();
    close(&log).unwrap();
    assert_eq!(numbers(&medium), [0, 1]);
    assert!(matches!(append(&log, 2, Durability::Held), Err(AuditError::Closed)));
}

#[test]
fn held_records_are_flushed_by_size_and_by_drop() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, false);
    for number in 0..900 {
        append(&log, number, Durability::Held).unwrap();
    }
    let flushed = numbers(&medium).len();
    assert!(flushed > 0 && flushed < 900, "{flushed}");
    drop(log);
    assert_eq!(numbers(&medium).len(), 900);
}

#[test]
fn a_name_that_cannot_be_encrypted_leaves_no_trace() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, true);
    let decision = AuditRecord::Decision(strongroom_core::DecisionRecord {
        at: Timestamp::default(),
        principal: None,
        action: strongroom_core::ActionName::Read,
        target: "prod/db".parse::<strongroom_core::SecretPath>().unwrap().into(),
        effect: strongroom_core::Effect::Allow,
        count: std::num::NonZeroU64::MIN,
        explanation: strongroom_core::Explanation::default(),
        context: strongroom_core::RequestContext::new(),
        loaded: None,
    });
    for _ in 0..2 {
        let records = [record(0), decision.clone()];
        let refused = block_on(log.append(&records, Durability::Flushed));
        assert!(matches!(refused, Err(AuditError::Entropy(_))));
    }
    append(&log, 1, Durability::Flushed).unwrap();
    assert_eq!(numbers(&medium), [1]);
}

#[test]
fn a_forked_process_leaves_the_log_and_its_lock_to_its_parent() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, false);
    block_on(log.append(&[record(1)], Durability::Held)).unwrap();
    let before = medium.bytes.lock().unwrap().clone();
    log.current.lock().unwrap().as_mut().unwrap().process += 1;
    let refused = block_on(log.append(&[record(2)], Durability::Flushed)).unwrap_err();
    assert!(refused.to_string().contains("forked"), "{refused}");
    drop(log);
    assert!(*medium.bytes.lock().unwrap() == before, "it wrote");
    // Not even where it has nothing of its own to write.
    let log = log_on(&medium, false);
    let receipt = block_on(log.append(&[record(1)], Durability::Flushed)).unwrap()[0];
    let before = medium.bytes.lock().unwrap().clone();
    log.current.lock().unwrap().as_mut().unwrap().process += 1;
    block_on(log.sync(&receipt)).unwrap();
    close(&log).unwrap_err();
    assert!(*medium.bytes.lock().unwrap() == before, "it wrote");
    assert!(!medium.unlocked.load(Ordering::SeqCst), "it gave up the parent's lock");

    let log = log_on(&medium, false);
    drop(log);
    assert!(medium.unlocked.load(Ordering::SeqCst));
}
