//! What a simulated storage says is true of the store behind it, whatever the seed.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_executor::block_on;
use strongroom_core::{Batch, Expect, Key, Op, Storage, StorageError, Written};
use strongroom_testkit::MemoryStorage;
use strongroom_testkit::sim::{SimFaults, SimStorage};

fn put() -> Batch {
    let op = Op::Put { key: Key::new(*b"k"), expect: Expect::Absent, value: b"v".to_vec() };
    Batch::new(vec![op]).unwrap()
}

/// So many faults that each comes up in some hundred seeds.
fn bad_day() -> SimFaults {
    let mut faults = SimFaults::usual();
    (faults.not_done, faults.lost_requests) = (200, 200);
    (faults.lost_replies, faults.retries) = (200, 200);
    faults
}

/// Whether the record is there: at once, and when all that was lost has landed.
fn is_there(memory: &MemoryStorage, storage: &SimStorage<MemoryStorage>) -> (bool, bool) {
    let at_once = !memory.is_empty();
    block_on(storage.land_all());
    (at_once, !memory.is_empty())
}

#[test]
fn an_answer_is_true_at_once_and_when_all_has_landed() {
    let mut not_known = BTreeSet::new();
    for seed in 0..500 {
        let memory = MemoryStorage::new();
        let storage = SimStorage::new(memory.clone(), seed, bad_day());
        let answer = block_on(storage.write(put()));
        let there = is_there(&memory, &storage);
        match answer {
            Ok(Written::Committed { .. }) => assert_eq!(there, (true, true), "seed {seed}"),
            Err(StorageError::NotDone { .. }) => assert_eq!(there, (false, false), "seed {seed}"),
            Err(StorageError::Indeterminate { .. }) => drop(not_known.insert(there)),
            Ok(Written::Conflict { .. }) => unreachable!("seed {seed}: with itself"),
        }
        // Sent again, it is done once.
        let again = block_on(SimStorage::new(memory.clone(), 1, SimFaults::default()).write(put()));
        assert_eq!(matches!(again, Ok(Written::Committed { .. })), !there.1, "seed {seed}");
        assert_eq!(memory.len(), 1);
    }
    assert_eq!(not_known, BTreeSet::from([(false, false), (false, true), (true, true)]));
}

#[test]
fn a_write_that_is_dropped_lands_at_once_or_later_or_never() {
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let memory = MemoryStorage::new();
        let storage = SimStorage::new(memory.clone(), seed, SimFaults::delays());
        let mut write = Box::pin(storage.write(put()));
        let polled = pin!(write.as_mut()).poll(&mut Context::from_waker(Waker::noop()));
        drop(write);
        let there = is_there(&memory, &storage);
        match polled {
            Poll::Ready(_) => assert_eq!(there, (true, true), "seed {seed}"),
            Poll::Pending => drop(seen.insert(there)),
        }
    }
    assert_eq!(seen, BTreeSet::from([(false, false), (false, true), (true, true)]));
}

#[test]
fn what_one_engine_lost_lands_while_another_calls() {
    let mut faults = SimFaults::default();
    faults.lost_requests = 1000;
    let landed = (0..100).filter(|seed| {
        let memory = MemoryStorage::new();
        let storage = SimStorage::new(memory.clone(), *seed, faults);
        assert!(block_on(storage.write(put())).is_err() && memory.is_empty());
        let mut landing = SimFaults::default();
        landing.landings = 1000;
        let other = storage.beside(memory.clone(), seed + 1, landing);
        block_on(other.read(&[])).unwrap();
        !memory.is_empty()
    });
    assert!((20..80).contains(&landed.count()));
}
