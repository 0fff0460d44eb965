//! Each campaign in its short form, so that CI sees what it would find in hours.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::process::Command;

fn campaign(words: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_campaign")).args(words).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{words:?}: {}\n{text}{complaints}", done.status);
    text
}

#[test]
fn each_campaign_in_short() {
    let names = campaign(&["--list"]);
    assert!(names.lines().count() >= 3);
    for name in names.lines() {
        print!("{}", campaign(&[name, "--seed", "7"]));
    }
}

#[test]
fn an_unknown_campaign_is_refused() {
    let done = Command::new(env!("CARGO_BIN_EXE_campaign")).arg("no-such").output().unwrap();
    assert_eq!(done.status.code(), Some(2));
}
