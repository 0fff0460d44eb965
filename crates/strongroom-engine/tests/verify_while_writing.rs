//! `verify` while others write: it accuses nobody.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_executor::block_on;
use strongroom_core::{Opaque, Principal};
use strongroom_engine::{Error, Session, Strongroom};
use strongroom_testkit::{SeededEntropy, TestRoom};

const WRITERS: usize = 4;
const ROUNDS: usize = 12;

/// Another writer may have been faster, or have deleted what this one wanted.
fn lost_a_race(error: &Error) -> bool {
    matches!(error, Error::Conflict(_) | Error::NotFound(_) | Error::Invalid(_))
}

fn done<T>(answer: Result<T, Error>) {
    if let Err(error) = answer {
        assert!(lost_a_race(&error), "{error:?}");
    }
}

/// Puts, deletes, purges, rotates keys, rewraps and sweeps, on paths that all writers share.
async fn write(session: &Session, who: usize) {
    for round in 0..ROUNDS {
        let n = (round * 7 + who * 3) % 10;
        let path = format!("prod/s{n}");
        // Some in the head, some in a blob of their own.
        let length = if n.is_multiple_of(3) { 3_000 } else { 100 };
        done(session.put(&*path, Opaque::new(vec![who.to_be_bytes()[7]; length])).await);
        match (round + who) % 10 {
            2 => done(session.delete(&*path).await),
            4 => done(session.purge(&*path).await),
            5 => done(session.destroy(&*path).await),
            6 => done(session.rotate_keys("prod").await),
            7 => done(session.rewrap("prod").await),
            8 => done(session.sweep("prod").await),
            9 if who == 0 => {
                done(session.destroy_namespace("short").await);
                done(session.put("short/lived", Opaque::new(b"x")).await);
            }
            _ => {}
        }
    }
}

fn accusations(session: &Session) -> Vec<String> {
    let report = block_on(session.verify()).unwrap();
    report.accusations().map(ToString::to_string).collect()
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Verifies over and over from when all writers begin until they are done, and once more.
fn verify_meanwhile(writers: Vec<Session>, verifier: &Session) {
    let (running, begin) = (AtomicUsize::new(writers.len()), Barrier::new(writers.len() + 1));
    std::thread::scope(|scope| {
        for (who, session) in writers.into_iter().enumerate() {
            let (running, begin) = (&running, &begin);
            scope.spawn(move || {
                // Also where it panics: the verifier would wait for it for ever.
                let _done = OnDrop(|| {
                    running.fetch_sub(1, Ordering::SeqCst);
                });
                begin.wait();
                block_on(write(&session, who));
            });
        }
        begin.wait();
        while running.load(Ordering::SeqCst) > 0 {
            assert_eq!(accusations(verifier), [""; 0]);
        }
    });
    assert_eq!(accusations(verifier), [""; 0]);
}

fn session(room: &Strongroom) -> Session {
    room.session(Principal::user("alice"))
}

#[test]
fn writers_of_the_same_process_are_not_accused() {
    for _ in 0..10 {
        let kit = TestRoom::allowing_all();
        block_on(session(&kit.room()).put("prod/s0", Opaque::new(b"x"))).unwrap();
        let writers = (0..WRITERS).map(|_| session(&kit.room())).collect();
        verify_meanwhile(writers, &session(&kit.room()));
    }
}

/// Each has a log and a cache of its own.
#[test]
fn writers_of_other_processes_are_not_accused() {
    for _ in 0..10 {
        let kit = TestRoom::allowing_all();
        block_on(session(&kit.room()).put("prod/s0", Opaque::new(b"x"))).unwrap();
        let open = |seed| {
            let builder = Strongroom::builder()
                .storage(kit.storage.clone())
                .seal(kit.seal.clone())
                .policy(strongroom_policy::Policy::owned_by(&Principal::user("alice")))
                .audit(kit.log.beside())
                .clock(kit.clock.clone())
                .entropy(SeededEntropy::new(seed));
            block_on(builder.open()).unwrap()
        };
        let rooms: Vec<Strongroom> = (10..14).map(open).collect();
        let writers = rooms.iter().map(session).collect();
        verify_meanwhile(writers, &session(&kit.room()));
    }
}

/// A head that does not open is looked at again, and is accused if it is the same.
#[test]
fn a_damaged_head_is_accused_all_the_same() {
    let kit = TestRoom::allowing_all();
    block_on(session(&kit.room()).put("prod/db", Opaque::new(b"x"))).unwrap();
    for key in kit.storage.snapshot().keys().filter(|key| key.as_bytes().starts_with(&[3])) {
        kit.storage.tamper(key, |record| *record.last_mut().unwrap() ^= 1);
    }
    let found = accusations(&session(&kit.room()));
    assert!(found.iter().any(|what| what.contains("does not open")), "{found:?}");
}
