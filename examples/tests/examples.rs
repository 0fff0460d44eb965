//! Each example is run, as a person would run it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Cargo builds the examples of a package before its tests, into `examples` beside `deps`.
fn example(name: &str) -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "the example {name} was not built: run cargo test without a filter");
    Command::new(path)
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_quickstart_shows_each_step() {
    let scratch = tempfile::tempdir().unwrap();
    let shown = text(&example("quickstart").arg(scratch.path().join("room")).output().unwrap());
    for step in 1..=8 {
        assert!(shown.contains(&format!("\n{step}. ")) || shown.starts_with("1. "), "{shown}");
    }
    assert!(shown.contains("rolled back"), "{shown}");
    assert!(shown.contains("nobody is accused"), "{shown}");
    assert!(!shown.contains("s3cr3t-of-the-tour"), "{shown}");
}

/// The README shows exactly the program that is run here.
#[test]
fn the_readme_tells_the_truth() {
    let program = include_str!("../readme.rs");
    let program = program.split_once("\n\n").unwrap().1;
    let readme = include_str!("../../README.md");
    assert!(readme.contains(program), "README.md and examples/readme.rs differ");
    let scratch = tempfile::tempdir().unwrap();
    let shown = text(&example("readme").current_dir(scratch.path()).output().unwrap());
    assert!(shown.contains("6 bytes, read by service:billing"), "{shown}");
    assert!(shown.contains("read was refused"), "{shown}");
}

#[test]
fn a_kind_of_the_hosts_own_goes_in_and_out() {
    let shown = text(&example("own_kind").output().unwrap());
    assert!(shown.contains("client-7: 6 and 3 bytes of secrets"), "{shown}");
}

#[test]
fn the_offline_tool_keeps_every_byte() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &[u8], passphrase: &str| {
        let mut child = example("offline_tool")
            .arg(scratch.path().join("room"))
            .args(arguments)
            .env("ROOM_PASSPHRASE", passphrase)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    };
    let value = b"  line\r\n\xff\x00\n\n";
    assert_eq!(text(&run(&["put", "home/key"], value, "pass")), "version 1\n");
    assert_eq!(run(&["get", "home/key"], b"", "pass").stdout, value);
    assert_eq!(text(&run(&["list", "home"], b"", "pass")), "home/key\n");
    let refused = run(&["get", "home/key"], b"", "another");
    assert!(!refused.status.success() && refused.stdout.is_empty());
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("Seal"), "{refused}");
}
