//! What every policy engine must do, whatever its rules are: a suite of cases over the
//! [`PolicyEngine`] trait.
//!
//! One line in a test file runs them all, each as a test of its own, on a bare `block_on`:
//!
//! ```
//! use strongroom_core::{AccessRequest, ActionName, Principal, Timestamp, path};
//! # use strongroom_core::*;
//! # #[derive(Debug)]
//! # struct MyEngine;
//! # impl MyEngine { fn new() -> Self { Self } }
//! # #[async_trait]
//! # impl PolicyEngine for MyEngine {
//! #     fn revision(&self) -> u64 { 0 }
//! #     fn needs_secret(&self, _: &AccessRequest) -> bool { false }
//! #     fn subject(&self, _: &Principal) -> Subject { Subject::unresolved(0) }
//! #     async fn decide(&self, _: &Subject, request: &AccessRequest) -> Decision {
//! #         if request.principal.id() == "user:alice" { Decision::allow() } else { Decision::deny() }
//! #     }
//! # }
//!
//! fn read_by(name: &str) -> AccessRequest {
//!     let at = Timestamp::default();
//!     AccessRequest::new(Principal::user(name), ActionName::Read, path!("prod/db"), at)
//! }
//!
//! strongroom_testkit::policy_suite!(
//!     || MyEngine::new(),
//!     [read_by("alice")], // what its rules allow
//!     [read_by("mallory")], // and what they do not
//! );
//! ```
//!
//! The requests are what the cases are run with, beside some that the suite has of its own, which
//! may be decided either way. A case is also a function, to be run by [`run`].

use std::sync::Arc;
use std::task::{Context, Waker};

use futures_executor::block_on;
use strongroom_core::{
    AccessRequest, ActionName, Decision, Effect, PolicyEngine, Principal, RequestContext,
    SecretFacts, Stage, Strength, Subject, Target, Timestamp, WholeStore, path,
};

/// Makes a test of each case of the suite. Takes a closure that makes an engine, and two arrays of
/// requests: those that its rules allow, and those that they do not.
#[macro_export]
macro_rules! policy_suite {
    ($make:expr, $allowed:expr, $denied:expr $(,)?) => {
        $crate::policy_suite! { @cases ($make, $allowed, $denied)
            what_is_allowed_and_what_is_not_is_decided_so
            a_decision_is_repeated
            an_engine_at_rest_keeps_its_revision
            a_subject_names_the_revision_that_it_is_of
            a_subject_saves_work_and_decides_nothing
            a_subject_of_another_principal_widens_nothing
            a_stale_subject_widens_nothing
            what_is_needed_is_told_by_principal_action_and_path_alone
            a_secret_that_is_not_needed_changes_nothing
            an_absent_secret_is_decided_on_too
            requests_of_any_kind_are_answered
            a_dropped_decision_leaves_nothing_behind
            several_threads_get_the_same_answers
        }
    };
    (@cases ($make:expr, $allowed:expr, $denied:expr) $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::policy::run($crate::policy::$case, $make, $allowed, $denied);
            }
        )*
    };
}

/// Runs one case.
///
/// # Panics
/// Where the engine does not do what the case asks for.
pub fn run<E: PolicyEngine>(
    case: fn(&Bench),
    make: impl Fn() -> E,
    allowed: impl IntoIterator<Item = AccessRequest>,
    denied: impl IntoIterator<Item = AccessRequest>,
) {
    let (allowed, denied): (Vec<_>, Vec<_>) =
        (allowed.into_iter().collect(), denied.into_iter().collect());
    assert!(!allowed.is_empty() && !denied.is_empty(), "the suite needs a request of both kinds");
    case(&Bench { engine: Arc::new(make()), allowed, denied });
}

/// The engine of a case, and requests that it allows and does not.
#[derive(Debug)]
pub struct Bench {
    engine: Arc<dyn PolicyEngine>,
    allowed: Vec<AccessRequest>,
    denied: Vec<AccessRequest>,
}

impl Bench {
    fn decide(&self, request: &AccessRequest) -> Decision {
        self.decide_for(&self.engine.subject(&request.principal), request)
    }

    fn decide_for(&self, subject: &Subject, request: &AccessRequest) -> Decision {
        block_on(self.engine.decide(subject, request))
    }

    fn given(&self) -> impl Iterator<Item = &AccessRequest> {
        self.allowed.iter().chain(&self.denied)
    }

    /// The requests that were given, others like them, and some of the suite's own.
    fn all(&self) -> Vec<AccessRequest> {
        let mut all: Vec<AccessRequest> = self.given().cloned().collect();
        for request in self.given() {
            let actions = ActionName::ALL.iter();
            all.extend(actions.map(|action| but(request, |other| other.action = *action)));
            all.extend(principals().map(|who| but(request, |other| other.principal = who)));
            all.extend(targets().map(|target| but(request, |other| other.target = target)));
        }
        all
    }
}

/// The request with one thing changed.
fn but(request: &AccessRequest, change: impl FnOnce(&mut AccessRequest)) -> AccessRequest {
    let mut other = request.clone();
    change(&mut other);
    other
}

fn principals() -> impl Iterator<Item = Principal> {
    let at = Timestamp::MAX;
    [
        Principal::user("conformance-suite"),
        Principal::service("x".repeat(255)).with_role("*").with_role(""),
        Principal::host("*").with_claim("tenant", "**").with_claim("tenants", vec![String::new()]),
        Principal::pipeline("a/b").with_claim("level", i64::MIN).with_claim("root", true),
        Principal::user("").with_claim("", ""),
        Principal::user("line\nbreak").valid_until(Timestamp::default()),
        Principal::user("\u{1f512}").authenticated_at(at, Strength::Hardware).valid_until(at),
    ]
    .into_iter()
}

fn targets() -> impl Iterator<Item = Target> {
    let deep = ["x"; 16].join("/");
    let mut targets: Vec<Target> = vec![
        WholeStore.into(),
        path!("conformance-suite/secret").into(),
        path!("conformance-suite/secret").at(Stage::Pending).into(),
        path!("conformance-suite/secret").namespace().into(),
    ];
    targets.extend(strongroom_core::SecretPath::try_from(deep.as_str()).map(Target::from));
    targets.into_iter()
}

fn facts() -> SecretFacts {
    let mut facts = SecretFacts::default();
    facts.kind = "conformance-suite".to_owned();
    facts.owner = Some("user:conformance-suite".to_owned());
    facts.labels.insert("conformance".to_owned(), "suite".to_owned());
    facts
}

/// What of a decision counts: the effect, the rule, and what must be fulfilled.
fn word(decision: &Decision) -> (Effect, Option<Arc<str>>, Vec<Arc<str>>) {
    let rule = decision.explanation().rule().cloned();
    (decision.effect(), rule, decision.obligations().to_vec())
}

fn assert_no_wider(decision: &Decision, than: &Decision, request: &AccessRequest) {
    let widened = decision.effect() == Effect::Allow && than.effect() != Effect::Allow;
    assert!(!widened, "more is allowed than with the right subject: {request:?}");
}

/// The engine is the one that the requests were written for. A refusal may be an outage.
pub fn what_is_allowed_and_what_is_not_is_decided_so(bench: &Bench) {
    for request in &bench.allowed {
        assert_eq!(bench.decide(request).effect(), Effect::Allow, "{request:?}");
    }
    for request in &bench.denied {
        assert_ne!(bench.decide(request).effect(), Effect::Allow, "{request:?}");
    }
}

/// A decision depends on the request and the engine's state alone, not on what was asked before.
pub fn a_decision_is_repeated(bench: &Bench) {
    let all = bench.all();
    let first: Vec<_> = all.iter().map(|request| word(&bench.decide(request))).collect();
    for (request, first) in all.iter().zip(&first).rev() {
        assert_eq!(word(&bench.decide(request)), *first, "{request:?}");
    }
}

/// Else every permit is stale as soon as it is granted.
pub fn an_engine_at_rest_keeps_its_revision(bench: &Bench) {
    let revision = bench.engine.revision();
    for request in bench.all() {
        let _ = bench.decide(&request);
        assert_eq!(bench.engine.revision(), revision, "a question changed the revision");
    }
}

/// Else a session works it out anew for each request, or never.
pub fn a_subject_names_the_revision_that_it_is_of(bench: &Bench) {
    for request in bench.all() {
        let subject = bench.engine.subject(&request.principal);
        assert_eq!(subject.revision(), bench.engine.revision());
    }
}

/// A subject that was never worked out gets the same answer, or a narrower one.
pub fn a_subject_saves_work_and_decides_nothing(bench: &Bench) {
    let unresolved = Subject::unresolved(bench.engine.revision());
    for request in bench.all() {
        let decision = bench.decide_for(&unresolved, &request);
        assert_no_wider(&decision, &bench.decide(&request), &request);
        let kept = bench.engine.subject(&request.principal);
        let (one, two) = (bench.decide_for(&kept, &request), bench.decide_for(&kept, &request));
        assert_eq!(word(&one), word(&two), "a subject is used up: {request:?}");
    }
}

/// Who asks is in the request, and there alone.
pub fn a_subject_of_another_principal_widens_nothing(bench: &Bench) {
    let asking: Vec<Principal> =
        bench.given().map(|request| request.principal.clone()).chain(principals()).collect();
    for request in bench.given() {
        let own = bench.decide(request);
        for principal in &asking {
            let subject = bench.engine.subject(principal);
            assert_no_wider(&bench.decide_for(&subject, request), &own, request);
        }
    }
}

/// The rules may be swapped between a subject and the decision.
pub fn a_stale_subject_widens_nothing(bench: &Bench) {
    for request in bench.all() {
        let own = bench.decide(&request);
        for revision in [0, bench.engine.revision().wrapping_sub(1), u64::MAX] {
            let stale = Subject::unresolved(revision);
            assert_no_wider(&bench.decide_for(&stale, &request), &own, &request);
        }
    }
}

/// Else what is looked up before a refusal would tell what exists.
pub fn what_is_needed_is_told_by_principal_action_and_path_alone(bench: &Bench) {
    for request in bench.all() {
        let needed = bench.engine.needs_secret(&request);
        let context = RequestContext::new().with_request_id("req-7").with_reason("a reason");
        let others = [
            request.clone().with_secret(facts()),
            request.clone().with_context(context),
            but(&request, |other| other.now = Timestamp::MAX),
            request.clone(),
        ];
        for other in others {
            assert_eq!(bench.engine.needs_secret(&other), needed, "{other:?}");
        }
    }
}

/// Who says that facts about a secret are not needed does not use them.
pub fn a_secret_that_is_not_needed_changes_nothing(bench: &Bench) {
    for request in bench.all() {
        if !bench.engine.needs_secret(&request) {
            let with = bench.decide(&request.clone().with_secret(facts()));
            assert_eq!(word(&with), word(&bench.decide(&request)), "{request:?}");
        }
    }
}

/// A secret that does not exist has no facts, and its absence is no failure of the engine's.
pub fn an_absent_secret_is_decided_on_too(bench: &Bench) {
    for request in bench.given() {
        let absent = but(request, |other| other.secret = None);
        assert_ne!(bench.decide(&absent).effect(), Effect::Unavailable, "{absent:?}");
    }
}

/// Names of any form, every action, every kind of target: an answer, and no panic.
pub fn requests_of_any_kind_are_answered(bench: &Bench) {
    for request in bench.all() {
        for request in [request.clone(), request.with_secret(facts())] {
            let decision = bench.decide(&request);
            // An operator reads it, in a line of the log.
            assert!(decision.explanation().to_string().len() <= 64 * 1024);
        }
    }
}

/// A caller may give up at any await point.
pub fn a_dropped_decision_leaves_nothing_behind(bench: &Bench) {
    for request in bench.given() {
        let before = word(&bench.decide(request));
        let subject = bench.engine.subject(&request.principal);
        drop(bench.engine.decide(&subject, request));
        let mut future = bench.engine.decide(&subject, request);
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(future);
        assert_eq!(word(&bench.decide(request)), before, "{request:?}");
    }
}

/// One engine serves all sessions.
pub fn several_threads_get_the_same_answers(bench: &Bench) {
    let all = bench.all();
    let expected: Vec<_> = all.iter().map(|request| word(&bench.decide(request))).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (request, expected) in all.iter().zip(&expected) {
                    assert_eq!(word(&bench.decide(request)), *expected, "{request:?}");
                }
            });
        }
    });
}
