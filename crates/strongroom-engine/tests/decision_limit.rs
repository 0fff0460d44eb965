//! A policy engine that takes its time: FC-096.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_executor::block_on;
use strongroom_core::{
    AccessRequest, Clock as _, Decision, Effect, Opaque, PolicyEngine, Principal, Subject,
    async_trait,
};
use strongroom_engine::{DEFAULT_DECISION_LIMIT, Error, Session, Strongroom, Unavailable};
use strongroom_testkit::{ManualClock, MemorySeal, MemorySink, MemoryStorage, SeededEntropy};

/// Allows everything, after so many milliseconds in which its thread is busy or its future waits.
#[derive(Debug, Clone)]
struct Slow {
    clock: ManualClock,
    busy: Arc<AtomicU64>,
    waits: Arc<AtomicU64>,
}

#[async_trait]
impl PolicyEngine for Slow {
    fn revision(&self) -> u64 {
        0
    }
    fn needs_secret(&self, _: &AccessRequest) -> bool {
        false
    }
    fn subject(&self, _: &Principal) -> Subject {
        Subject::unresolved(0)
    }
    async fn decide(&self, _: &Subject, _: &AccessRequest) -> Decision {
        self.clock.advance(Duration::from_millis(self.busy.load(Ordering::SeqCst)));
        let until = self
            .clock
            .elapsed()
            .saturating_add(Duration::from_millis(self.waits.load(Ordering::SeqCst)));
        poll_fn(|_| if self.clock.elapsed() < until { Poll::Pending } else { Poll::Ready(()) })
            .await;
        Decision::allow().by_rule("slow")
    }
}

struct Kit {
    engine: Slow,
    log: MemorySink,
    room: Strongroom,
}

impl Kit {
    fn new(limit: Option<Duration>) -> Self {
        let (clock, log) = (ManualClock::new(), MemorySink::new());
        let engine = Slow { clock: clock.clone(), busy: Arc::default(), waits: Arc::default() };
        let mut builder = Strongroom::builder()
            .storage(MemoryStorage::new())
            .seal(MemorySeal::new())
            .policy(engine.clone())
            .audit(log.clone())
            .clock(clock)
            .entropy(SeededEntropy::new(1));
        if let Some(limit) = limit {
            builder = builder.decision_limit(limit);
        }
        let room = block_on(builder.create()).unwrap();
        block_on(room.session(Principal::user("alice")).put("prod/db", Opaque::new(b"x"))).unwrap();
        Self { engine, log, room }
    }

    fn alice(&self) -> Session {
        self.room.session(Principal::user("alice"))
    }

    fn is_refused_and_recorded(&self, answer: Result<Opaque, Error>) {
        match answer {
            Err(Error::Unavailable(Unavailable::Policy { receipt, explanation })) => {
                let records = self.log.decisions();
                let record = records.last().unwrap();
                assert_eq!((record.receipt, record.effect), (receipt, Effect::Unavailable));
                assert_eq!(record.explanation, Some(explanation.to_string()));
                assert!(explanation.to_string().starts_with("policy failure"), "{explanation}");
                assert_eq!(record.rule, None, "the rule of a late decision is not in force");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn fc_096_a_decision_that_comes_too_late_is_refused_and_recorded() {
    let kit = Kit::new(None);
    kit.engine.busy.store(10_000, Ordering::SeqCst);
    kit.is_refused_and_recorded(block_on(kit.alice().get("prod/db")));
    let in_time = u64::try_from(DEFAULT_DECISION_LIMIT.as_millis()).unwrap();
    kit.engine.busy.store(in_time, Ordering::SeqCst);
    block_on(kit.alice().get::<Opaque>("prod/db")).unwrap();
    kit.engine.busy.store(in_time + 1, Ordering::SeqCst);
    kit.is_refused_and_recorded(block_on(kit.alice().get("prod/db")));
}

#[test]
fn fc_096_an_engine_that_hangs_is_given_up_when_its_task_runs_again() {
    let kit = Kit::new(None);
    kit.engine.waits.store(u64::MAX, Ordering::SeqCst);
    let (alice, mut context) = (kit.alice(), Context::from_waker(Waker::noop()));
    let mut get = pin!(alice.get::<Opaque>("prod/db"));
    assert!(get.as_mut().poll(&mut context).is_pending());
    kit.engine.clock.advance(Duration::from_secs(4));
    assert!(get.as_mut().poll(&mut context).is_pending(), "there is a second left");
    kit.engine.clock.advance(Duration::from_secs(2));
    match get.as_mut().poll(&mut context) {
        Poll::Ready(answer) => kit.is_refused_and_recorded(answer),
        Poll::Pending => panic!("it still waits"),
    }
}

#[test]
fn fc_096_the_limit_is_the_hosts() {
    let kit = Kit::new(Some(Duration::from_secs(60)));
    kit.engine.busy.store(10_000, Ordering::SeqCst);
    block_on(kit.alice().get::<Opaque>("prod/db")).unwrap();
    kit.engine.busy.store(61_000, Ordering::SeqCst);
    kit.is_refused_and_recorded(block_on(kit.alice().get("prod/db")));
}

/// What a decision costs is no part of the life of its permit, which begins with its end.
#[test]
fn a_permit_lives_from_the_end_of_the_decision_on() {
    let kit = Kit::new(Some(Duration::from_secs(600)));
    kit.engine.busy.store(300_000, Ordering::SeqCst);
    block_on(kit.alice().get::<Opaque>("prod/db")).unwrap();
}
