//! Several processes on one file, and processes that are killed.
//!
//! Each test runs this same program again as a child: the test of the child's name does nothing
//! unless its variable tells it where to work.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and measure real time"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use strongroom_core::{Expect, Scan, Storage, Written};
use strongroom_storage_sqlite::SqliteStorage;
use tempfile::tempdir;

use common::{insert, key, put, value};

mod common;

const PLACE: &str = "STRONGROOM_TEST_PLACE";
const INCREMENTS: u64 = 250;

fn child(test: &str, place: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

/// Adds one by compare and swap; answers the longest wait for one answer of the storage.
fn increment(storage: &dyn Storage) -> Duration {
    let mut longest = Duration::ZERO;
    loop {
        let begun = Instant::now();
        let entry = block_on(storage.read(&[key("count")])).unwrap().pop().unwrap().unwrap();
        let count = u64::from_be_bytes(entry.value.try_into().unwrap()) + 1;
        let batch = put("count", Expect::Revision(entry.revision), &count.to_be_bytes());
        let written = block_on(storage.write(batch)).unwrap();
        longest = longest.max(begun.elapsed());
        if matches!(written, Written::Committed { .. }) {
            return longest;
        }
    }
}

#[test]
fn child_increments() {
    let Some(place) = place() else { return };
    let storage = SqliteStorage::open(place).unwrap();
    let longest = (0..INCREMENTS).map(|_| increment(&storage)).max().unwrap();
    println!("longest {}", longest.as_millis());
}

/// How long the disk itself takes meanwhile, with others at work on the machine.
struct SlowDisk {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Duration>,
}

impl SlowDisk {
    fn watch(dir: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut file = std::fs::File::create(dir.join("watch")).unwrap();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                file.write_all(&[0; 4096]).unwrap();
                file.sync_all().unwrap();
                longest = longest.max(begun.elapsed());
                std::thread::sleep(Duration::from_millis(20));
            }
            longest
        });
        Self { stop, thread }
    }

    fn longest_sync(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn four_processes_count_exactly_and_none_starves() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    insert(&storage, "count", &0_u64.to_be_bytes());
    let disk = SlowDisk::watch(dir.path());
    let children: Vec<_> = (0..4).map(|_| child("child_increments", &path)).collect();
    let mut longest_of_all = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let longest = text.lines().find_map(|line| line.split_once("longest ")).unwrap().1;
        let longest: u64 = longest.trim().parse().unwrap();
        longest_of_all = longest_of_all.max(longest);
    }
    // Three others may be ahead, and each may meet the disk's slowest moment.
    let stall = disk.longest_sync();
    let limit = 1_000 + 4 * u64::try_from(stall.as_millis()).unwrap();
    assert!(
        longest_of_all < limit,
        "one answer took {longest_of_all} ms, a sync at most {stall:?}"
    );
    assert_eq!(value(&storage, "count"), Some((4 * INCREMENTS).to_be_bytes().to_vec()));
}

#[test]
fn child_counts_until_killed() {
    let Some(place) = place() else { return };
    let storage = SqliteStorage::open(place).unwrap();
    loop {
        increment(&storage);
        // No less than what this process has just added to: it was acknowledged.
        let count = value(&storage, "count").unwrap();
        println!("done {}", u64::from_be_bytes(count.try_into().unwrap()));
    }
}

/// What a mark is for: who keeps a value as long as the mark is the same has what was acknowledged,
/// whoever wrote it, and however its writer ended.
#[test]
fn a_value_that_is_kept_by_its_mark_is_never_older_than_what_was_acknowledged() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    insert(&storage, "count", &0_u64.to_be_bytes());
    let kept_by_mark = |wanted: usize| {
        let mut child = child("child_counts_until_killed", &path);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut kept = None;
        let acknowledged = lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("done ").map(|(_, count)| count.parse::<u64>().unwrap())
        });
        for acknowledged in acknowledged.take(wanted) {
            // Twice, since a second answer may come from a cheaper place than the first.
            for _ in 0..2 {
                let mark = storage.change_mark().unwrap();
                let count = match kept {
                    Some((then, count)) if then == mark => count,
                    _ => {
                        let count = value(&storage, "count").unwrap();
                        u64::from_be_bytes(count.try_into().unwrap())
                    }
                };
                kept = Some((mark, count));
                assert!(count >= acknowledged, "{count} is older than {acknowledged}");
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
    };
    std::thread::scope(|scope| {
        for wanted in [151, 83] {
            scope.spawn({
                let kept_by_mark = &kept_by_mark;
                move || (0..4).for_each(|round| kept_by_mark(wanted + 17 * round))
            });
        }
    });
}

#[test]
fn child_writes_until_killed() {
    let Some(place) = place() else { return };
    let storage = SqliteStorage::open(place).unwrap();
    let generation = std::process::id();
    for n in 0_u32.. {
        let name = format!("{generation}-{n}");
        insert(&storage, &name, &vec![u8::try_from(n % 251).unwrap(); 3_000]);
        println!("done {n} {name}");
        std::io::stdout().flush().unwrap();
    }
}

/// FC-084 for the open after a kill: what was acknowledged is there, whole, and found at once.
#[test]
fn fc_084_what_was_acknowledged_outlives_kills() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("room/secrets.db");
    let mut acknowledged: Vec<(u32, String)> = Vec::new();
    for round in 0..10_u64 {
        let mut child = child("child_writes_until_killed", &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = usize::try_from(round * 13 % 60).unwrap() + 1;
        let mut note = |line: String| {
            let Some((_, line)) = line.split_once("done ") else { return false };
            let Some((n, name)) = line.split_once(' ') else { return false };
            acknowledged.push((n.parse().unwrap(), name.to_owned()));
            true
        };
        let mut seen = 0;
        while seen < wanted {
            seen += usize::from(note(lines.next().unwrap().unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Only whole lines count: the last one may be cut.
        for line in lines.map_while(Result::ok) {
            note(line);
        }
    }
    assert!(acknowledged.len() > 100);
    let begun = Instant::now();
    let storage = SqliteStorage::open(&path).unwrap();
    for (n, name) in &acknowledged {
        let found = value(&storage, name).unwrap();
        assert_eq!(found, vec![u8::try_from(n % 251).unwrap(); 3_000], "{name}");
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
    insert(&storage, "goes on", b"v");
}

#[test]
fn child_reads_a_value() {
    let Some(place) = place() else { return };
    let storage = SqliteStorage::open(place).unwrap();
    println!("reading");
    for reads in 0_u32.. {
        let found = value(&storage, "k").unwrap();
        assert_eq!(found.len(), 64 * 1024);
        assert!(found.iter().all(|byte| Some(byte) == found.first()), "a torn value");
        if found.first() == Some(&0xff) {
            println!("reads {reads}");
            return;
        }
    }
}

/// FC-039: eight processes read a value of 64 KiB that is replaced all the time.
#[test]
fn fc_039_no_process_reads_half_a_value() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let mut revision = insert(&storage, "k", &vec![0; 64 * 1024]);
    let children: Vec<_> = (0..8).map(|_| child("child_reads_a_value", &path)).collect();
    let mut replace = |byte: u8| {
        let batch = put("k", Expect::Revision(revision.clone()), &vec![byte; 64 * 1024]);
        let Written::Committed { revisions } = block_on(storage.write(batch)).unwrap() else {
            panic!("nobody else writes")
        };
        revision = revisions.into_iter().next().unwrap();
    };
    for n in 0..500_u32 {
        replace(u8::try_from(n % 250).unwrap());
    }
    replace(0xff);
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
}

#[test]
fn child_lists() {
    let Some(place) = place() else { return };
    let storage = SqliteStorage::open(place).unwrap();
    while value(&storage, "stop").is_none() {
        let mut scan =
            Scan { prefix: vec![], after: None, limit: 50.try_into().unwrap(), with_values: true };
        loop {
            let page = block_on(storage.list(&scan)).unwrap();
            scan.after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more {
                break;
            }
        }
    }
}

/// FC-115: the write-ahead file stays small beside readers that list in a loop.
#[test]
fn fc_115_the_write_ahead_file_stays_small_beside_readers() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    for n in 0..200 {
        insert(&storage, &format!("k{n}"), &vec![7; 4_000]);
    }
    let children: Vec<_> = (0..4).map(|_| child("child_lists", &path)).collect();
    let mut largest = 0;
    for n in 0..3_000 {
        insert(&storage, &format!("w{n}"), &vec![9; 16_000]);
        largest = largest.max(storage.wal_bytes());
    }
    insert(&storage, "stop", b"");
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert!(largest > 0);
    // Readers that a busy machine stops in the middle of a page hold a part of it back.
    assert!(largest < 32 * 1024 * 1024, "{largest} bytes beside 48 MB written");
}

/// Holds one read transaction from its first line of output until its input ends.
#[test]
fn child_stalls() {
    let Some(place) = place() else { return };
    let connection = rusqlite::Connection::open(place).unwrap();
    let begin = "BEGIN; SELECT count(*) FROM records";
    connection.execute_batch(begin).unwrap();
    println!("\nstalled");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// FC-115: while a reader stalls, the write-ahead file grows and its size is told; once the reader
/// has gone, it is cut again without a restart.
#[test]
fn fc_115_a_stalled_reader_is_seen_in_the_size_and_does_no_lasting_harm() {
    const MIB: u64 = 1024 * 1024;
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    insert(&storage, "k", b"v");
    let mut stalled = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_stalls", "--nocapture"])
        .env(PLACE, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept to the end: the child still prints its result.
    let mut lines = BufReader::new(stalled.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "stalled"));
    let mut written = 0;
    while storage.wal_bytes() < 24 * MIB {
        insert(&storage, &format!("w{written}"), &vec![9; 32_000]);
        written += 1;
        assert!(written < 2_000, "the size is not told: {} bytes", storage.wal_bytes());
    }
    drop(stalled.stdin.take());
    assert_eq!(lines.filter(|line| line == "stalled").count(), 0);
    assert!(stalled.wait().unwrap().success());
    let mut after = 0;
    while storage.wal_bytes() > 8 * MIB {
        insert(&storage, &format!("a{after}"), &vec![9; 32_000]);
        after += 1;
        assert!(after < 1_000, "{} bytes after the reader has gone", storage.wal_bytes());
    }
    assert_eq!(value(&storage, "k"), Some(b"v".to_vec()));
}

/// Prints how many bytes it read until the first answer.
#[test]
fn child_opens() {
    let Some(place) = place() else { return };
    let storage = SqliteStorage::open(place).unwrap();
    assert!(value(&storage, "0-0").is_some());
    println!("\nread {}", bytes_read());
}

/// What this process has read, from the files and from their cache.
fn bytes_read() -> u64 {
    let counts = std::fs::read_to_string("/proc/self/io").unwrap();
    let read = counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    read.parse().unwrap()
}

/// FC-084: opening after a kill reads what the write-ahead file holds and a few pages, not the
/// 100,000 secrets.
#[cfg(target_os = "linux")]
#[test]
fn fc_084_after_a_kill_an_open_reads_no_more_than_the_last_writes() {
    use strongroom_core::{Batch, Op};

    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    let opened = || {
        let output = child("child_opens", &path).wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| line.strip_prefix("read ")).unwrap().parse::<u64>().unwrap()
    };
    let storage = SqliteStorage::open(&path).unwrap();
    for chunk in 0..100 {
        let put = |n| Op::Put {
            key: key(&format!("{chunk}-{n}")),
            expect: Expect::Absent,
            value: vec![7; 600],
        };
        let batch = Batch::new((0..1_000).map(put).collect()).unwrap();
        assert!(matches!(block_on(storage.write(batch)).unwrap(), Written::Committed { .. }));
    }
    drop(storage);
    let clean = opened();
    let mut killed = child("child_writes_until_killed", &path);
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    let seen = lines.map_while(Result::ok).filter(|line| line.contains("done ")).take(300).count();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(seen, 300);
    let left = std::fs::metadata(path.with_extension("db-wal")).unwrap().len();
    assert!(left > 0);
    let after = opened();
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size > 60_000_000, "{size}");
    // Recovery reads the write-ahead file. The bound is that file's, not the database's.
    let bound = clean + 3 * left + 1_000_000;
    assert!(after < bound, "{after} bytes read, {clean} cleanly, {left} in the write-ahead file");
    println!("read {after} of {size} bytes after a kill, {clean} cleanly, {left} to recover");
}
