//! The compiled policy held against the plainest possible reading of the rules.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use strongroom_core::{
    AccessRequest, ActionName, Effect, PolicyEngine, Prefix, Principal, Target, Timestamp,
};
use strongroom_policy::Policy;

const PATTERNS: [&str; 20] = [
    "/",
    "a",
    "*",
    "**",
    "a/b",
    "a/*",
    "*/b",
    "a/**",
    "**/b",
    "a/**/b",
    "a/b*",
    "a/*b",
    "a/b*b",
    "${t}",
    "a/${t}",
    "a/${t}/b",
    "**/${t}",
    "a/${t}/**",
    "${t}/${u}",
    "**/a/**",
];
const TARGETS: [&str; 12] =
    ["/", "a", "b", "a/b", "a/a", "b/b", "a/bb", "a/bab", "a/a/b", "a/b/b", "b/a/b", "a/b/a/b"];
const PRINCIPALS: [&str; 6] = ["*", "service:*", "service:x", "service:y", "user:*", "user:x"];
const ROLES: [&str; 2] = ["r", "s"];
const ACTIONS: [&str; 3] = ["*", "read", "list"];

#[derive(Debug, Clone)]
struct RuleModel {
    deny: bool,
    principals: Option<Vec<&'static str>>,
    roles: Option<Vec<&'static str>>,
    actions: Vec<&'static str>,
    paths: Vec<&'static str>,
}

fn rule() -> impl Strategy<Value = RuleModel> {
    let principals = proptest::option::of(subsequence(PRINCIPALS.to_vec(), 1..=3));
    let roles = proptest::option::of(subsequence(ROLES.to_vec(), 1..=2));
    let actions = subsequence(ACTIONS.to_vec(), 1..=2);
    let paths = subsequence(PATTERNS.to_vec(), 1..=3);
    (any::<bool>(), principals, roles, actions, paths).prop_filter_map(
        "a rule says somebody",
        |(deny, principals, roles, actions, paths)| {
            (principals.is_some() || roles.is_some()).then_some(RuleModel {
                deny,
                principals,
                roles,
                actions,
                paths,
            })
        },
    )
}

fn compile(rules: &[RuleModel]) -> Policy {
    let rules: Vec<_> = rules
        .iter()
        .enumerate()
        .map(|(n, rule)| {
            let mut fields = vec![
                format!("\"id\": \"{n}\""),
                format!("\"effect\": \"{}\"", if rule.deny { "deny" } else { "allow" }),
                format!("\"actions\": {:?}", rule.actions),
                format!("\"paths\": {:?}", rule.paths),
            ];
            fields.extend(rule.principals.iter().map(|list| format!("\"principals\": {list:?}")));
            fields.extend(rule.roles.iter().map(|list| format!("\"roles\": {list:?}")));
            format!("{{{}}}", fields.join(", "))
        })
        .collect();
    Policy::from_json(&format!("{{\"rule\": [{}]}}", rules.join(", "))).unwrap()
}

/// `Some` is told, `None` is not.
type Told = Option<bool>;

fn and(left: Told, right: Told) -> Told {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn any_of(all: impl Iterator<Item = Told>) -> Told {
    let all: Vec<_> = all.collect();
    if all.contains(&Some(true)) {
        return Some(true);
    }
    if all.contains(&None) { None } else { Some(false) }
}

fn segment_matches(pattern: &str, segment: &str, who: &Principal) -> Told {
    if let Some(name) = pattern.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        return match who.claim(name) {
            Some(strongroom_core::Claim::Text(text)) if !text.contains('/') => {
                Some(**text == *segment)
            }
            _ => None,
        };
    }
    Some(match pattern.split_once('*') {
        None => pattern == segment,
        Some((before, after)) => {
            segment.len() >= before.len() + after.len()
                && segment.starts_with(before)
                && segment.ends_with(after)
        }
    })
}

fn path_matches(pattern: &[&str], path: &[&str], who: &Principal) -> Told {
    match (pattern, path) {
        ([], []) => Some(true),
        (["**", rest @ ..], _) => {
            any_of((0..=path.len()).map(|skipped| path_matches(rest, &path[skipped..], who)))
        }
        ([first, rest @ ..], [segment, tail @ ..]) => {
            and(segment_matches(first, segment, who), path_matches(rest, tail, who))
        }
        _ => Some(false),
    }
}

fn rule_matches(rule: &RuleModel, who: &Principal, action: ActionName, target: &str) -> Told {
    let id = rule.principals.as_ref().is_none_or(|list| {
        list.iter().any(|entry| match entry.strip_suffix('*') {
            Some(kind) => who.id().starts_with(kind),
            None => *entry == who.id(),
        })
    });
    let role = rule
        .roles
        .as_ref()
        .is_none_or(|list| list.iter().any(|role| who.roles().iter().any(|has| **has == **role)));
    let about = rule.actions.iter().any(|name| *name == "*" || *name == action.as_str());
    let path = any_of(rule.paths.iter().map(|pattern| match (*pattern, target) {
        ("/", _) | (_, "/") => Some(*pattern == target),
        _ => {
            let pattern: Vec<_> = pattern.split('/').collect();
            let path: Vec<_> = target.split('/').collect();
            path_matches(&pattern, &path, who)
        }
    }));
    and(Some(id && role && about), path)
}

/// The effect and the rule that decides: the first of those that do.
fn model(
    rules: &[RuleModel],
    who: &Principal,
    action: ActionName,
    target: &str,
) -> (Effect, Option<String>) {
    let first = |deny: bool| {
        rules.iter().position(|rule| {
            let told = rule_matches(rule, who, action, target);
            rule.deny == deny && told.unwrap_or(deny)
        })
    };
    match (first(true), first(false)) {
        (Some(rule), _) => (Effect::Deny, Some(rule.to_string())),
        (None, Some(rule)) => (Effect::Allow, Some(rule.to_string())),
        (None, None) => (Effect::Deny, None),
    }
}

fn principals() -> Vec<Principal> {
    let mut all = Vec::new();
    for bare in [Principal::service("x"), Principal::service("z"), Principal::user("x")] {
        for claimed in [
            bare.clone(),
            bare.clone().with_claim("t", "b"),
            bare.clone().with_claim("t", "a").with_claim("u", "b"),
            bare.clone().with_claim("t", "a/b").with_claim("u", 1),
        ] {
            all.push(claimed.clone());
            all.push(claimed.with_role("r"));
        }
    }
    all
}

fn target(text: &str) -> Target {
    match text {
        "/" => Target::Store,
        _ => Target::Prefix(text.parse::<Prefix>().unwrap()),
    }
}

fn check(rules: &[RuleModel]) {
    let policy = compile(rules);
    for who in principals() {
        let subject = policy.subject(&who);
        for action in [ActionName::Read, ActionName::List, ActionName::Purge, ActionName::Recover] {
            for text in TARGETS {
                let now = Timestamp::default();
                let request = AccessRequest::new(who.clone(), action, target(text), now);
                let decision = policy.evaluate_for(&subject, &request);
                let rule = decision.explanation().rule().map(|id| id.to_string());
                let expected = match action {
                    ActionName::Recover => (Effect::Deny, None),
                    _ => model(rules, &who, action, text),
                };
                assert_eq!((decision.effect(), rule), expected, "{rules:?} {request:?}");
            }
        }
    }
}

#[test]
fn each_single_pattern_in_each_effect_decides_as_the_model() {
    for pattern in PATTERNS {
        let rule = |deny, pattern| RuleModel {
            deny,
            principals: Some(vec!["*"]),
            roles: None,
            actions: vec!["*"],
            paths: vec![pattern],
        };
        check(&[rule(false, pattern)]);
        check(&[rule(false, "/"), rule(false, "**"), rule(true, pattern)]);
        for other in PATTERNS {
            check(&[rule(false, pattern), rule(true, other)]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_policy_decides_as_the_model(rules in prop::collection::vec(rule(), 0..8)) {
        check(&rules);
    }

    #[test]
    fn adding_a_deny_never_widens(
        rules in prop::collection::vec(rule(), 0..8),
        added in rule(),
        at in 0_usize..8,
        who in select(principals()),
    ) {
        let mut more = rules.clone();
        more.insert(at.min(rules.len()), RuleModel { deny: true, ..added });
        let (before, after) = (compile(&rules), compile(&more));
        for text in TARGETS {
            let request = AccessRequest::new(
                who.clone(), ActionName::Read, target(text), Timestamp::default(),
            );
            prop_assert!(
                after.evaluate(&request).effect() == Effect::Deny
                    || before.evaluate(&request).effect() == Effect::Allow
            );
        }
    }

    #[test]
    fn a_deny_that_matches_wins_wherever_it_stands(
        rules in prop::collection::vec(rule(), 0..8),
        at in 0_usize..8,
        who in select(principals()),
    ) {
        let mut rules = rules;
        rules.insert(at.min(rules.len()), RuleModel {
            deny: true,
            principals: Some(vec!["*"]),
            roles: None,
            actions: vec!["*"],
            paths: vec!["/", "**"],
        });
        let policy = compile(&rules);
        for text in TARGETS {
            let request = AccessRequest::new(
                who.clone(), ActionName::Read, target(text), Timestamp::default(),
            );
            prop_assert_eq!(policy.evaluate(&request).effect(), Effect::Deny);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Enough rules that sets of them are kept as bits and span several words.
    #[test]
    fn many_rules_decide_as_the_model(rules in prop::collection::vec(rule(), 60..140)) {
        check(&rules);
    }
}
