//! What the directory sink does on a real file system.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking"
)]
#![expect(unreachable_pub, reason = "the helpers are a module of each test program")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use futures_executor::block_on;
use strongroom_audit::{FileLog, Finding, Line, Verdict, read_line, verify_logs};
use strongroom_core::{
    Attached, AuditError, AuditRecord, AuditSink, CitedRecord, Durability, LogId, Outcome,
    StoreIdentity,
};

fn attach(dir: &Path, identity: &Arc<FakeIdentity>) -> (FileLog, Attached) {
    let log = FileLog::open(dir).unwrap();
    let identity: Arc<dyn StoreIdentity> = Arc::clone(identity) as _;
    let attached = block_on(log.attach(identity)).unwrap();
    (log, attached)
}

fn file_of(dir: &Path, log: LogId) -> PathBuf {
    dir.join(format!("{log}.jsonl"))
}

/// The bytes of a log that are lines, without what is laid out behind them.
fn lines_of(file: &Path) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    bytes
}

/// A log with a decision, an intent that is open and one that is done; not closed.
fn die(dir: &Path, identity: &Arc<FakeIdentity>) -> LogId {
    let (log, attached) = attach(dir, identity);
    let decision =
        block_on(log.append(&[read_of("a", "prod/db", 1)], Durability::Flushed)).unwrap()[0];
    let done = write_of(attached.log, decision.index, "prod/db", 1, "", "one");
    let open = write_of(attached.log, decision.index, "prod/db", 2, "one", "two");
    let receipts = block_on(log.append(&[done, open], Durability::Flushed)).unwrap();
    block_on(log.append(&[outcome_of(receipts[0], Outcome::Done)], Durability::Flushed)).unwrap();
    attached.log
}

#[test]
fn opening_touches_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("a/audit");
    let log = FileLog::open(&dir).unwrap();
    assert_eq!(block_on(log.owner()).unwrap(), None);
    assert!(!scratch.path().join("a").exists());
    assert!(matches!(block_on(log.append(&[], Durability::Held)), Err(AuditError::Closed)));
    close(&log).unwrap();
    assert!(FileLog::open("").is_err());
    let file = scratch.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(FileLog::open(&file).is_err());
}

#[test]
fn files_are_private_from_the_first_instant_and_looser_modes_are_reported() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room/audit");
    let identity = FakeIdentity::new(1);
    let (log, attached) = attach(&dir, &identity);
    for (path, mode) in [(dir.clone(), 0o700), (file_of(&dir, attached.log), 0o600)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, mode);
    }
    assert!(log.warnings().is_empty());
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let warnings = log.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("0755"), "{warnings:?}");
}

#[test]
fn records_are_read_back_in_order_whatever_the_page() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    for _ in 0..3 {
        let (log, _) = attach(scratch.path(), &identity);
        for seq in 0..7 {
            block_on(log.append(&[read_of("a", "prod/db", seq)], Durability::Held)).unwrap();
        }
        close(&log).unwrap();
        close(&log).unwrap();
    }
    let (log, _) = attach(scratch.path(), &identity);
    let whole = all_lines(log.reader().unwrap(), 1000);
    assert_eq!(whole.len(), 3 * (1 + 4 + 7 + 1) + 1);
    assert!(whole.is_sorted_by_key(|(receipt, _)| *receipt));
    for page in 1..15 {
        assert_eq!(all_lines(log.reader().unwrap(), page), whole);
    }
    // A place that no page ended at.
    let after = whole[20].0;
    let rest = block_on(log.reader().unwrap().read(Some(&after), 5.try_into().unwrap())).unwrap();
    assert_eq!(rest, whole[21..26]);
}

#[test]
fn a_dead_log_is_settled_once() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let first = die(dir, &identity);
    let (log, attached) = attach(dir, &identity);
    let [dead] = &attached.dead[..] else { panic!("{:?}", attached.dead) };
    assert_eq!((dead.log, dead.open.len()), (first, 1));
    assert_eq!((dead.open[0].seq, dead.open[0].target.as_str()), (2, "prod/db"));
    assert_eq!(dead.open[0].key, head_key("prod/db"));

    // As long as it is not settled, no other opener gets it.
    let (other, others) = attach(dir, &identity);
    assert!(others.dead.is_empty());
    close(&other).unwrap();

    let outcome = outcome_of(dead.open[0].receipt, Outcome::Lost);
    block_on(log.append(&[outcome, closed(dead)], Durability::Flushed)).unwrap();
    assert!(dir.join(format!("{first}.settled")).exists());
    let (again, agains) = attach(dir, &identity);
    assert!(agains.dead.is_empty());
    close(&again).unwrap();
    close(&log).unwrap();
}

#[test]
fn a_dead_log_gives_back_the_room_that_was_laid_out() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let file = file_of(scratch.path(), die(scratch.path(), &identity));
    let lines = lines_of(&file);
    assert!(fs::read(&file).unwrap().len() > lines.len() + 256 * 1024, "it is there until then");
    let (log, attached) = attach(scratch.path(), &identity);
    assert_eq!(fs::read(&file).unwrap(), lines);
    block_on(log.append(&[closed(&attached.dead[0])], Durability::Flushed)).unwrap();
    assert_eq!(fs::read(&file).unwrap(), lines);
}

/// Who can write to the directory can lay a name in it that leads elsewhere.
#[test]
fn nothing_is_cut_off_a_file_that_a_name_in_the_directory_leads_to() {
    let (scratch, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let id = die(dir, &identity);
    let file = file_of(dir, id);
    let moved = elsewhere.path().join("moved");
    fs::copy(&file, &moved).unwrap();
    fs::remove_file(&file).unwrap();
    symlink(&moved, &file).unwrap();
    let before = fs::read(&moved).unwrap();
    let (log, attached) = attach(dir, &identity);
    assert_eq!((attached.dead[0].log, before.last()), (id, Some(&0)));
    assert_eq!(fs::read(&moved).unwrap(), before);
    // Laid there when the log was claimed already.
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, [b"image".as_slice(), &[0; 4096]].concat()).unwrap();
    symlink(&victim, dir.join(format!("{id}.000001.jsonl"))).unwrap();
    block_on(log.append(&[closed(&attached.dead[0])], Durability::Flushed)).unwrap();
    assert_eq!(fs::read(&victim).unwrap().len(), 5 + 4096);
}

#[test]
fn a_settler_that_dies_leaves_the_rest_to_the_next() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let first = die(dir, &identity);
    let (log, attached) = attach(dir, &identity);
    let outcome = outcome_of(attached.dead[0].open[0].receipt, Outcome::Done);
    block_on(log.append(&[outcome], Durability::Synced)).unwrap();
    drop(log);
    let (_log, second) = attach(dir, &identity);
    assert_eq!(second.dead.len(), 2);
    assert!(second.dead.iter().any(|dead| dead.log == first));
    assert!(second.dead.iter().all(|dead| dead.open.is_empty()));
}

#[test]
fn what_its_own_writer_called_unknown_is_open_and_what_a_settler_did_is_not() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let (log, attached) = attach(dir, &identity);
    let intent = write_of(attached.log, 0, "prod/db", 1, "", "one");
    let receipt = block_on(log.append(&[intent], Durability::Flushed)).unwrap()[0];
    block_on(log.append(&[outcome_of(receipt, Outcome::Unknown)], Durability::Flushed)).unwrap();
    drop(log);
    let (log, attached) = attach(dir, &identity);
    assert_eq!(attached.dead[0].open.len(), 1);
    block_on(log.append(&[outcome_of(receipt, Outcome::Unknown)], Durability::Flushed)).unwrap();
    drop(log);
    let (_log, attached) = attach(dir, &identity);
    assert!(attached.dead.iter().all(|dead| dead.open.is_empty()));
}

#[test]
fn a_live_log_is_not_taken_for_a_dead_one() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let (one, _) = attach(scratch.path(), &identity);
    let (two, attached) = attach(scratch.path(), &identity);
    assert!(attached.dead.is_empty());
    for log in [&one, &two] {
        block_on(log.append(&[read_of("a", "prod/db", 1)], Durability::Synced)).unwrap();
        close(log).unwrap();
    }
    let (_three, attached) = attach(scratch.path(), &identity);
    assert!(attached.dead.is_empty());
}

#[test]
fn another_store_is_refused_and_nothing_is_changed() {
    let scratch = tempfile::tempdir().unwrap();
    let (ours, theirs) = (FakeIdentity::new(1), FakeIdentity::new(2));
    let (log, _) = attach(scratch.path(), &ours);
    close(&log).unwrap();
    let other = FileLog::open(scratch.path()).unwrap();
    assert_eq!(block_on(other.owner()).unwrap(), Some(ours.store()));
    let identity: Arc<dyn StoreIdentity> = theirs;
    assert!(matches!(
        block_on(other.attach(identity)),
        Err(AuditError::OtherStore { found, .. }) if found == ours.store()
    ));
    let names = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
    let logs = names.filter(|name| name.extension().is_some_and(|end| end == "jsonl"));
    assert_eq!(logs.count(), 1);
}

#[test]
fn attaching_again_leaves_the_earlier_log_to_be_settled() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let (log, first) = attach(scratch.path(), &identity);
    block_on(log.append(&[read_of("a", "prod/db", 1)], Durability::Held)).unwrap();
    let second = block_on(log.attach(Arc::clone(&identity) as _)).unwrap();
    assert_ne!(first.log, second.log);
    let text = lines_of(&file_of(scratch.path(), first.log));
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    let [dead] = second.dead.as_slice() else { panic!("{:?}", second.dead) };
    assert_eq!((dead.log, dead.size, dead.open.len()), (first.log, lines as u64, 0));
    let last = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap();
    assert!(matches!(read_line(last).unwrap(), Line::Decision(_)), "held lines are there");
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_log_settled() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let source = scratch.path().join("source");
    let log = die(&source, &identity);
    let whole = lines_of(&file_of(&source, log));
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // Every byte of the last two lines, some of those before.
    let near = whole.len() - 620;
    for length in (first..near).step_by(61).chain(near..=whole.len()) {
        let dir = scratch.path().join(length.to_string());
        fs::create_dir(&dir).unwrap();
        fs::write(file_of(&dir, log), &whole[..length]).unwrap();
        let lines = whole[..length].iter().filter(|byte| **byte == b'\n').count();
        let sink = FileLog::open_inline(&dir).unwrap();
        let attached = block_on(sink.attach(Arc::clone(&identity) as _)).unwrap();
        assert_eq!(attached.dead[0].size, lines as u64, "cut at {length}");
        block_on(sink.append(&[closed(&attached.dead[0])], Durability::Flushed)).unwrap();
        close(&sink).unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn bytes_are_laid_out_ahead_until_the_log_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let (log, attached) = attach(scratch.path(), &identity);
    let file = file_of(scratch.path(), attached.log);
    let size = || fs::metadata(&file).unwrap().len();
    let before = size();
    block_on(log.append(&[read_of("a", "prod/db", 1)], Durability::Synced)).unwrap();
    assert_eq!(size(), before, "the record went where bytes were laid out");
    // More than is laid out at once, and some of it when nobody waits for a sync.
    for seq in 0..400 {
        let durability = [Durability::Synced, Durability::Flushed][usize::from(seq % 3 > 0)];
        block_on(log.append(&[read_of("a", "prod/db", seq)], durability)).unwrap();
    }
    block_on(log.append(&[read_of("a", "prod/db", 400)], Durability::Synced)).unwrap();
    assert!(size() > lines_of(&file).len() as u64, "nothing is laid out");
    close(&log).unwrap();
    assert_eq!(fs::read(&file).unwrap(), lines_of(&file));
    assert!(!verify_logs(scratch.path(), None).unwrap().accuses());
}

#[test]
fn a_log_ends_where_a_power_cut_left_zero_bytes() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let source = scratch.path().join("source");
    let log = die(&source, &identity);
    let whole = lines_of(&file_of(&source, log));
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // A piece of what was not synced is missing, and what was written after it is there.
    for start in (first..whole.len() - 40).step_by(97) {
        let dir = scratch.path().join(start.to_string());
        fs::create_dir(&dir).unwrap();
        let mut torn = whole.clone();
        torn[start..start + 40].fill(0);
        fs::write(file_of(&dir, log), &torn).unwrap();
        let lines = whole[..start].iter().filter(|byte| **byte == b'\n').count();
        let report = verify_logs(&dir, None).unwrap();
        assert!(!report.accuses(), "{start}: {report:?}");
        let sink = FileLog::open_inline(&dir).unwrap();
        let attached = block_on(sink.attach(Arc::clone(&identity) as _)).unwrap();
        assert_eq!(attached.dead[0].size, lines as u64, "zero bytes from {start}");
        block_on(sink.append(&[closed(&attached.dead[0])], Durability::Flushed)).unwrap();
        close(&sink).unwrap();
        assert!(!verify_logs(&dir, None).unwrap().accuses(), "{start}");
    }
}

#[test]
fn a_log_is_ended_though_a_power_cut_left_it_longer_than_its_last_line() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let (log, attached) = attach(dir, &identity);
    block_on(log.append(&[read_of("a", "prod/db", 1)], Durability::Flushed)).unwrap();
    close(&log).unwrap();
    let file = file_of(dir, attached.log);
    let whole = fs::read(&file).unwrap();
    // The cut of what was laid out may reach the medium after the last line does.
    for zeros in [1, 4096, 64 * 1024] {
        fs::write(&file, [whole.as_slice(), &vec![0; zeros]].concat()).unwrap();
        assert!(!verify_logs(dir, None).unwrap().accuses(), "{zeros}");
        let (next, attached) = attach(dir, &identity);
        assert!(attached.dead.is_empty(), "{zeros}: {:?}", attached.dead);
        close(&next).unwrap();
    }
    fs::write(&file, [whole.as_slice(), &[0; 9], b"x"].concat()).unwrap();
    assert!(verify_logs(dir, None).unwrap().accuses(), "bytes follow the last line");
}

#[test]
fn zero_bytes_in_a_log_that_was_ended_are_found() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let (log, attached) = attach(scratch.path(), &identity);
    for seq in 0..4 {
        block_on(log.append(&[read_of("a", "prod/db", seq)], Durability::Flushed)).unwrap();
    }
    close(&log).unwrap();
    let file = file_of(scratch.path(), attached.log);
    let mut bytes = fs::read(&file).unwrap();
    let line = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(5).unwrap().0 + 1;
    bytes[line + 20] = 0;
    fs::write(&file, bytes).unwrap();
    let report = verify_logs(scratch.path(), None).unwrap();
    let found = report.findings.iter().find(|finding| finding.verdict == Verdict::LogAltered);
    assert_eq!(found.unwrap().index, Some(6), "{report:?}");
}

/// What is needed to settle it is read strictly. Decisions, which are most of a log, are only
/// hashed: an edit of one is for `verify` to find.
#[test]
fn a_dead_log_whose_writes_were_edited_is_refused_by_line() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let log = die(dir, &identity);
    let file = file_of(dir, log);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"kind\":\"head\""));
    fs::write(&file, text.replacen("\"kind\":\"head\"", "\"kind\":\"Head\"", 1)).unwrap();
    let sink = FileLog::open(dir).unwrap();
    match block_on(sink.attach(Arc::clone(&identity) as _)) {
        Err(AuditError::Malformed { file, line, .. }) => {
            assert_eq!(&*file, format!("{log}.jsonl"));
            assert!(line > 1);
        }
        other => panic!("{other:?}"),
    }
    fs::write(&file, text.replacen("\"allow\"", "\"Allow\"", 1)).unwrap();
    block_on(sink.attach(identity)).unwrap();
    let report = verify_logs(dir, None).unwrap();
    assert!(report.accusations().any(|finding| finding.log == Some(log)), "{report:?}");
}

#[test]
fn drafts_of_a_crash_are_cleared_and_other_files_are_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    fs::write(dir.join("0011223344556677.draft"), "{\"t\"").unwrap();
    fs::write(dir.join("notes.txt"), "mine").unwrap();
    let (_log, _) = attach(dir, &FakeIdentity::new(1));
    assert!(!dir.join("0011223344556677.draft").exists());
    assert!(dir.join("notes.txt").exists());
}

#[test]
fn a_backup_has_what_was_recorded_before_the_cut_and_no_more() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let dir = scratch.path().join("audit");
    let (log, attached) = attach(&dir, &identity);
    block_on(log.append(&[read_of("a", "prod/db", 1)], Durability::Held)).unwrap();
    let cut = log.cut().unwrap();
    block_on(log.append(&[read_of("b", "prod/db", 2)], Durability::Synced)).unwrap();
    let copy = scratch.path().join("copy");
    fs::create_dir(&copy).unwrap();
    block_on(log.backup(&copy, &cut)).unwrap();
    let (all, copied) = (
        fs::read(file_of(&dir, attached.log)).unwrap(),
        fs::read(file_of(&copy, attached.log)).unwrap(),
    );
    assert!(copied.len() < all.len() && all.starts_with(&copied) && copied.ends_with(b"\n"));
    assert!(copied.windows(5).any(|text| text == b"req-1"));
    assert_eq!(
        fs::metadata(file_of(&copy, attached.log)).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // The copy is a log whose writer is gone.
    let (_other, attached) = attach(&copy, &identity);
    assert_eq!(attached.dead.len(), 1);
}

/// Two logs that cite each other's checkpoints as fast as they can, while a copy is made.
#[test]
fn a_backup_has_all_that_its_logs_cite() {
    for _ in 0..60 {
        let (dir, identity) = (tempfile::tempdir().unwrap(), FakeIdentity::new(1));
        let (one, first) = attach(dir.path(), &identity);
        let (two, second) = attach(dir.path(), &identity);
        // Whoever makes the copy writes nothing meanwhile.
        let (third, _) = attach(dir.path(), &identity);
        let (directory, is_over) = (first.directory.unwrap(), AtomicBool::new(false));
        let cite = |by: &FileLog, own: LogId, of: &FileLog, log: LogId| {
            while !is_over.load(Ordering::Relaxed) {
                let head = of.signed(log).unwrap();
                let cited = AuditRecord::Cited(CitedRecord { at: at(NOW), log, directory, head });
                // Refused while lengths are taken.
                let _ = block_on(by.append(&[cited], Durability::Flushed));
                by.checkpoint(own).unwrap();
            }
        };
        let cut = std::thread::scope(|scope| {
            scope.spawn(|| cite(&one, first.log, &two, second.log));
            scope.spawn(|| cite(&two, second.log, &one, first.log));
            std::thread::sleep(std::time::Duration::from_millis(2));
            let cut = third.cut();
            is_over.store(true, Ordering::Relaxed);
            cut.unwrap()
        });
        let copy = tempfile::tempdir().unwrap();
        block_on(third.backup(copy.path(), &cut)).unwrap();
        let report = verify_logs(copy.path(), None).unwrap();
        assert_eq!(report.accusations().collect::<Vec<_>>(), Vec::<&Finding>::new());
    }
}

#[test]
fn no_name_is_in_the_files() {
    let scratch = tempfile::tempdir().unwrap();
    let identity = FakeIdentity::new(1);
    let (log, attached) = attach(scratch.path(), &identity);
    let mut record = read_of("billing-canary", "prod/canary", 1);
    if let AuditRecord::Decision(decision) = &mut record {
        decision.context = decision
            .context
            .clone()
            .with_reason("canary reason")
            .with_source("10.99.98.97".parse().unwrap());
        decision.principal = decision
            .principal
            .clone()
            .map(|p| p.with_claim("tenant", "canary").with_role("canary-role"));
        decision.explanation = explanation("canary-rule");
    }
    block_on(log.append(&[record], Durability::Flushed)).unwrap();
    close(&log).unwrap();
    let text = fs::read_to_string(file_of(scratch.path(), attached.log)).unwrap();
    for name in ["canary", "billing", "prod", "tenant", "10.99"] {
        assert!(!text.contains(name), "{name}");
    }
    assert!(text.contains("req-1"), "the request id is the one clear name");
}

#[test]
fn sixty_four_tasks_on_one_thread_all_get_their_sync() {
    let scratch = tempfile::tempdir().unwrap();
    let (log, _) = attach(scratch.path(), &FakeIdentity::new(1));
    let tasks = (0..64).map(|task| {
        let log = &log;
        async move {
            for seq in 0..10 {
                let record = read_of("a", "prod/db", task * 10 + seq);
                log.append(&[record], Durability::Synced).await.unwrap();
            }
        }
    });
    block_on(futures_util::future::join_all(tasks));
    assert_eq!(all_lines(log.reader().unwrap(), 100).len(), 1 + 4 + 640);
}

#[test]
fn a_sync_that_somebody_still_waits_for_keeps_no_log_from_the_next_attach() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, identity) = (scratch.path(), FakeIdentity::new(1));
    let (log, attached) = attach(dir, &identity);
    let receipts =
        block_on(log.append(&[read_of("a", "prod/db", 1)], Durability::Flushed)).unwrap();
    let mut sync = log.sync(&receipts[0]);
    let mut waiting = std::task::Context::from_waker(std::task::Waker::noop());
    drop(sync.as_mut().poll(&mut waiting));
    let again = block_on(log.attach(Arc::clone(&identity) as _)).unwrap();
    let dead: Vec<_> = again.dead.iter().map(|dead| dead.log).collect();
    assert_eq!(dead, [attached.log]);
    drop(sync);
}

#[test]
fn a_directory_is_made_with_all_that_is_missing_above_it() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("not/there/yet");
    let (log, _) = attach(&dir, &FakeIdentity::new(1));
    close(&log).unwrap();
    for path in dir.ancestors().take(3) {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
