//! Equal refusals share a record, and none is lost.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::future::Future as _;
use std::time::Duration;

use futures_executor::block_on;
use strongroom_core::{
    AccessRequest, Decision, Effect, Opaque, PolicyEngine, Principal, Receipt, RequestContext,
    SecretPath, Subject, async_trait,
};
use strongroom_engine::{Budget, Builder, Error, Session, Strongroom, Unavailable};
use strongroom_testkit::{
    Delaying, ManualClock, MemorySeal, MemorySink, MemoryStorage, RecordedDecision, SeededEntropy,
};

/// Allows Alice everything and nobody else anything.
#[derive(Debug)]
struct AliceAlone;

#[async_trait]
impl PolicyEngine for AliceAlone {
    fn revision(&self) -> u64 {
        0
    }
    fn needs_secret(&self, _: &AccessRequest) -> bool {
        false
    }
    fn subject(&self, _: &Principal) -> Subject {
        Subject::unresolved(0)
    }
    async fn decide(&self, _: &Subject, request: &AccessRequest) -> Decision {
        if request.principal.id() == "user:alice" {
            Decision::allow()
        } else {
            Decision::deny().by_rule("alice-alone")
        }
    }
}

struct Kit {
    clock: ManualClock,
    log: MemorySink,
    sink: Delaying<MemorySink>,
    room: Strongroom,
}

impl Kit {
    fn new(with: impl FnOnce(Builder) -> Builder) -> Self {
        let (clock, log) = (ManualClock::new(), MemorySink::new());
        let sink = Delaying::new(log.clone());
        sink.set_delaying(false);
        let builder = Strongroom::builder()
            .storage(MemoryStorage::new())
            .seal(MemorySeal::new())
            .policy(AliceAlone)
            .audit(sink.clone())
            .clock(clock.clone())
            .entropy(SeededEntropy::new(1));
        let room = block_on(with(builder).create()).unwrap();
        block_on(room.session(Principal::user("alice")).put("prod/db", Opaque::new(b"x"))).unwrap();
        Self { clock, log, sink, room }
    }

    fn session(&self, name: &str) -> Session {
        self.room.session(Principal::user(name))
    }

    /// What is on record of Mallory, who alone is denied anything.
    fn recorded(&self) -> Vec<RecordedDecision> {
        let mut decisions = self.log.decisions();
        decisions.retain(|decision| decision.effect == Effect::Deny);
        decisions
    }

    fn counts(&self) -> Vec<u64> {
        self.recorded().iter().map(|decision| decision.count).collect()
    }

    fn alice_reads(&self) {
        block_on(self.session("alice").get::<Opaque>("prod/db")).unwrap();
    }
}

fn refused(session: &Session, path: &str) -> Receipt {
    match block_on(session.get::<Opaque>(path)) {
        Err(Error::Denied(denied)) => *denied.receipt(),
        other => panic!("{other:?}"),
    }
}

const WINDOW: Duration = Duration::from_secs(10);

#[test]
fn equal_refusals_share_a_record_with_their_count() {
    let kit = Kit::new(|builder| builder);
    let mallory = kit.session("mallory");
    let first = refused(&mallory, "prod/db");
    assert_eq!(kit.counts(), [1], "the first is on record at once");
    for n in 1..100 {
        let context = RequestContext::new().with_request_id(format!("request {n}"));
        let again = mallory.clone().with_context(context);
        assert_eq!(refused(&again, "prod/db"), first, "the record of those that are counted");
    }
    kit.clock.advance(WINDOW - Duration::from_millis(1));
    kit.alice_reads();
    assert_eq!(kit.counts(), [1], "the window has not ended");
    kit.clock.advance(Duration::from_millis(1));
    kit.alice_reads();
    assert_eq!(kit.counts(), [1, 99]);
    let counted = kit.recorded().pop().unwrap();
    assert_eq!(counted.principal.as_deref(), Some("user:mallory"));
    assert_eq!(counted.target, "prod/db");
    assert_eq!(counted.rule.as_deref(), Some("alice-alone"));
    assert_eq!(counted.request_id.as_deref(), Some("request 99"), "that of the last");
    let last = kit.log.decisions().pop().unwrap();
    assert_eq!(last.principal.as_deref(), Some("user:alice"), "what was before is told before");
    // It begins anew.
    assert!(refused(&mallory, "prod/db") > first);
    assert_eq!(kit.counts(), [1, 99, 1]);
}

/// What a caller says of a request can be too long for a record: only what was taken is told again.
#[test]
fn a_request_that_no_log_takes_keeps_no_count_back() {
    let kit = Kit::new(|builder| builder);
    let (mallory, bob) = (kit.session("mallory"), kit.session("bob"));
    refused(&mallory, "prod/db");
    let long = RequestContext::new().with_request_id("x".repeat(2_000));
    refused(&mallory.clone().with_context(long), "prod/db");
    refused(&bob, "prod/db");
    refused(&bob, "prod/db");
    kit.clock.advance(WINDOW);
    kit.alice_reads();
    assert_eq!(kit.counts(), [1, 1, 1, 1]);
}

/// One count that is not taken keeps none beside it from being written.
#[test]
fn counts_that_fail_together_are_written_one_by_one() {
    let kit = Kit::new(|builder| builder);
    for who in ["mallory", "bob", "carol"] {
        refused(&kit.session(who), "prod/db");
        refused(&kit.session(who), "prod/db");
    }
    kit.clock.advance(WINDOW);
    kit.log.fail_next(2); // all at once, and the first of them
    kit.alice_reads();
    assert_eq!(kit.counts(), [1; 5]);
    kit.clock.advance(WINDOW);
    kit.alice_reads();
    assert_eq!(kit.counts(), [1; 6]);
}

#[test]
fn the_same_path_many_times_in_a_call_is_one_record() {
    let kit = Kit::new(|builder| builder);
    let paths: Vec<SecretPath> =
        (0..300).map(|n| format!("prod/db-{}", n % 3).parse().unwrap()).collect();
    let answers = block_on(kit.session("mallory").get_many::<Opaque>(&paths)).unwrap();
    let receipts: Vec<Receipt> = answers
        .into_iter()
        .map(|answer| match answer {
            Err(Error::Denied(denied)) => *denied.receipt(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kit.counts(), [100, 100, 100]);
    assert!(receipts.iter().zip(&receipts[3..]).all(|(one, other)| one == other));
    assert!(receipts[0] != receipts[1] && receipts[1] != receipts[2]);
}

#[test]
fn refusals_that_differ_have_a_record_each() {
    let kit = Kit::new(|builder| builder);
    let mallory = || Principal::user("mallory");
    let with = |context| kit.session("mallory").with_context(context);
    let sessions = [
        kit.session("mallory"),
        kit.room.session(mallory().with_role("reader")),
        kit.room.session(mallory().with_claim("tenant", "acme")),
        with(RequestContext::new().with_reason("curious")),
        with(RequestContext::new().with_source("::1".parse().unwrap())),
    ];
    for session in &sessions {
        for path in ["prod/db", "prod/db@1", "prod/absent"] {
            refused(session, path);
        }
        block_on(session.metadata("prod/db")).unwrap_err();
        block_on(session.purge("prod/db")).unwrap_err();
    }
    assert_eq!(kit.counts(), [1; 25]);
    // And each counts for itself.
    for session in &sessions {
        refused(session, "prod/db");
    }
    kit.clock.advance(WINDOW);
    kit.alice_reads();
    assert_eq!(kit.counts(), [1; 30]);
}

#[test]
fn seal_and_close_write_what_is_counted() {
    for seals in [true, false] {
        let kit = Kit::new(|builder| builder);
        for _ in 0..5 {
            refused(&kit.session("mallory"), "prod/db");
        }
        if seals {
            drop(kit.room.clone().seal());
        } else {
            block_on(kit.room.clone().close()).unwrap();
        }
        assert_eq!(kit.counts(), [1, 4]);
    }
}

#[test]
fn a_count_that_cannot_be_written_is_in_nobodys_way_and_is_not_lost() {
    let kit = Kit::new(|builder| builder);
    let mallory = kit.session("mallory");
    for _ in 0..4 {
        refused(&mallory, "prod/db");
    }
    kit.clock.advance(WINDOW);
    kit.log.fail_next(1);
    kit.alice_reads();
    assert_eq!(kit.counts(), [1]);
    refused(&mallory, "prod/db");
    kit.clock.advance(WINDOW);
    kit.alice_reads();
    assert_eq!(kit.counts(), [1, 4]);

    // A call that is dropped as it writes a count takes none along.
    refused(&mallory, "prod/db");
    refused(&mallory, "prod/db");
    kit.clock.advance(WINDOW);
    kit.sink.set_delaying(true);
    let alice = kit.session("alice");
    let mut dropped = Box::pin(alice.get::<Opaque>("prod/db"));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(dropped.as_mut().poll(&mut context).is_pending());
    drop(dropped);
    kit.sink.set_delaying(false);
    block_on(kit.room.clone().close()).unwrap();
    assert_eq!(kit.counts(), [1, 4, 1, 1]);
}

#[test]
fn what_could_not_be_counted_at_close_is_an_error() {
    let kit = Kit::new(|builder| builder);
    for _ in 0..2 {
        refused(&kit.session("mallory"), "prod/db");
    }
    kit.log.fail_next(1);
    block_on(kit.room.clone().close()).unwrap_err();
}

#[test]
fn only_so_many_are_counted_at_a_time() {
    let kit = Kit::new(|builder| builder);
    let mallory = kit.session("mallory");
    for _ in 0..2 {
        for n in 0..1100 {
            refused(&mallory, &format!("prod/s{n}"));
        }
    }
    assert_eq!(kit.counts().len(), 1100 + 76, "1,024 are counted");
    kit.clock.advance(WINDOW);
    // Others made them: a request writes so many at a time.
    for written in [64, 128] {
        kit.alice_reads();
        assert_eq!(kit.counts().len(), 1100 + 76 + written);
    }
    for _ in 2..16 {
        kit.alice_reads();
    }
    assert_eq!(kit.counts(), vec![1; 2200]);
    // Those whose window has ended make room.
    refused(&mallory, "prod/s1099");
    refused(&mallory, "prod/s1099");
    assert_eq!(kit.counts().len(), 2201);
}

#[test]
fn many_at_once_are_counted_too() {
    let kit = Kit::new(|builder| builder);
    let paths: Vec<SecretPath> = ["prod/db", "prod/other"].map(|path| path.parse().unwrap()).into();
    let mallory = kit.session("mallory");
    let mut before = None;
    for _ in 0..3 {
        let receipts = block_on(mallory.get_many::<Opaque>(&paths)).unwrap();
        let receipts: Vec<Receipt> = receipts
            .into_iter()
            .map(|answer| match answer {
                Err(Error::Denied(denied)) => *denied.receipt(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(receipts.len(), 2);
        assert_eq!(before.get_or_insert(receipts.clone()), &receipts);
    }
    assert_eq!(kit.counts(), [1, 1]);
    kit.clock.advance(WINDOW);
    block_on(mallory.get_many::<Opaque>(&paths)).unwrap();
    assert_eq!(kit.counts(), [1, 1, 2, 2, 1, 1]);
}

#[test]
fn a_window_of_nothing_counts_nothing() {
    let kit = Kit::new(|builder| builder.refusal_window(Duration::ZERO));
    for _ in 0..5 {
        refused(&kit.session("mallory"), "prod/db");
    }
    assert_eq!(kit.counts(), [1; 5]);
}

/// How long somebody is told to wait who asks too often.
fn throttled<T: std::fmt::Debug>(answer: Result<T, Error>) -> Duration {
    match answer {
        Err(Error::Unavailable(Unavailable::Throttled { retry_after })) => retry_after,
        other => panic!("{other:?}"),
    }
}

/// A kit with two decisions a second and three at once, of which none is spent.
fn budgeted(with: impl FnOnce(Builder) -> Builder) -> Kit {
    let budget = Budget::per_second(2).with_burst(3);
    let kit = Kit::new(|builder| with(builder.audit_budget(budget)));
    kit.clock.advance(WINDOW);
    kit
}

impl Kit {
    /// How many each record of those who asked too often stands for.
    fn throttles(&self) -> Vec<u64> {
        let is_one = |why: &str| why.starts_with("throttled: ");
        let mut decisions = self.log.decisions();
        decisions.retain(|decision| decision.explanation.as_deref().is_some_and(is_one));
        assert!(decisions.iter().all(|decision| decision.effect == Effect::Unavailable));
        decisions.iter().map(|decision| decision.count).collect()
    }
}

#[test]
fn who_asks_too_often_is_told_when_to_try_again_and_keeps_nobody_else_out() {
    let kit = budgeted(|builder| builder);
    let (alice, mallory) = (kit.session("alice"), kit.session("mallory"));
    let read = || block_on(alice.get::<Opaque>("prod/db"));
    (0..3).for_each(|_| drop(read().unwrap()));
    assert_eq!(throttled(read()), Duration::from_millis(500));
    let again = read().unwrap_err();
    assert_eq!(again.to_string(), "the caller asks too often: try again in 500 ms");
    // Another session, or other claims, are the same principal.
    let with_role = kit.room.session(Principal::user("alice").with_role("reader"));
    throttled(block_on(with_role.get::<Opaque>("prod/db")));
    refused(&mallory, "prod/db");
    kit.clock.advance(Duration::from_millis(499));
    assert_eq!(throttled(read()), Duration::from_millis(1));
    kit.clock.advance(Duration::from_millis(1));
    read().unwrap();
    throttled(read());
}

#[test]
fn those_that_are_throttled_share_a_record() {
    for window in [WINDOW, Duration::ZERO] {
        let kit = budgeted(|builder| builder.refusal_window(window));
        let mallory = kit.session("mallory");
        (0..3).for_each(|n| drop(block_on(mallory.get::<Opaque>(format!("prod/s{n}").as_str()))));
        let before = kit.log.lines().len();
        for n in 0..50 {
            throttled(block_on(mallory.get::<Opaque>(format!("prod/t{n}").as_str())));
            throttled(block_on(mallory.metadata(format!("prod/t{n}").as_str())));
        }
        assert_eq!(kit.throttles(), [1]);
        assert!(kit.log.lines().len() < before + 6, "a record, and its names");
        kit.clock.advance(WINDOW);
        kit.alice_reads();
        assert_eq!(kit.throttles(), [1, 99]);
    }
}

#[test]
fn access_can_be_taken_away_by_who_asked_too_often() {
    let kit = budgeted(|builder| builder);
    let (alice, mallory) = (kit.session("alice"), kit.session("mallory"));
    (0..3).for_each(|_| kit.alice_reads());
    throttled(block_on(alice.get::<Opaque>("prod/db")));
    block_on(alice.disable("prod/db")).unwrap();
    throttled(block_on(alice.enable("prod/db")));
    block_on(alice.destroy("prod/db@1")).unwrap();
    block_on(alice.purge("prod/db")).unwrap();
    // But who may not do so gets no more records by asking for it.
    for n in 0..3 {
        refused(&mallory, &format!("prod/s{n}"));
    }
    for n in 0..50 {
        throttled(block_on(mallory.purge(format!("prod/s{n}").as_str())));
    }
    assert_eq!(kit.counts(), [1; 3]);
}

#[test]
fn many_at_once_cost_as_many() {
    let kit = budgeted(|builder| builder);
    let alice = kit.session("alice");
    let paths: Vec<SecretPath> = vec!["prod/db".parse().unwrap(); 2];
    block_on(alice.get_many::<Opaque>(&paths)).unwrap();
    assert_eq!(throttled(block_on(alice.get_many::<Opaque>(&paths))), Duration::from_millis(500));
    kit.alice_reads();
    block_on(alice.get_many::<Opaque>(&[])).unwrap();
}

#[test]
fn denials_do_not_fill_the_place_of_those_who_are_throttled() {
    let kit = Kit::new(|builder| {
        builder.audit_budget(Budget::per_second(1).with_burst(1_100)).refusal_window(WINDOW * 1_000)
    });
    let mallory = kit.session("mallory");
    for n in 0..1_100 {
        refused(&mallory, &format!("prod/s{n}"));
    }
    for _ in 0..5 {
        throttled(block_on(mallory.get::<Opaque>("prod/db")));
    }
    assert_eq!(kit.throttles(), [1]);
}

#[test]
fn where_the_log_has_little_room_each_has_a_budget_unless_another_is_set() {
    let kit = Kit::new(|builder| builder);
    (0..1_000).for_each(|_| kit.alice_reads());
    kit.log.set_scarce(true);
    (0..10).for_each(|_| kit.alice_reads());
    let alice = kit.session("alice");
    assert_eq!(throttled(block_on(alice.get::<Opaque>("prod/db"))), Duration::from_millis(100));
    block_on(alice.disable("prod/db")).unwrap();
    kit.log.set_scarce(false);
    block_on(alice.enable("prod/db")).unwrap();
    (0..1_000).for_each(|_| kit.alice_reads());

    let kit = Kit::new(|builder| builder.audit_budget(Budget::per_second(10_000)));
    kit.log.set_scarce(true);
    (0..1_000).for_each(|_| kit.alice_reads());
}
