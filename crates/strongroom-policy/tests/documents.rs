//! Documents: the three formats, everything that is refused, and large ones.

use strongroom_core::{
    AccessRequest, ActionName, Effect, PolicyEngine, Principal, Timestamp, path,
};
use strongroom_policy::{FaultKind, MAX_DOCUMENT_BYTES, Policy, PolicyError, RuleEffect};

const TOML: &str = r#"
[[rule]]
id = "readers"
effect = "allow"
description = "readers read"
principals = ["user:*", "service:billing"]
roles = ["reader"]
actions = ["read", "read-metadata"]
paths = ["prod/**"]

[[rule]]
id = "no-interns"
effect = "deny"
roles = ["intern"]
actions = ["*"]
paths = ["/", "**"]
"#;

const JSON: &str = r#"{"rule": [
  {"id": "readers", "effect": "allow", "description": "readers read",
   "principals": ["user:*", "service:billing"], "roles": ["reader"],
   "actions": ["read", "read-metadata"], "paths": ["prod/**"]},
  {"id": "no-interns", "effect": "deny", "roles": ["intern"], "actions": ["*"], "paths": ["/", "**"]}
]}"#;

#[cfg(feature = "yaml")]
const YAML: &str = r#"
rule:
  - id: readers
    effect: allow
    description: readers read
    principals: ["user:*", "service:billing"]
    roles: [reader]
    actions: [read, read-metadata]
    paths: [prod/**]
  - id: no-interns
    effect: deny
    roles: [intern]
    actions: ["*"]
    paths: [/, "**"]
"#;

type Parse = fn(&str) -> Result<Policy, PolicyError>;

fn formats() -> Vec<(&'static str, Parse)> {
    vec![
        ("TOML", Policy::from_toml as Parse),
        ("JSON", Policy::from_json),
        #[cfg(feature = "yaml")]
        ("YAML", Policy::from_yaml),
    ]
}

/// A document of rules, each of fields with lists of texts or a text.
fn write(format: &str, rules: &[Vec<(&str, Vec<String>)>]) -> String {
    let scalar = |name: &str| matches!(name, "id" | "effect" | "description");
    let value = |name: &str, texts: &[String]| {
        let quoted: Vec<_> = texts.iter().map(|text| format!("{text:?}")).collect();
        if scalar(name) { quoted.concat() } else { format!("[{}]", quoted.join(", ")) }
    };
    let mut text = match format {
        "JSON" => "{\"rule\": [\n".to_owned(),
        "YAML" => "rule:\n".to_owned(),
        _ => String::new(),
    };
    for (number, fields) in rules.iter().enumerate() {
        match format {
            "TOML" => {
                text += "[[rule]]\n";
                for (name, texts) in fields {
                    text += &format!("{name} = {}\n", value(name, texts));
                }
            }
            "JSON" => {
                text += if number == 0 { "{\n" } else { ",\n{\n" };
                let all: Vec<_> = fields
                    .iter()
                    .map(|(name, texts)| format!("\"{name}\": {}", value(name, texts)))
                    .collect();
                text += &all.join(",\n");
                text += "}";
            }
            _ => {
                for (at, (name, texts)) in fields.iter().enumerate() {
                    let lead = if at == 0 { "  - " } else { "    " };
                    text += &format!("{lead}{name}: {}\n", value(name, texts));
                }
            }
        }
    }
    if format == "JSON" {
        text += "]}";
    }
    text
}

fn one(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn simple_rule(id: String) -> Vec<(&'static str, Vec<String>)> {
    vec![
        ("id", vec![id]),
        ("effect", one("allow")),
        ("principals", one("service:billing")),
        ("actions", one("read")),
        ("paths", one("prod/db")),
    ]
}

#[test]
fn the_formats_say_the_same() {
    let policies = [
        Policy::from_toml(TOML).unwrap(),
        Policy::from_json(JSON).unwrap(),
        #[cfg(feature = "yaml")]
        Policy::from_yaml(YAML).unwrap(),
    ];
    for policy in policies {
        assert_eq!(policy.revision(), Policy::from_toml(TOML).unwrap().revision());
        let rules = policy.rules();
        assert_eq!(
            rules.iter().map(|rule| rule.id()).collect::<Vec<_>>(),
            ["readers", "no-interns"]
        );
        assert_eq!(rules[1].effect(), RuleEffect::Deny);
        assert_eq!(rules[0].description(), Some("readers read"));
        let ask = |who: Principal| {
            let now = Timestamp::default();
            policy.evaluate(&AccessRequest::new(who, ActionName::Read, path!("prod/db"), now))
        };
        let reader = Principal::user("alice").with_role("reader");
        let decision = ask(reader.clone());
        assert_eq!(decision.effect(), Effect::Allow);
        assert_eq!(decision.explanation().to_string(), "rule `readers`: readers read");
        let denied = ask(reader.with_role("intern"));
        assert_eq!(denied.effect(), Effect::Deny);
        assert_eq!(denied.explanation().rule().map(|id| &**id), Some("no-interns"));
        // Both principals and roles must fit.
        assert_eq!(ask(Principal::user("alice")).effect(), Effect::Deny);
        assert_eq!(ask(Principal::host("a").with_role("reader")).effect(), Effect::Deny);
    }
}

#[test]
fn every_malformed_entry_is_refused_with_its_kind() {
    type Fits = fn(&FaultKind) -> bool;
    let table: &[(&'static str, &str, Fits)] = &[
        ("id", "", |k| *k == FaultKind::RuleId),
        ("id", "a b", |k| *k == FaultKind::RuleId),
        ("effect", "Allow", |k| *k == FaultKind::Effect),
        ("effect", "unavailable", |k| *k == FaultKind::Effect),
        ("description", "a\u{1b}[31m", |k| *k == FaultKind::Description),
        ("principals", "billing", |k| *k == FaultKind::Principal),
        ("principals", "role:reader", |k| *k == FaultKind::Principal),
        ("principals", "system:recovery", |k| *k == FaultKind::Principal),
        ("principals", "service:", |k| *k == FaultKind::Principal),
        ("principals", "service:b*", |k| *k == FaultKind::Principal),
        ("principals", "*:billing", |k| *k == FaultKind::Principal),
        ("roles", "*", |k| *k == FaultKind::Role),
        ("roles", "", |k| *k == FaultKind::Role),
        ("actions", "reed", |k| *k == FaultKind::Action),
        ("actions", "read*", |k| *k == FaultKind::Action),
        ("actions", "recover", |k| *k == FaultKind::NotGrantable),
        ("paths", "prod/**x", |k| matches!(k, FaultKind::Path(_))),
        ("paths", "", |k| matches!(k, FaultKind::Path(_))),
        ("when", "x", |k| matches!(k, FaultKind::UnknownField { .. })),
    ];
    for (format, parse) in formats() {
        for (field, text, fits) in table {
            let mut rule = simple_rule("r".into());
            rule.retain(|(name, _)| name != field);
            rule.push((*field, one(text)));
            // TOML writes control characters in another way than Rust's Debug.
            let document = write(format, &[rule]).replace("\\u{1b}", "\\u001b");
            let error = parse(&document).unwrap_err();
            let [fault] = error.faults() else { panic!("{format} {field} {text}: {error:?}") };
            assert!(fits(fault.kind()), "{format} {field} {text}: {fault}");
            assert_eq!(fault.rule(), Some(1));
            assert!(fault.line().is_some_and(|line| line >= 2), "{format} {fault}");
        }
        for field in ["id", "effect", "actions", "paths"] {
            let mut rule = simple_rule("r".into());
            rule.retain(|(name, _)| *name != field);
            let error = parse(&write(format, &[rule])).unwrap_err();
            assert_eq!(error.faults()[0].kind(), &FaultKind::MissingField);
            assert_eq!(error.faults()[0].field(), Some(field));
        }
        for field in ["principals", "actions", "paths"] {
            let mut rule = simple_rule("r".into());
            rule.retain(|(name, _)| *name != field);
            rule.push((field, Vec::new()));
            let error = parse(&write(format, &[rule])).unwrap_err();
            assert_eq!(error.faults()[0].kind(), &FaultKind::EmptyList, "{format} {field}");
        }
        let mut rule = simple_rule("r".into());
        rule.retain(|(name, _)| *name != "principals");
        let error = parse(&write(format, &[rule])).unwrap_err();
        assert_eq!(error.faults()[0].kind(), &FaultKind::Nobody);

        let twice = [simple_rule("r".into()), simple_rule("s".into()), simple_rule("r".into())];
        let error = parse(&write(format, &twice)).unwrap_err();
        assert_eq!(error.faults()[0].kind(), &FaultKind::DuplicateRule { first: 1 });
        assert_eq!(error.faults()[0].rule(), Some(3));
    }
}

#[test]
fn a_policy_names_at_most_64_claims() {
    for (format, parse) in formats() {
        let rules = |count: usize| {
            let mut rule = simple_rule("r".into());
            rule.retain(|(name, _)| *name != "paths");
            rule.push(("paths", (0..count).map(|n| format!("prod/${{claim-{n}}}")).collect()));
            write(format, &[rule])
        };
        assert!(parse(&rules(64)).is_ok());
        let error = parse(&rules(66)).unwrap_err();
        assert_eq!(error.faults().len(), 2, "{format}");
        assert_eq!(error.faults()[0].kind(), &FaultKind::ManyClaims);
        assert_eq!(error.faults()[0].entry(), Some(65));
    }
}

#[test]
fn other_shapes_are_refused() {
    for (text, parse) in [
        ("", Policy::from_toml as Parse),
        ("rules = []", Policy::from_toml),
        ("rule = 3", Policy::from_toml),
        ("rule = [3]", Policy::from_toml),
        ("[rule]\nid = 'a'", Policy::from_toml),
        ("rule = [[[[[[[[1]]]]]]]]", Policy::from_toml),
        ("rule = []\nrule = []", Policy::from_toml),
        ("[[rule]", Policy::from_toml),
        ("", Policy::from_json),
        ("[]", Policy::from_json),
        ("null", Policy::from_json),
        ("{\"rule\": []} {}", Policy::from_json),
        ("{\"rule\": [], \"rule\": []}", Policy::from_json),
        ("{\"rule\": [{\"id\": \"\\ud800\"}]}", Policy::from_json),
        #[cfg(feature = "yaml")]
        ("", Policy::from_yaml),
        #[cfg(feature = "yaml")]
        ("rule: []\nrule: []", Policy::from_yaml),
        #[cfg(feature = "yaml")]
        ("rule: []\n---\nrule: []", Policy::from_yaml),
        #[cfg(feature = "yaml")]
        ("1: []", Policy::from_yaml),
        #[cfg(feature = "yaml")]
        ("rule: [", Policy::from_yaml),
    ] {
        let error = parse(text).unwrap_err();
        assert!(!error.faults().is_empty(), "{text}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    for (_, parse) in formats() {
        for open in ["[", "{\"a\":", "{a = "] {
            assert!(parse(&open.repeat(200_000)).is_err());
            assert!(parse(&format!("rule = {}", open.repeat(200_000))).is_err());
        }
    }
}

#[test]
fn fc_129_ten_thousand_rules_and_a_hundred_thousand_entries_load() {
    for (format, parse) in formats() {
        let rules: Vec<_> = (0..10_000)
            .map(|n| {
                let mut rule = simple_rule(format!("rule-{n}"));
                rule.retain(|(name, _)| *name != "paths");
                let paths = (0..10).map(|m| format!("prod/team-{n}/entry-{m}/**")).collect();
                rule.push(("paths", paths));
                rule
            })
            .collect();
        let policy = parse(&write(format, &rules)).unwrap();
        assert_eq!(policy.rules().len(), 10_000);
        let request = AccessRequest::new(
            Principal::service("billing"),
            ActionName::Read,
            path!("prod/team-9999/entry-9/db"),
            Timestamp::default(),
        );
        let decision = policy.evaluate(&request);
        assert_eq!(decision.explanation().rule().map(|id| &**id), Some("rule-9999"), "{format}");

        // The same with five bad entries spread over it.
        let mut rules = rules;
        let bad = [17, 2_500, 5_000, 7_777, 9_999];
        for at in bad {
            rules[at].iter_mut().find(|(name, _)| *name == "paths").unwrap().1[4] =
                "prod/**broken**".into();
        }
        let text = write(format, &rules);
        let error = parse(&text).unwrap_err();
        let lines: Vec<_> = text.lines().collect();
        let places: Vec<_> = error
            .faults()
            .iter()
            .map(|fault| {
                let line = fault.line().unwrap();
                assert!(lines[line - 1].contains("broken"), "{format} {fault}");
                assert_eq!((fault.field(), fault.entry()), (Some("paths"), Some(5)));
                assert_eq!(
                    fault.rule_id(),
                    Some(format!("rule-{}", fault.rule().unwrap() - 1)).as_deref()
                );
                fault.rule().unwrap() - 1
            })
            .collect();
        assert_eq!(places, bad, "{format}");
    }
}

#[test]
fn fc_129_a_document_of_50_mb_is_refused_by_its_size() {
    let text = "#".repeat(50_000_000);
    for (format, parse) in formats() {
        let error = parse(&text).unwrap_err();
        assert_eq!(
            error.faults()[0].kind(),
            &FaultKind::TooLarge { bytes: 50_000_000 },
            "{format}"
        );
    }
    let text = format!("rule = []{}", " ".repeat(MAX_DOCUMENT_BYTES - 9));
    assert!(Policy::from_toml(&text).is_ok());
    assert!(Policy::from_toml(&(text + " ")).is_err());
}

#[cfg(feature = "yaml")]
#[test]
fn fc_129_anchors_and_aliases_are_refused() {
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nrule: *c\n";
    let single = "rule:\n  - id: r\n    effect: allow\n    principals: &p [\"*\"]\n    \
                  actions: *p\n    paths: [prod]\n";
    let deep = format!("rule: {}{}", "[".repeat(60), "]".repeat(60));
    for text in [bomb, single, &deep] {
        let error = Policy::from_yaml(text).unwrap_err();
        assert_eq!(error.faults()[0].kind(), &FaultKind::Expansion, "{text}: {error}");
    }
}

#[test]
fn no_fault_quotes_the_document() {
    const CANARY: &str = "hunter2-CANARY-s3cr3t";
    let quoted = format!("\"{CANARY}*\"");
    let texts = [
        CANARY.to_owned(),
        format!("password = {quoted}"),
        format!("{CANARY} = [[["),
        format!("rule = {quoted}"),
        format!(
            "\"{CANARY}\" = \"{CANARY}\"\n[[rule]]\nid = \"{CANARY} x\"\neffect = {quoted}\n\
                 description = \"{CANARY}\\u0000\"\nprincipals = [{quoted}]\nroles = [{quoted}]\n\
                 actions = [{quoted}]\npaths = [\"{CANARY}*x*\", \"{CANARY}/${{{CANARY}\"]\n\
                 \"{CANARY}\" = 1"
        ),
        format!("{{\"rule\": {quoted}"),
        format!("{{\"rule\": {quoted}, {quoted}: {quoted}}}"),
        format!("{{\"rule\": [{{{quoted}: {quoted}, \"id\": {quoted}, \"effect\": {quoted}}}]}}"),
        format!("rule:\n  - {CANARY}: &{CANARY} x\n"),
        format!("rule:\n  - {CANARY}: *{CANARY}\n"),
        format!("rule: !{CANARY} [{CANARY}\n"),
        format!("{CANARY}: 1\n{CANARY}: 2\n"),
    ];
    for (format, parse) in formats() {
        for text in &texts {
            let error = parse(text).unwrap_err();
            let mut said = format!("{error} {error:?}");
            for fault in error.faults() {
                said += &format!(" {fault} {:?} {}", fault, fault.kind());
            }
            assert!(!said.contains("CANARY"), "{format}: {said}");
            assert!(std::error::Error::source(&error).is_none());
        }
    }
}
