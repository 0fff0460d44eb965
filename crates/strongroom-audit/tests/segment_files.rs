//! A log in several files of a directory: when they end, how they are read, kept and settled.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking"
)]
#![expect(unreachable_pub, reason = "the helpers are a module of each test program")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::*;
use futures_executor::block_on;
use strongroom_audit::{FileLog, Verdict, verify_logs};
use strongroom_core::{
    Attached, AuditError, AuditSink, Durability, LogId, Outcome, PruneRules, Receipt,
    StoreIdentity, Timestamp,
};

fn attach(dir: &Path, identity: &Arc<FakeIdentity>) -> (FileLog, Attached) {
    let log = FileLog::open(dir).unwrap().with_segment_bytes(0);
    let attached = block_on(log.attach(Arc::clone(identity) as _)).unwrap();
    (log, attached)
}

fn segments_of(dir: &Path, log: LogId) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&log.to_string()))
        .collect();
    // The first has a shorter name.
    files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    files
}

/// A log of several files, the first of which has a write that is open. Not closed.
fn die(dir: &Path, identity: &Arc<FakeIdentity>) -> (LogId, Receipt) {
    let (log, attached) = attach(dir, identity);
    let decision =
        block_on(log.append(&[read_of("a", "prod/db", 1)], Durability::Held)).unwrap()[0];
    let open = write_of(attached.log, decision.index, "prod/db", 1, "", "one");
    let open = block_on(log.append(&[open], Durability::Flushed)).unwrap()[0];
    fill(&log, 60);
    (attached.log, open)
}

fn fill(log: &FileLog, records: u64) {
    for seq in 0..records {
        let durability =
            [Durability::Held, Durability::Flushed, Durability::Synced][seq as usize % 3];
        block_on(log.append(&[read_of("a", "prod/db", seq)], durability)).unwrap();
    }
}

#[test]
fn a_long_log_goes_on_in_files_that_are_private_and_whole() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let (log, attached) = attach(scratch.path(), &identity);
    fill(&log, 100);
    let files = segments_of(scratch.path(), attached.log);
    assert!(files.len() > 4, "{files:?}");
    let name = format!("{}.000001.jsonl", attached.log);
    assert_eq!(files[1].file_name().unwrap().to_str(), Some(name.as_str()));
    for (number, file) in files.iter().enumerate() {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let bytes = fs::read(file).unwrap();
        if number + 1 < files.len() {
            assert!((4096..9000).contains(&bytes.len()), "{}", bytes.len());
            assert!(bytes.ends_with(b"}\n"), "nothing is laid out behind it");
        }
    }
    let whole = all_lines(log.reader().unwrap(), 10_000);
    let indices: Vec<u64> = whole.iter().map(|(receipt, _)| receipt.index).collect();
    assert_eq!(indices, Vec::from_iter(0..whole.len() as u64));
    for page in [1, 7, 30] {
        assert_eq!(all_lines(log.reader().unwrap(), page), whole);
    }
    let reader = FileLog::open(scratch.path()).unwrap();
    for place in [0, 20, 90, whole.len() - 2] {
        let after = whole[place].0;
        let limit = 40.try_into().unwrap();
        let rest = block_on(reader.reader().unwrap().read(Some(&after), limit)).unwrap();
        assert_eq!(rest, whole[place + 1..whole.len().min(place + 41)]);
    }
    close(&log).unwrap();
    assert_eq!(verify_logs(scratch.path(), None).unwrap().findings, []);
    let (_, attached) = attach(scratch.path(), &identity);
    assert!(attached.dead.is_empty());
}

/// An identity with a clock that is set by hand.
#[derive(Debug)]
struct Later(Arc<FakeIdentity>, std::sync::atomic::AtomicU64);

impl StoreIdentity for Later {
    fn store(&self) -> strongroom_core::StoreId {
        self.0.store()
    }
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }
    fn certify(&self, log: LogId, key: &[u8; 32]) -> [u8; 64] {
        self.0.certify(log, key)
    }
    fn token(&self, class: u8, text: &str) -> [u8; 16] {
        self.0.token(class, text)
    }
    fn encrypt_name(
        &self,
        log: LogId,
        name: &str,
    ) -> Result<Vec<u8>, strongroom_core::EntropyError> {
        self.0.encrypt_name(log, name)
    }
    fn decrypt_name(&self, log: LogId, sealed: &[u8]) -> Result<String, AuditError> {
        self.0.decrypt_name(log, sealed)
    }
    fn random(&self, buffer: &mut [u8]) -> Result<(), strongroom_core::EntropyError> {
        self.0.random(buffer)
    }
    fn now(&self) -> Timestamp {
        at(NOW + self.1.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[test]
fn an_old_file_ends_whichever_way_the_clock_steps() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = Arc::new(Later(FakeIdentity::new(1), 0.into()));
    let log = FileLog::open(scratch.path()).unwrap();
    let log = log.with_segment_age(Duration::from_secs(3600));
    let attached = block_on(log.attach(Arc::clone(&identity) as _)).unwrap();
    let append_at = |millis: u64| {
        identity.1.store(millis, std::sync::atomic::Ordering::SeqCst);
        block_on(log.append(&[read_of("a", "prod/db", 1)], Durability::Flushed)).unwrap();
        segments_of(scratch.path(), attached.log).len()
    };
    assert_eq!(append_at(3_600_000), 1, "a file that has nothing of its own goes on");
    assert_eq!(append_at(3_599_999), 1);
    assert_eq!(append_at(3_600_000), 2);
    assert_eq!(append_at(7_199_999), 2);
    assert_eq!(append_at(0), 3, "a clock that steps back");
    assert_eq!(append_at(1), 3);
    close(&log).unwrap();
    assert!(!verify_logs(scratch.path(), None).unwrap().accuses());
}

#[test]
fn a_dead_log_is_settled_from_its_last_file_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let (dead, open) = die(dir, &identity);
    let mut files = segments_of(dir, dead);
    files.pop();
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    let (log, attached) = attach(dir, &identity);
    let [found] = attached.dead.as_slice() else { panic!("{:?}", attached.dead) };
    let [left] = found.open.as_slice() else { panic!("{found:?}") };
    assert_eq!((left.receipt, left.seq, left.target.as_str()), (open, 1, "prod/db"));
    // No other opener gets it meanwhile.
    assert!(attach(dir, &identity).1.dead.iter().all(|other| other.log != dead));
    let outcome = outcome_of(open, Outcome::Lost);
    block_on(log.append(&[outcome, closed(found)], Durability::Flushed)).unwrap();
    close(&log).unwrap();
    let report = verify_logs(dir, None).unwrap();
    let about: Vec<_> = report.accusations().map(|it| (it.verdict, it.log, it.index)).collect();
    assert_eq!(about, [(Verdict::LogLostItsTail, Some(dead), Some(0))], "what is missing is said");
}

#[test]
fn files_that_are_missing_swapped_or_cut_are_found() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let source = scratch.path().join("source");
    let (log, _) = die(&source, &identity);
    let files = segments_of(&source, log);
    assert!(files.len() > 3);
    type Change = fn(&[PathBuf]);
    let changes: [(&str, Change); 6] = [
        ("the first missing", |files| fs::remove_file(&files[0]).unwrap()),
        ("one in the middle missing", |files| fs::remove_file(&files[1]).unwrap()),
        ("two swapped", |files| {
            let one = fs::read(&files[1]).unwrap();
            fs::copy(&files[2], &files[1]).unwrap();
            fs::write(&files[2], one).unwrap();
        }),
        ("one cut", |files| {
            let bytes = fs::read(&files[1]).unwrap();
            fs::write(&files[1], &bytes[..bytes.len() - 700]).unwrap();
        }),
        ("one empty", |files| fs::write(&files[1], b"").unwrap()),
        ("bytes behind one", |files| {
            let bytes = fs::read(&files[1]).unwrap();
            fs::write(&files[1], [bytes.as_slice(), b"x"].concat()).unwrap();
        }),
    ];
    for (name, change) in changes {
        let dir = scratch.path().join(name);
        fs::create_dir(&dir).unwrap();
        for file in &files {
            fs::copy(file, dir.join(file.file_name().unwrap())).unwrap();
        }
        assert!(!verify_logs(&dir, None).unwrap().accuses());
        change(&segments_of(&dir, log));
        let report = verify_logs(&dir, None).unwrap();
        assert!(report.accusations().any(|finding| finding.log == Some(log)), "{name}: {report:?}");
        // Settling rests on the last file alone.
        let (_, attached) = attach(&dir, &identity);
        assert_eq!(attached.dead.len(), 1, "{name}");
    }
}

#[test]
fn what_a_crash_left_of_a_file_that_never_began_is_cleared() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let (dead, _) = die(dir, &identity);
    let draft = dir.join(format!("{dead}.000099.draft"));
    fs::write(&draft, "half").unwrap();
    let stranger = dir.join(format!("{dead}.99.draft"));
    fs::write(&stranger, "not ours").unwrap();
    let (_, attached) = attach(dir, &identity);
    assert_eq!(attached.dead.len(), 1);
    assert!(!draft.exists() && stranger.exists());
}

#[test]
fn a_backup_across_a_rotation_is_a_log_to_settle() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, copy) = (scratch.path().join("room"), scratch.path().join("copy"));
    let identity = FakeIdentity::new(1);
    let (log, attached) = attach(&dir, &identity);
    fill(&log, 50);
    let size = all_lines(log.reader().unwrap(), 1000).len();
    let cut = log.cut().unwrap();
    let files = segments_of(&dir, attached.log).len();
    assert_eq!(cut.files.len(), files);
    fill(&log, 50);
    assert!(segments_of(&dir, attached.log).len() > files + 1);
    fs::create_dir(&copy).unwrap();
    block_on(log.backup(&copy, &cut)).unwrap();
    assert!(!verify_logs(&copy, None).unwrap().accuses());
    let (_, settler) = attach(&copy, &identity);
    assert_eq!(settler.dead.len(), 1);
    assert_eq!((settler.dead[0].log, settler.dead[0].size), (attached.log, size as u64));
}

/// The storage was copied when the log had it.
#[test]
fn a_backup_that_lacks_a_pruned_file_is_not_made() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, copy) = (scratch.path().join("room"), scratch.path().join("copy"));
    let identity = FakeIdentity::new(1);
    let (log, attached) = attach(&dir, &identity);
    fill(&log, 80);
    let cut = log.cut().unwrap();
    let rules = PruneRules { before: Timestamp::MAX, open: &[], lost: &[] };
    let pruned = block_on(log.prune(attached.log, &rules)).unwrap().unwrap();
    assert_eq!(pruned.parts.len(), 1);
    assert!(block_on(log.remove(attached.log, &pruned)).unwrap().files > 1);
    fs::create_dir(&copy).unwrap();
    let error = block_on(log.backup(&copy, &cut)).unwrap_err().to_string();
    assert!(error.contains("pruned meanwhile"), "{error}");
    fs::remove_dir_all(&copy).unwrap();
    fs::create_dir(&copy).unwrap();
    block_on(log.backup(&copy, &log.cut().unwrap())).unwrap();
    assert!(!verify_logs(&copy, None).unwrap().accuses());
}

#[test]
fn threads_that_write_while_files_end_lose_nothing_and_no_opener_takes_the_log() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let (log, own) = attach(dir, &identity);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .map(|thread| {
                let log = &log;
                scope.spawn(move || {
                    for seq in 0..80 {
                        let durability =
                            [Durability::Held, Durability::Flushed, Durability::Synced]
                                [(seq + thread) as usize % 3];
                        let record = read_of("a", &format!("prod/t{thread}"), seq);
                        let receipts = block_on(log.append(&[record], durability)).unwrap();
                        if seq % 7 == 0 {
                            block_on(log.sync(&receipts[0])).unwrap();
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let (other, attached) = attach(dir, &identity);
                assert!(attached.dead.iter().all(|dead| dead.log != own.log), "it lives");
                close(&other).unwrap();
                assert!(!verify_logs(dir, None).unwrap().accuses());
                let lines = all_lines(log.reader().unwrap(), 100);
                let own = lines.iter().filter(|(at, _)| at.log == own.log).map(|(at, _)| at.index);
                assert!(own.enumerate().all(|(place, index)| place as u64 == index));
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    close(&log).unwrap();
    let report = verify_logs(dir, None).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.counts.decisions, 320);
    assert!(segments_of(dir, own.log).len() > 10);
}
