//! Misuse does not compile. Each program in `fail/` is refused with the committed message beside
//! it, and has a twin of the same name in `pass/` that does the right thing and runs: so a case
//! fails for the reason that it is about.
//!
//! After a change of the compiler's wording: `TRYBUILD=overwrite cargo test -p
//! strongroom-compile-fail`, and read the difference.

#![expect(clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    fs::read_dir(folder)
        .expect("the folder of cases is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect()
}

#[test]
fn misuse_does_not_compile_and_its_twin_does() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/fail/*.rs");
    cases.pass("tests/pass/*.rs");
    println!("CASES {}", names("fail", ".rs").len());
}

#[test]
fn every_case_has_a_twin_and_a_message() {
    let fail = names("fail", ".rs");
    assert_eq!(fail, names("pass", ".rs"));
    assert_eq!(fail, names("fail", ".stderr"));
}
