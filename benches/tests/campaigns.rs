//! Each campaign in its short form, so that CI sees what it would find in hours.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::process::Command;

/// Those that watch or answer what a process asks of the operating system.
const NEED_STRACE: [&str; 2] = ["io-errors", "power-cut"];

/// Whether it is there, and may trace.
fn has_strace() -> bool {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    tried.is_ok_and(|status| status.success())
}

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
    assert!(names.lines().count() >= 7);
    for name in names.lines() {
        if NEED_STRACE.contains(&name) && !has_strace() {
            println!("{name}: left out, there is no `strace` here");
            continue;
        }
        print!("{}", campaign(&[name, "--seed", "7"]));
    }
}

#[test]
fn an_unknown_campaign_is_refused() {
    let done = Command::new(env!("CARGO_BIN_EXE_campaign")).arg("no-such").output().unwrap();
    assert_eq!(done.status.code(), Some(2));
}
