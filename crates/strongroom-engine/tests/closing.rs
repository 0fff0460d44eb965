//! Closing a store while others still use it.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use futures_executor::block_on;
use strongroom_audit::{Line, read_line};
use strongroom_core::{Opaque, Principal};
use strongroom_engine::{Error, Strongroom};
use strongroom_policy::Policy;
use strongroom_testkit::{
    Delaying, ManualClock, MemorySeal, MemorySink, MemoryStorage, SeededEntropy,
};

/// A log that is ended has no intent without an outcome: the next opener looks into no log that is
/// whole. Found by a simulated run.
#[test]
fn no_write_begins_once_all_is_settled_and_the_log_is_about_to_end() {
    let alice = Principal::user("alice");
    let log = MemorySink::new();
    let sink = Delaying::new(log.clone());
    sink.set_delaying(false);
    let builder = Strongroom::builder()
        .storage(MemoryStorage::new())
        .seal(MemorySeal::new())
        .policy(Policy::owned_by(&alice))
        .audit(sink.clone())
        .clock(ManualClock::new())
        .entropy(SeededEntropy::new(1));
    let room = block_on(builder.create()).unwrap();
    let session = room.session(alice);
    block_on(session.put("prod/db", Opaque::new(b"one"))).unwrap();

    sink.set_delaying(true);
    let mut close = pin!(room.close());
    assert!(close.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    sink.set_delaying(false);
    let late = block_on(session.put("prod/db", Opaque::new(b"two")));
    assert!(matches!(late, Err(Error::Sealed)), "{late:?}");
    block_on(close).unwrap();

    let (mut intents, mut told) = (HashSet::new(), HashSet::new());
    for (at, line) in (0u64..).zip(log.lines()) {
        match read_line(&line).unwrap() {
            Line::Intent(_) => drop(intents.insert(at)),
            Line::Outcome(line) => drop(told.insert(line.intent)),
            _ => {}
        }
    }
    assert_eq!(intents, told);
}
