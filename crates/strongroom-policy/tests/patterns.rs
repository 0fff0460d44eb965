//! The specification of path patterns, each cell of it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use strongroom_core::{
    AccessRequest, ActionName, Effect, Namespace, Prefix, Principal, SecretPath, Target, Timestamp,
};
use strongroom_policy::{FaultKind, PatternProblem, Policy};

fn allowing(pattern: &str) -> Policy {
    Policy::from_toml(&format!(
        "[[rule]]\nid = \"r\"\neffect = \"allow\"\nprincipals = [\"*\"]\nactions = [\"*\"]\n\
         paths = ['{pattern}']"
    ))
    .unwrap()
}

fn denying(pattern: &str) -> Policy {
    Policy::from_toml(&format!(
        "[[rule]]\nid = \"all\"\neffect = \"allow\"\nprincipals = [\"*\"]\nactions = [\"*\"]\n\
         paths = ['/', '**']\n\
         [[rule]]\nid = \"r\"\neffect = \"deny\"\nprincipals = [\"*\"]\nactions = [\"*\"]\n\
         paths = ['{pattern}']"
    ))
    .unwrap()
}

fn target(text: &str) -> Target {
    match text {
        "/" => Target::Store,
        _ if text.contains('/') => Target::Secret(text.parse().unwrap()),
        _ => Target::Namespace(text.parse().unwrap()),
    }
}

fn allows(policy: &Policy, who: &Principal, target: Target) -> bool {
    let action = match &target {
        Target::Store => ActionName::Verify,
        Target::Namespace(_) => ActionName::CreateNamespace,
        Target::Prefix(_) => ActionName::List,
        _ => ActionName::Read,
    };
    let request = AccessRequest::new(who.clone(), action, target, Timestamp::default());
    policy.evaluate(&request).effect() == Effect::Allow
}

#[test]
fn fc_094_each_cell_of_the_table_of_patterns() {
    let who = Principal::service("a");
    let targets = ["prod/a/db", "prod/a/b/db", "prod", "prod/a", "prod/db", "dev/a/db", "/"];
    #[rustfmt::skip]
    let table = [
        ("prod/*/db",  [true,  false, false, false, false, false, false]),
        ("prod/**/db", [true,  true,  false, false, true,  false, false]),
        ("prod/d*b",   [false, false, false, false, true,  false, false]),
        ("prod/d*",    [false, false, false, false, true,  false, false]),
        ("prod/*b",    [false, false, false, false, true,  false, false]),
        ("prod/db*db", [false, false, false, false, false, false, false]),
        ("*",          [false, false, true,  false, false, false, false]),
        ("*/*",        [false, false, false, true,  true,  false, false]),
        ("**",         [true,  true,  true,  true,  true,  true,  false]),
        ("prod/*",     [false, false, false, true,  true,  false, false]),
        ("prod/**",    [true,  true,  true,  true,  true,  false, false]),
        ("**/db",      [true,  true,  false, false, true,  true,  false]),
        ("**/a/**",    [true,  true,  false, true,  false, true,  false]),
        ("prod",       [false, false, true,  false, false, false, false]),
        ("prod/a",     [false, false, false, true,  false, false, false]),
        ("/",          [false, false, false, false, false, false, true]),
    ];
    for (pattern, row) in table {
        let (allow, deny) = (allowing(pattern), denying(pattern));
        for (text, matches) in targets.into_iter().zip(row) {
            assert_eq!(allows(&allow, &who, target(text)), matches, "{pattern} allows {text}");
            assert_eq!(allows(&deny, &who, target(text)), !matches, "{pattern} denies {text}");
        }
    }
}

#[test]
fn fc_094_a_star_in_a_request_is_no_path_and_other_stars_are_no_pattern() {
    for text in ["prod/*/db", "prod/**", "*/db", "prod/d*b"] {
        assert!(text.parse::<SecretPath>().is_err(), "{text}");
        assert!(text.parse::<Prefix>().is_err(), "{text}");
    }
    assert!("*".parse::<Namespace>().is_err());
    for (pattern, problem) in [
        ("prod/d*b*", PatternProblem::SecondStar { at: 8 }),
        ("prod/**x", PatternProblem::RestInSegment { at: 5 }),
    ] {
        let document = format!(
            "[[rule]]\nid = \"r-1\"\neffect = \"deny\"\nprincipals = [\"*\"]\nactions = [\"*\"]\n\
             paths = [\n  \"prod\",\n  \"{pattern}\",\n]"
        );
        let error = Policy::from_toml(&document).unwrap_err();
        let [fault] = error.faults() else { unreachable!("one fault, not {error:?}") };
        assert_eq!(fault.kind(), &FaultKind::Path(problem));
        assert_eq!(
            (fault.rule(), fault.rule_id(), fault.field(), fault.entry(), fault.line()),
            (Some(1), Some("r-1"), Some("paths"), Some(2), Some(8))
        );
    }
}

#[test]
fn a_claim_is_one_literal_segment_and_never_a_pattern() {
    let allow = allowing("prod/${tenant}/**");
    let deny = denying("prod/${tenant}/**");
    let acme = Principal::service("a").with_claim("tenant", "acme");
    assert!(allows(&allow, &acme, target("prod/acme/db")));
    assert!(!allows(&allow, &acme, target("prod/other/db")));
    assert!(!allows(&deny, &acme, target("prod/acme/db")));
    assert!(allows(&deny, &acme, target("prod/other/db")));

    let nobody = Principal::service("a");
    for who in [
        nobody.clone(),
        nobody.clone().with_claim("tenant", ""),
        nobody.clone().with_claim("tenant", "*"),
        nobody.clone().with_claim("tenant", "**"),
        nobody.clone().with_claim("tenant", "acme/x"),
        nobody.clone().with_claim("tenant", ".."),
        nobody.clone().with_claim("tenant", "${tenant}"),
        nobody.clone().with_claim("tenant", 7),
        nobody.clone().with_claim("tenant", true),
        nobody.clone().with_claim("tenant", vec!["acme".to_owned()]),
    ] {
        for path in ["prod/acme/db", "prod/other/db", "prod/acme"] {
            assert!(!allows(&allow, &who, target(path)), "{who:?} {path}");
            assert!(!allows(&deny, &who, target(path)), "{who:?} {path}");
        }
        // No segment in the claim's place would make these match.
        for path in ["dev/acme/db", "prod"] {
            assert!(allows(&deny, &who, target(path)), "{who:?} {path}");
        }
    }
}

#[test]
fn a_prefix_is_matched_as_its_text_and_a_version_not_at_all() {
    let who = Principal::user("a");
    let prefix: Prefix = "prod/billing".parse().unwrap();
    assert!(allows(&allowing("prod/billing"), &who, prefix.clone().into()));
    assert!(allows(&allowing("prod/billing/**"), &who, prefix.clone().into()));
    assert!(!allows(&allowing("prod/billing/*"), &who, prefix.into()));
    let version: strongroom_core::SecretRef = "prod/db@3".parse().unwrap();
    assert!(allows(&allowing("prod/db"), &who, version.into()));
}
