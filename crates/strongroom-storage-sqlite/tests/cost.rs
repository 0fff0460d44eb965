//! What storage costs: transactions, bytes, time to open.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and measure real time"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use futures_executor::block_on;
use strongroom_core::{Batch, Expect, Key, Op, Storage, StorageError, Written};
use strongroom_storage_sqlite::SqliteStorage;
use tempfile::tempdir;

use common::{insert, put, try_insert, value};

mod common;

/// How many transactions a storage has committed: its mark counts them from before and after.
fn commits(storage: &SqliteStorage) -> u64 {
    storage.change_mark().unwrap().0[1] / 2
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

type Writing<'a> = Pin<Box<dyn Future<Output = Result<Written, StorageError>> + Send + 'a>>;

/// Polls all until all are done, on this thread alone.
fn finish(mut waiting: Vec<Writing<'_>>) -> Vec<Written> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut done = Vec::new();
    loop {
        waiting.retain_mut(|future| match future.as_mut().poll(&mut context) {
            Poll::Ready(written) => {
                done.push(written.unwrap());
                false
            }
            Poll::Pending => true,
        });
        if waiting.is_empty() {
            return done;
        }
        thread::park();
    }
}

#[test]
fn writers_on_one_thread_share_transactions() {
    let dir = tempdir().unwrap();
    let storage = SqliteStorage::open(dir.path().join("secrets.db")).unwrap();
    insert(&storage, "first", b"v");
    let before = commits(&storage);
    let waiting = (0..64).map(|n| storage.write(put(&format!("k{n}"), Expect::Absent, b"v")));
    assert_eq!(finish(waiting.collect()).len(), 64);
    let transactions = commits(&storage) - before;
    assert!(transactions <= 8, "{transactions} transactions for 64 writers");
}

#[test]
fn a_loser_in_a_shared_transaction_takes_nobody_along() {
    let dir = tempdir().unwrap();
    let storage = SqliteStorage::open(dir.path().join("secrets.db")).unwrap();
    insert(&storage, "taken", b"v");
    let names = (0..64).map(|n| if n % 2 == 0 { format!("k{n}") } else { "taken".into() });
    let waiting: Vec<Writing<'_>> =
        names.map(|name| storage.write(put(&name, Expect::Absent, b"w"))).collect();
    let lost = finish(waiting).iter().filter(|w| matches!(w, Written::Conflict { .. })).count();
    assert_eq!(lost, 32);
    assert!((0..64).step_by(2).all(|n| value(&storage, &format!("k{n}")).is_some()));
}

/// The first write of all shares too, and makes the database.
#[test]
fn the_first_writers_share_the_making_of_the_database() {
    let dir = tempdir().unwrap();
    let storage = SqliteStorage::open(dir.path().join("secrets.db")).unwrap();
    let waiting =
        (0..32).map(|n| storage.write(put(&format!("k{}", n % 16), Expect::Absent, b"v")));
    let written = finish(waiting.collect());
    let won = written.iter().filter(|w| matches!(w, Written::Committed { .. })).count();
    assert_eq!(won, 16);
}

/// Random keys, as name tokens are.
fn token(n: u64) -> [u8; 41] {
    let mut state = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
}

fn fill(storage: &SqliteStorage, secrets: u64) {
    let numbers: Vec<u64> = (0..secrets).collect();
    for chunk in numbers.chunks(1_000) {
        let put = |n: &u64| Op::Put {
            key: Key::new(token(*n)),
            expect: Expect::Absent,
            value: token(*n).repeat(16).into_iter().take(640).collect(),
        };
        let batch = Batch::new(chunk.iter().map(put).collect()).unwrap();
        assert!(matches!(block_on(storage.write(batch)).unwrap(), Written::Committed { .. }));
    }
}

/// FC-084: opening reads a few pages, however many secrets there are.
#[test]
fn fc_084_a_row_takes_little_and_opening_does_not_read_the_rows() {
    const SECRETS: u64 = 20_000;
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    fill(&SqliteStorage::open(&path).unwrap(), SECRETS);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size / SECRETS <= 950, "{} bytes a secret", size / SECRETS);
    let begun = Instant::now();
    let storage = SqliteStorage::open(&path).unwrap();
    assert!(value(&storage, "absent").is_none());
    // A thousandth of this is usual.
    assert!(begun.elapsed().as_millis() < 500, "{:?} to the first read", begun.elapsed());
}

#[test]
fn a_batch_has_a_limit_and_it_is_told() {
    let dir = tempdir().unwrap();
    let storage = SqliteStorage::open_inline(dir.path().join("secrets.db")).unwrap();
    let most = u64::try_from(storage.profile().atomic_ops.get()).unwrap();
    let put = |n| Op::Put { key: Key::new(token(n)), expect: Expect::Absent, value: vec![] };
    let batch = Batch::new((0..=most).map(put).collect()).unwrap();
    assert!(block_on(storage.write(batch)).is_err());
    assert!(try_insert(&storage, "k", b"v").is_ok());
}
