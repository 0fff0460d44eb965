//! Decisions at many rules: what a bar times and another program counts the allocations of.

use std::fmt::Write;

use strongroom::{AccessRequest, ActionName, Effect, Policy, Principal, SecretPath, Timestamp};

use crate::Outcome;

/// A policy and a request of it.
#[derive(Debug)]
pub struct DecisionCase {
    /// What is special about it.
    pub what: &'static str,
    /// The rules.
    pub policy: Policy,
    /// Who asks for what.
    pub request: AccessRequest,
    /// What is decided.
    pub effect: Effect,
}

/// Requests that find little, much and nothing among that many rules.
///
/// # Errors
/// Where a policy does not load.
pub fn decision_cases(rules: usize) -> Outcome<Vec<DecisionCase>> {
    let teams = teams(rules)?;
    let everywhere = everywhere(rules)?;
    let (half, last) = (rules / 2, rules - 1);
    let user = Principal::user("alice");
    [
        (
            "one rule concerns the principal",
            &teams,
            Principal::service(format!("s{half}")),
            format!("prod/team-{half}/db"),
            Effect::Allow,
        ),
        (
            "every rule concerns the principal",
            &teams,
            user.clone(),
            format!("prod/team-{half}/db"),
            Effect::Allow,
        ),
        (
            "a path of six segments",
            &teams,
            user.clone(),
            format!("prod/team-{half}/a/b/c/db"),
            Effect::Allow,
        ),
        ("a deny", &teams, user.clone(), format!("prod/team-{last}/db"), Effect::Deny),
        ("no rule matches", &teams, user, "prod/nobody/a/db".to_owned(), Effect::Deny),
        (
            "every rule has the path",
            &everywhere,
            Principal::service(format!("s{last}")),
            "prod/a/db".to_owned(),
            Effect::Allow,
        ),
    ]
    .into_iter()
    .map(|(what, policy, who, path, effect)| {
        let path: SecretPath = path.parse()?;
        let request = AccessRequest::new(who, ActionName::Read, path, Timestamp::default());
        Ok(DecisionCase { what, policy: policy.clone(), request, effect })
    })
    .collect()
}

/// Each rule has paths of its own; one in ten denies.
fn teams(rules: usize) -> Outcome<Policy> {
    let mut text = String::new();
    for n in 0..rules {
        let effect = if n % 10 == 9 { "deny" } else { "allow" };
        write!(
            text,
            "[[rule]]\nid = \"r{n}\"\neffect = \"{effect}\"\n\
             principals = [\"service:s{n}\", \"user:*\"]\nactions = [\"read\", \"write\"]\n\
             paths = [\"prod/team-{n}/**\", \"prod/*/shared-{n}\", \"stage/db-{n}*/key\"]\n"
        )?;
    }
    Ok(Policy::from_toml(&text)?)
}

/// Each rule has every path and a principal of its own.
fn everywhere(rules: usize) -> Outcome<Policy> {
    let mut text = String::new();
    for n in 0..rules {
        write!(
            text,
            "[[rule]]\nid = \"r{n}\"\neffect = \"allow\"\nprincipals = [\"service:s{n}\"]\n\
             actions = [\"read\"]\npaths = [\"**\"]\n"
        )?;
    }
    Ok(Policy::from_toml(&text)?)
}
