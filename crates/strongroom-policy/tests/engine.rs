//! The policy as an engine: subjects, expiry, ownership, replacement in use.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use futures_executor::block_on;
use strongroom_core::{
    AccessRequest, ActionName, Effect, PolicyEngine, Principal, Subject, Target, Timestamp, path,
};
use strongroom_policy::{LivePolicy, Policy, RuleEffect};

fn allowing(who: &str) -> Policy {
    Policy::from_toml(&format!(
        "[[rule]]\nid = \"only-{}\"\neffect = \"allow\"\nprincipals = [\"{who}\"]\n\
         actions = [\"*\"]\npaths = [\"**\"]",
        who.replace(':', "-")
    ))
    .unwrap()
}

fn reading(who: &Principal) -> AccessRequest {
    AccessRequest::new(who.clone(), ActionName::Read, path!("prod/db"), Timestamp::default())
}

#[test]
fn fc_096_a_broken_document_leaves_the_old_policy_in_force() {
    let alice = Principal::user("alice");
    let live = LivePolicy::new(allowing("user:alice"));
    let revision = live.revision();

    let broken = Policy::from_toml("[[rule]]\nid = \"x\"\neffect = \"alow\"");
    let error = broken.map(|policy| live.replace(policy)).unwrap_err();
    assert_eq!(error.faults()[0].line(), Some(1));
    assert!(error.faults().iter().any(|fault| fault.line() == Some(3)), "{error:?}");

    assert_eq!(live.revision(), revision);
    let decision = block_on(live.decide(&live.subject(&alice), &reading(&alice)));
    assert_eq!(decision.effect(), Effect::Allow);
    assert_eq!(decision.explanation().to_string(), "rule `only-user-alice`");
}

#[test]
fn a_replaced_policy_is_in_force_for_every_clone_and_every_old_subject() {
    let (alice, bob) = (Principal::user("alice"), Principal::user("bob"));
    let live = LivePolicy::new(allowing("user:alice"));
    let other = live.clone();
    let (for_alice, for_bob) = (live.subject(&alice), live.subject(&bob));
    let decide = |subject: &Subject, who: &Principal| {
        block_on(other.decide(subject, &reading(who))).effect()
    };
    assert_eq!(for_alice.revision(), live.revision());
    assert_eq!((decide(&for_alice, &alice), decide(&for_bob, &bob)), (Effect::Allow, Effect::Deny));

    let old = live.replace(allowing("user:bob"));
    assert_eq!(old.rules()[0].id(), "only-user-alice");
    assert_eq!(other.current().rules()[0].id(), "only-user-bob");
    assert_ne!(for_alice.revision(), other.revision());
    assert_eq!((decide(&for_alice, &alice), decide(&for_bob, &bob)), (Effect::Deny, Effect::Allow));
}

#[test]
fn each_swap_changes_the_revision_even_one_back_to_the_same_rules() {
    let live = LivePolicy::new(allowing("user:alice"));
    let mut seen = vec![live.revision()];
    for who in ["user:alice", "user:bob", "user:alice"] {
        drop(live.replace(allowing(who)));
        assert!(!seen.contains(&live.revision()));
        seen.push(live.revision());
    }
    // Rules alone decide the revision of a policy that is not live.
    assert_eq!(allowing("user:alice").revision(), allowing("user:alice").revision());
    assert_ne!(allowing("user:alice").revision(), allowing("user:bob").revision());
}

#[test]
fn a_subject_of_another_principal_or_another_policy_is_not_trusted() {
    let policy = allowing("user:alice");
    let (alice, bob) = (Principal::user("alice"), Principal::user("bob"));
    let for_alice = policy.subject(&alice);
    assert_eq!(policy.evaluate_for(&for_alice, &reading(&alice)).effect(), Effect::Allow);
    assert_eq!(policy.evaluate_for(&for_alice, &reading(&bob)).effect(), Effect::Deny);
    let unresolved = Subject::unresolved(policy.revision());
    assert_eq!(policy.evaluate_for(&unresolved, &reading(&alice)).effect(), Effect::Allow);
    assert_eq!(
        allowing("user:bob").evaluate_for(&for_alice, &reading(&alice)).effect(),
        Effect::Deny
    );

    // A role or claim more makes another principal of the same id.
    let roles = Policy::from_toml(
        "[[rule]]\nid = \"r\"\neffect = \"deny\"\nroles = [\"intern\"]\nactions = [\"*\"]\n\
         paths = [\"**\"]\n[[rule]]\nid = \"a\"\neffect = \"allow\"\nprincipals = [\"user:*\"]\n\
         actions = [\"read\"]\npaths = [\"**\"]",
    )
    .unwrap();
    let subject = roles.subject(&alice);
    let intern = alice.clone().with_role("intern");
    assert_eq!(roles.evaluate_for(&subject, &reading(&alice)).effect(), Effect::Allow);
    assert_eq!(roles.evaluate_for(&subject, &reading(&intern)).effect(), Effect::Deny);
}

#[test]
fn an_expired_or_ill_formed_principal_is_refused_whatever_the_rules_say() {
    let policy = Policy::from_toml(
        "[[rule]]\nid = \"all\"\neffect = \"allow\"\nprincipals = [\"*\"]\nactions = [\"*\"]\n\
         paths = [\"/\", \"**\"]",
    )
    .unwrap();
    let at = |millis| Timestamp::from_millis(millis).unwrap();
    let who = Principal::user("alice").valid_until(at(10));
    for (now, effect) in [(9, Effect::Allow), (10, Effect::Deny), (11, Effect::Deny)] {
        let request = AccessRequest::new(who.clone(), ActionName::Read, path!("prod/db"), at(now));
        let decision = policy.evaluate(&request);
        assert_eq!(decision.effect(), effect);
        assert_eq!(decision.explanation().rule().is_some(), effect == Effect::Allow);
    }
    for name in ["", "a\nb", &"a".repeat(256)] {
        let decision = policy.evaluate(&reading(&Principal::user(name)));
        assert_eq!(decision.effect(), Effect::Deny, "{name:?}");
    }
    assert_eq!(policy.evaluate(&reading(&Principal::user("ok"))).effect(), Effect::Allow);
}

#[test]
fn an_owner_has_everything_that_can_be_granted_and_nobody_else_anything() {
    let policy = Policy::owned_by(&Principal::user("alice"));
    for &action in ActionName::ALL {
        for target in [Target::Store, path!("prod/db").into(), path!("a/b/c").namespace().into()] {
            let ask = |who: Principal| {
                let now = Timestamp::default();
                policy.evaluate(&AccessRequest::new(who, action, target.clone(), now))
            };
            let mine = ask(Principal::user("alice"));
            let grantable = action != ActionName::Recover;
            assert_eq!(mine.effect() == Effect::Allow, grantable, "{action}");
            if grantable {
                assert_eq!(mine.explanation().rule().map(|id| &**id), Some("owner"));
            }
            for other in
                [Principal::service("alice"), Principal::user("alic"), Principal::user("*")]
            {
                assert_eq!(ask(other).effect(), Effect::Deny);
            }
        }
    }
    assert_eq!(Policy::owned_by(&Principal::user("*")).rules()[0].effect(), RuleEffect::Allow);
    let star = Policy::owned_by(&Principal::user("*"));
    assert_eq!(star.evaluate(&reading(&Principal::user("alice"))).effect(), Effect::Deny);
}

#[test]
fn decisions_during_swaps_follow_one_policy_or_the_other() {
    let live = Arc::new(LivePolicy::new(allowing("user:alice")));
    let (alice, bob) = (Principal::user("alice"), Principal::user("bob"));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..200 {
                    let who = if n % 2 == 0 { "user:alice" } else { "user:bob" };
                    drop(live.replace(allowing(who)));
                }
            });
        }
        for who in [&alice, &bob] {
            let live = &live;
            scope.spawn(move || {
                for _ in 0..2_000 {
                    let decision = block_on(live.decide(&live.subject(who), &reading(who)));
                    let rule = decision.explanation().rule().map(|id| id.to_string());
                    match decision.effect() {
                        Effect::Allow => {
                            assert_eq!(rule, Some(format!("only-{}", who.id().replace(':', "-"))))
                        }
                        _ => assert_eq!(rule, None),
                    }
                }
            });
        }
    });
}

#[test]
fn what_is_undecided_is_said_to_the_operator() {
    let rules = |effect: &str| {
        Policy::from_toml(&format!(
            "[[rule]]\nid = \"tenant\"\neffect = \"{effect}\"\nprincipals = [\"*\"]\n\
             actions = [\"read\"]\npaths = [\"prod/${{tenant}}\"]"
        ))
        .unwrap()
    };
    let who = Principal::user("alice");
    let allow = rules("allow").evaluate(&reading(&who));
    assert_eq!((allow.effect(), allow.explanation().rule()), (Effect::Deny, None));
    assert!(allow.explanation().to_string().contains("names a claim"));
    let deny = rules("deny").evaluate(&reading(&who));
    assert_eq!(deny.effect(), Effect::Deny);
    assert!(deny.explanation().to_string().starts_with("rule `tenant`: it names a claim"));
    let none = rules("allow").evaluate(&reading(&who.with_claim("tenant", "x")));
    assert_eq!(none.explanation().to_string(), "no rule allows it");
}
