//! Each example is run, as a person would run it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
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

#[test]
fn the_quickstart_writes_where_it_was_told_and_nowhere_else() {
    let scratch = tempfile::tempdir().unwrap();
    let neighbour = scratch.path().join("room.copy/precious");
    std::fs::create_dir(neighbour.parent().unwrap()).unwrap();
    std::fs::write(&neighbour, "x").unwrap();
    for _ in 0..2 {
        text(&example("quickstart").arg("room").current_dir(&scratch).output().unwrap());
    }
    assert!(neighbour.exists());
    for wrong in [&["--help"][..], &[""], &["one", "two"]] {
        let output = example("quickstart").args(wrong).current_dir(&scratch).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert_eq!(output.stderr, b"usage: quickstart [DIRECTORY]\n");
    }
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 2, "the room and its neighbour");
}

#[test]
fn the_quickstart_says_what_is_in_the_way_and_stops_when_nobody_reads() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let output = example("quickstart").arg(&file).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("the storage cannot be kept here"), "{told}");

    let mut child = example("quickstart")
        .arg(scratch.path().join("room"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.starts_with("1. ") && output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
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
    assert!(refused.contains("the passphrase is not the right one"), "{refused}");
    let unknown = Command::new(example("offline_tool").get_program())
        .arg(scratch.path().join("none"))
        .args(["get", "home/key"])
        .env("ROOM_PASSPHRASE", "pass")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(told.starts_with("there is no store here"), "{told}");
    assert!(!scratch.path().join("none").exists(), "a look makes nothing");
}

#[test]
fn an_auditor_reads_the_log_without_the_passphrase() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let mut put = example("offline_tool");
    put.arg(&dir).args(["put", "home/key"]).env("ROOM_PASSPHRASE", "pass").stdin(Stdio::null());
    put.status().unwrap(); // an empty value is refused, and that is recorded
    let auditor = |command: &str, key: Option<&str>| {
        let mut auditor = example("auditor");
        auditor.arg(command).arg(&dir).env_remove("ROOM_PASSPHRASE");
        match (command, key) {
            ("key", Some(pass)) => auditor.env("ROOM_PASSPHRASE", pass),
            (_, Some(key)) => auditor.env("ROOM_AUDITOR_KEY", key),
            (_, None) => &mut auditor,
        };
        auditor.output().unwrap()
    };
    let key = text(&auditor("key", Some("pass")));
    let read = text(&auditor("read", Some(&key)));
    assert!(read.lines().count() > 5, "{read}");
    assert!(read.contains(r#""principal":"user:owner","action":"read-audit""#), "{read}");
    for (wrong, told) in [
        (auditor("read", None), "set ROOM_AUDITOR_KEY"),
        (
            auditor("read", Some(key.trim_end().trim_end_matches(char::is_alphanumeric))),
            "no auditor's key",
        ),
        (auditor("key", Some("another")), "the passphrase is not the right one"),
        (auditor("write", None), "usage: auditor"),
    ] {
        let error = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert!(!wrong.status.success() && wrong.stdout.is_empty(), "{error}");
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_backend_of_the_hosts_own_keeps_a_store() {
    let scratch = tempfile::tempdir().unwrap();
    let shown = text(&example("own_backend").arg(scratch.path().join("room")).output().unwrap());
    assert!(shown.contains("version 1 is in"), "{shown}");
    assert!(shown.contains("6 bytes") && shown.contains("0 accusations"), "{shown}");
    assert!(scratch.path().join("room/records/records.json").exists());
}

/// What the service does is in `tests/web_service.rs`; this is the program itself.
#[test]
fn the_web_service_listens_and_says_where() {
    let scratch = tempfile::tempdir().unwrap();
    let mut child = example("web_service")
        .arg(scratch.path().join("room"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = shown.next().unwrap();
    let at = first.strip_prefix("listening on http://").unwrap().split(';').next().unwrap();
    let token = shown.find(|line| line.starts_with("v4.public.")).unwrap();
    let call = |what: &str, body: &str| {
        let mut stream = TcpStream::connect(at).unwrap();
        let (length, line) = (body.len(), "HTTP/1.1\r\nHost: test\r\nConnection: close");
        write!(
            stream,
            "{what} {line}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let put = call("PUT /secrets/tenants/acme/hook", "key");
    let signed = call("POST /sign/tenants/acme/hook", "text");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(put.starts_with("HTTP/1.1 201 "), "{put}");
    assert!(signed.starts_with("HTTP/1.1 200 "), "{signed}");
}

#[test]
fn of_those_who_share_a_token_one_asks_for_the_next() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let shown = text(&example("shared_token").arg(&dir).output().unwrap());
    assert!(shown.contains("gave 5 tokens to 4 workers, and saw none of them twice"), "{shown}");
    assert!(shown.contains("accuses 0 "), "{shown}");
    // Not over somebody's store.
    let again = example("shared_token").arg(&dir).output().unwrap();
    assert!(!again.status.success() && again.stdout.is_empty(), "{again:?}");
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(told.contains("a directory of its own"), "{told}");
    assert!(!example("shared_token").args(["one", "two"]).output().unwrap().status.success());
}
