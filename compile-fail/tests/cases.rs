//! Misuse does not compile. Each program in `fail/` is refused with the error codes that it names
//! itself, on the lines where it names them (`//~ E0599`), and has a twin of the same name in
//! `pass/` that does the right thing: so a case fails for the reason that it is about. Codes and
//! lines, not words: the next compiler may say the same in other words.
//!
//! What is in `fail/` and `pass/` are programs of a host; their twins run, too. What is in
//! `inside/fail/` and `inside/pass/` are modules of the engine, each compiled with all of the
//! engine's sources.

#![expect(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::indexing_slicing, reason = "what a JSON value does not have reads as null")]

mod harness;

use std::collections::BTreeSet;

use harness::{Case, Found, Side, Workshop, read};

/// The misuses that stay among the cases, whoever tidies them.
const PROMISED: [&str; 20] = [
    "builder_without_sink",
    "expose_borrow_across_await",
    "permit_cloned",
    "permit_deserialised",
    "permit_forged",
    "permit_of_another_action",
    "permit_used_twice",
    "permit_with_another_target",
    "principal_deserialised",
    "sealed_room_asked_for_a_session",
    "secret_among_identifiers",
    "value_cloned",
    "value_compared",
    "value_deserialised",
    "value_printed",
    "value_serialised",
    "within_permit_built",
    "within_permit_cloned",
    "within_permit_redeemed_twice",
    "within_redeemed_with_another_target",
];

#[test]
fn misuse_does_not_compile_and_its_twin_does() {
    let fail = read("fail", Side::Host).into_iter().chain(read("inside/fail", Side::Inside));
    let fail: Vec<Case> = fail.collect();
    let pass = read("pass", Side::Host).into_iter().chain(read("inside/pass", Side::Inside));
    let pass: Vec<Case> = pass.collect();
    assert_eq!(names(&fail), names(&pass), "each case has a twin, and each twin a case");
    for name in PROMISED {
        assert!(names(&fail).contains(name), "the case `{name}` is gone");
    }

    let workshop = Workshop::set_up(&fail, &pass);
    let found = workshop.check();
    let mut faults: Vec<String> = fail.iter().filter_map(|case| fault(case, &found)).collect();
    // What is in no case's target is in a twin, or in the engine.
    let targets = names(&fail);
    let stray = found.iter().filter(|found| !targets.contains(found.target.as_str()));
    faults.extend(stray.map(|found| format!("a twin does not compile: {found:?}")));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));

    workshop.run_twins();
    println!("CASES {}", fail.len());
}

fn names(cases: &[Case]) -> BTreeSet<&str> {
    cases.iter().map(|case| case.name.as_str()).collect()
}

/// What is wrong with the refusal of a program.
fn fault(case: &Case, found: &[Found]) -> Option<String> {
    let own: Vec<&Found> = found.iter().filter(|found| found.target == case.name).collect();
    let refused: BTreeSet<(usize, String)> = own
        .iter()
        .map(|found| {
            let line = if found.file.ends_with(&case.file) { found.line } else { 0 };
            (line, found.code.clone())
        })
        .collect();
    if case.expected.is_empty() {
        return Some(format!("{}: names no error (`//~ E0599` on the line)", case.name));
    }
    (refused != case.expected).then(|| {
        let (name, expected) = (&case.name, &case.expected);
        format!("{name}: expected {expected:?}, and the compiler says {own:#?}")
    })
}
