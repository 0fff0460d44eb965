//! Deciding allocates nothing.

use std::hint::black_box;

use strongroom_core::{
    AccessRequest, ActionName, Effect, PolicyEngine, Principal, Timestamp, path,
};
use strongroom_policy::Policy;

#[test]
fn a_decision_for_a_subject_allocates_nothing() {
    let mut text = String::new();
    for n in 0..1_000 {
        let effect = if n % 10 == 0 { "deny" } else { "allow" };
        text += &format!(
            "[[rule]]\nid = \"r{n}\"\neffect = \"{effect}\"\ndescription = \"number {n}\"\n\
             principals = [\"service:s{n}\", \"user:*\"]\nactions = [\"read\"]\n\
             paths = [\"prod/team-{n}/**\", \"**/x{n}*/**\", \"own/${{tenant}}/**\"]\n"
        );
    }
    let policy = Policy::from_toml(&text).unwrap();
    let now = Timestamp::default();
    let until = Timestamp::from_millis(1).unwrap();
    let after = Timestamp::from_millis(2).unwrap();
    let mut effects = Vec::new();
    for (who, path, now) in [
        (Principal::service("s7"), path!("prod/team-7/db"), now),
        (Principal::service("s7"), path!("prod/team-8/db"), now),
        (Principal::service("s10"), path!("prod/team-10/a/b/c/d/db"), now),
        (Principal::user("a"), path!("own/acme/db"), now),
        (Principal::service("s7").with_claim("tenant", "acme"), path!("own/acme/db"), now),
        (Principal::service("s7"), path!("own/acme/db"), now),
        (Principal::service("s7").valid_until(until), path!("prod/team-7/db"), after),
        (Principal::service(""), path!("prod/team-7/db"), now),
    ] {
        let request = AccessRequest::new(who.clone(), ActionName::Read, path, now);
        let subject = policy.subject(&who);
        let mut decision = None;
        let info = allocation_counter::measure(|| {
            decision = Some(black_box(policy.evaluate_for(&subject, black_box(&request))));
        });
        assert_eq!(info.count_total, 0, "{request:?}");
        // The counter counts: working the principal out on the way allocates.
        let info = allocation_counter::measure(|| {
            drop(black_box(policy.evaluate(black_box(&request))));
        });
        assert!(info.count_total > 0);
        effects.push(decision.unwrap().effect());
    }
    use Effect::{Allow, Deny};
    assert_eq!(effects, [Allow, Deny, Deny, Deny, Allow, Deny, Deny, Deny]);
}
