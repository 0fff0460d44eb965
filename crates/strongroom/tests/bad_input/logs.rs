//! Directories of logs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use strongroom::{AuditError, Error, Invalid, Passphrase, Tampered, Unavailable};

use crate::Cases;
use crate::disk::{self, Allowed, Snapshot};

type Change = Box<dyn Fn(&Path)>;
type Is = fn(&Error) -> bool;

fn lines(change: impl Fn(&mut Vec<String>) + 'static) -> Change {
    Box::new(move |room| {
        let log = disk::log_of(room);
        let mut lines: Vec<_> =
            fs::read_to_string(&log).unwrap().lines().map(|line| format!("{line}\n")).collect();
        change(&mut lines);
        fs::write(log, lines.concat()).unwrap();
    })
}

fn is_log(error: &Error) -> bool {
    match error {
        Error::Unavailable(Unavailable::Audit(_)) => true,
        Error::Invalid(invalid) => matches!(**invalid, Invalid::OtherStore { .. }),
        _ => false,
    }
}

fn malformed(error: &Error) -> bool {
    matches!(error, Error::Unavailable(Unavailable::Audit(AuditError::Malformed { .. })))
}

const CUT: &str = "was cut, replaced or taken away";

fn rolled_back(error: &Error) -> bool {
    matches!(error, Error::Tampered(Tampered::AuditLogRolledBack { .. }))
}

#[test]
fn logs_that_are_not_what_was_written() {
    let scratch = tempfile::tempdir().unwrap();
    let (whole, other) = (scratch.path().join("whole"), scratch.path().join("other"));
    disk::make(&whole, false);
    disk::make(&other, false);
    let foreign = other.join("audit");
    let foreign_log = disk::log_of(&other);
    let mut cases = Cases::default();
    let restore = "restore it from a backup";
    let altered: Vec<(&str, &str, Is, Change)> = vec![
        (
            "another store's log",
            "point both",
            is_log,
            Box::new(move |room| {
                fs::remove_dir_all(room.join("audit")).unwrap();
                disk::copy(&foreign, &room.join("audit"));
            }),
        ),
        (
            "another store's log beside its own",
            "point",
            is_log,
            Box::new(move |room| {
                let name = foreign_log.file_name().unwrap();
                fs::copy(&foreign_log, room.join("audit").join(name)).unwrap();
            }),
        ),
        (
            "a file for the directory",
            "name a directory",
            is_log,
            Box::new(|room| {
                fs::remove_dir_all(room.join("audit")).unwrap();
                fs::write(room.join("audit"), "x").unwrap();
            }),
        ),
        (
            "a link to nothing",
            "check the path",
            is_log,
            Box::new(|room| {
                fs::remove_dir_all(room.join("audit")).unwrap();
                symlink("nowhere", room.join("audit")).unwrap();
            }),
        ),
        ("the first line missing", restore, malformed, lines(|it| drop(it.remove(0)))),
        ("the first line twice", restore, malformed, lines(|it| it.insert(0, it[0].clone()))),
        (
            "a wrong certificate",
            restore,
            malformed,
            lines(|it| {
                let at = it[0].find("certificate\":\"").unwrap() + 20;
                let digit = if it[0].as_bytes()[at] == b'0' { "1" } else { "0" };
                it[0].replace_range(at..=at, digit);
            }),
        ),
        (
            "another format",
            "use the release",
            malformed,
            lines(|it| {
                it[0] = it[0].replace("\"v\":\"1\"", "\"v\":\"2\"");
            }),
        ),
        (
            "two formats",
            restore,
            malformed,
            lines(|it| {
                it[2] = it[2].replacen("{\"t\":", "{\"v\":\"2\",\"t\":", 1);
            }),
        ),
        ("glued lines", restore, malformed, lines(|it| it[1] = it[1].trim_end().to_owned())),
        (
            "lines after the end",
            restore,
            malformed,
            lines(|it| {
                let (digest, signature) = ("a".repeat(64), "a".repeat(128));
                let close = format!(
                    "{{\"t\":\"close\",\"at\":\"1\",\"size\":\"2\",\"root\":\"{digest}\",\
                     \"signature\":\"{signature}\"}}\n"
                );
                it.insert(2, close);
            }),
        ),
        ("an empty line", restore, malformed, lines(|it| it.insert(2, "\n".into()))),
        ("a line of another", restore, malformed, lines(|it| it.insert(2, "level=info\n".into()))),
        ("a space", restore, malformed, lines(|it| it[2] = it[2].replacen(':', ": ", 1))),
        (
            "Windows line ends",
            restore,
            malformed,
            lines(|it| {
                it.iter_mut().for_each(|line| *line = line.replace('\n', "\r\n"));
            }),
        ),
        ("a byte order mark", restore, malformed, lines(|it| it[0].insert(0, '\u{feff}'))),
        (
            "upper-case digits",
            restore,
            malformed,
            lines(|it| {
                it[0] = it[0].replace("log_key\":\"", "log_key\":\"A").replacen("A0", "A", 1);
            }),
        ),
        (
            "a name that is another log's",
            restore,
            malformed,
            Box::new(|room| {
                let log = disk::log_of(room);
                fs::rename(&log, log.with_file_name("0123456789abcdef.jsonl")).unwrap();
            }),
        ),
        (
            "zeros",
            CUT,
            rolled_back,
            Box::new(|room| {
                fs::write(disk::log_of(room), vec![0; 300_000]).unwrap();
            }),
        ),
        (
            "nothing in it",
            CUT,
            rolled_back,
            Box::new(|room| {
                fs::write(disk::log_of(room), "").unwrap();
            }),
        ),
        (
            "a directory for a log",
            "check its permissions",
            is_log,
            Box::new(|room| {
                let log = disk::log_of(room);
                fs::remove_file(&log).unwrap();
                fs::create_dir(log).unwrap();
            }),
        ),
    ];
    for (count, (name, hint, expected, change)) in altered.into_iter().enumerate() {
        let room = scratch.path().join(format!("room{count}"));
        disk::copy(&whole, &room);
        change(&room);
        // What is held against the registry is looked at beside a log that has begun.
        let is_cut = hint == CUT;
        let allowed = if is_cut { Allowed::PassingLog } else { Allowed::SideFiles };
        let before = Snapshot::of(&room, allowed);
        cases.refused(name, hint, expected, || {
            disk::builder(&room, Passphrase::new("passphrase")).and_then(|room| room.open())
        });
        let after = Snapshot::of(&room, allowed);
        cases.check(name, before == after, "something was changed");
    }
    cases.done(21);
}
