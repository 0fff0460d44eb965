//! Policies in three formats.

use strongroom::{Policy, PolicyError};

use crate::Cases;

fn refused(
    cases: &mut Cases,
    name: &str,
    hint: &str,
    text: &str,
    read: fn(&str) -> Result<Policy, PolicyError>,
) {
    assert!(!hint.is_empty());
    let has = |error: &PolicyError| error.faults().iter().any(|it| it.to_string().contains(hint));
    cases.refused(name, "the policy is refused", has, || read(text));
}

#[test]
fn policies_in_toml() {
    let mut cases = Cases::default();
    let rule = |lines: &str| format!("[[rule]]\nid = \"a\"\n{lines}");
    let whole = |effect: &str, who: &str, actions: &str, paths: &str| {
        rule(&format!("effect = {effect}\n{who}\nactions = {actions}\npaths = {paths}\n"))
    };
    let (allow, any, read, all) = ("\"allow\"", "principals = [\"*\"]", "[\"read\"]", "[\"a/**\"]");
    let huge = "#".repeat(50_000_000);
    for (name, hint, text) in [
        ("an empty document", "write rules", String::new()),
        ("no rules", "write rules", "# nothing\n".to_owned()),
        ("half a table", "mend it", "[[rule]".to_owned()),
        ("no table", "write ", "rule = 3\n".to_owned()),
        (
            "a field that is not known",
            "the fields are",
            format!("version = 2\n{}", whole(allow, any, read, all)),
        ),
        ("a field twice", "mend it", format!("{}id = \"a\"\n", whole(allow, any, read, all))),
        ("nothing in a rule", "every rule has", rule("")),
        ("an effect that is none", "write `allow` or `deny`", whole("\"alow\"", any, read, all)),
        ("an effect that is a number", "write ", whole("1", any, read, all)),
        ("an action that is none", "write one such as", whole(allow, any, "[\"peek\"]", all)),
        ("recover", "leave it out", whole(allow, any, "[\"recover\"]", all)),
        ("no actions", "give it an entry", whole(allow, any, "[]", all)),
        ("nobody", "give it `principals`", whole(allow, "", read, all)),
        (
            "a principal without a kind",
            "write `user:`",
            whole(allow, "principals = [\"bob\"]", read, all),
        ),
        (
            "a role with a star",
            "write its exact name",
            whole(allow, "roles = [\"adm*\"]", read, all),
        ),
        ("an empty path", "write a pattern", whole(allow, any, read, "[\"\"]")),
        ("two stars in a segment", "use one", whole(allow, any, read, "[\"a/*b*\"]")),
        ("three double stars", "use at most two", whole(allow, any, read, "[\"**/a/**/b/**\"]")),
        ("a doubled slash", "write no leading", whole(allow, any, read, "[\"a//b\"]")),
        (
            "a rule id with a space",
            "write 1 to 128",
            whole(allow, any, read, all).replace("\"a\"\n", "\"a b\"\n"),
        ),
        ("an id twice", "give each its own", whole(allow, any, read, all).repeat(2)),
        ("50 MB", "a policy has at most", huge),
    ] {
        refused(&mut cases, name, hint, &text, Policy::from_toml);
    }
    cases.done(22);
}

#[test]
fn policies_in_json() {
    let mut cases = Cases::default();
    for (name, hint, text) in [
        ("nothing", "mend it", ""),
        ("a list", "write ", "[]"),
        ("no rule", "write rules", "{}"),
        ("half a document", "mend it", r#"{"rule": ["#),
        ("text after it", "mend it", r#"{"rule": []} {}"#),
        ("a comma too many", "mend it", r#"{"rule": [],}"#),
        ("a field twice", "keep one", r#"{"rule": [], "rule": []}"#),
        ("null", "write ", r#"{"rule": null}"#),
        ("another case", "the fields are", r#"{"rule": [], "Rule": []}"#),
    ] {
        refused(&mut cases, name, hint, text, Policy::from_json);
    }
    let deep = "[".repeat(100_000);
    refused(&mut cases, "deep nesting", "mend it", &deep, Policy::from_json);
    cases.done(10);
}

#[cfg(feature = "yaml")]
#[test]
fn policies_in_yaml() {
    let mut cases = Cases::default();
    for (name, hint, text) in [
        ("nothing", "write ", ""),
        ("a tab", "mend it", "rule:\n\t- id: a\n"),
        ("an anchor", "write the values out", "rule: &a []\nx: *a\n"),
        ("a field twice", "keep one", "rule: []\nrule: []\n"),
        ("two documents", "write the values out", "rule: []\n---\nrule: []\n"),
        ("a truth for a text", "write ", "rule:\n- id: yes\n  effect: true\n"),
        ("no rule", "write rules", "rules: []\n"),
        ("a tag", "write a list of rules", "rule: !!binary \"AA==\"\n"),
    ] {
        refused(&mut cases, name, hint, text, Policy::from_yaml);
    }
    cases.done(8);
}
