//! Policy documents.

use std::str;

use strongroom_core::{
    AccessRequest, ActionName, Decision, Effect, Principal, SecretPath, Target, Timestamp, path,
};
use strongroom_policy::{Policy, PolicyError};

/// A TOML document is refused in words, or decides.
pub fn policy_toml(data: &[u8]) {
    document(data, Policy::from_toml);
}

/// A JSON document is refused in words, or decides.
pub fn policy_json(data: &[u8]) {
    document(data, Policy::from_json);
}

/// A YAML document is refused in words, or decides.
pub fn policy_yaml(data: &[u8]) {
    document(data, Policy::from_yaml);
}

fn document(data: &[u8], read: fn(&str) -> Result<Policy, PolicyError>) {
    let Ok(text) = str::from_utf8(data) else { return };
    match read(text) {
        Ok(policy) => decides(&policy),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

const PATHS: [SecretPath; 3] =
    [path!("prod/billing/db"), path!("prod/acme/db-1"), path!("a/b/c/d")];

/// One answer a request, the same whether or not the subject was worked out ahead.
fn decides(policy: &Policy) {
    let now = Timestamp::default();
    let principals = [
        Principal::service("billing").with_role("reader"),
        Principal::user("alice").with_role("admin").with_claim("tenant", "acme"),
        Principal::host("db-1").with_claim("tenant", "a/../*"),
    ];
    let mut targets: Vec<Target> = PATHS.iter().cloned().map(Target::from).collect();
    targets.push(Target::Store);
    targets.push(Target::Namespace(PATHS[0].namespace()));
    for principal in principals {
        let subject = strongroom_core::PolicyEngine::subject(policy, &principal);
        for target in &targets {
            for action in [ActionName::Read, ActionName::List, ActionName::Recover] {
                let request = AccessRequest::new(principal.clone(), action, target.clone(), now);
                let decision = policy.evaluate(&request);
                same(&decision, &policy.evaluate_for(&subject, &request));
                assert_ne!(decision.effect(), Effect::Unavailable);
                let granted = decision.effect() == Effect::Allow;
                let rule = decision.explanation().rule();
                assert!(!granted || rule.is_some(), "granted by no rule");
                assert!(!granted || action != ActionName::Recover, "no policy grants recovery");
                let known = |id: &str| policy.rules().iter().any(|rule| rule.id() == id);
                assert!(rule.is_none_or(|id| known(id)) || !granted);
            }
        }
        let expired = principal.valid_until(now);
        let request = AccessRequest::new(expired, ActionName::Read, PATHS[0].clone(), now);
        assert_eq!(policy.evaluate(&request).effect(), Effect::Deny);
    }
}

fn same(one: &Decision, other: &Decision) {
    assert_eq!(one.effect(), other.effect());
    assert_eq!(one.explanation(), other.explanation());
}
