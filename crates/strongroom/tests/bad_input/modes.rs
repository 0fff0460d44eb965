//! Modes that let others in are told and not refused; files that this user may not use are refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use strongroom::{Error, FileLog, NotDoneKind, Opaque, Passphrase, Principal, SqliteStorage};

use crate::Cases;
use crate::disk::{self, Allowed, Snapshot};

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn modes_that_let_others_in_are_told() {
    let scratch = tempfile::tempdir().unwrap();
    let room = scratch.path().join("room");
    disk::make(&room, true);
    let mut cases = Cases::default();
    let told = |warnings: Vec<String>| match warnings.is_empty() {
        true => Ok(()),
        false => Err(std::io::Error::other(warnings.join("; "))),
    };
    let whole: [(&str, u32, &str); 6] = [
        ("secrets.db", 0o666, "chmod 600"),
        ("secrets.db", 0o640, "chmod 600"),
        ("secrets.db.lock", 0o602, "chmod 600"),
        ("", 0o777, "chmod 700"),
        ("", 0o711, "chmod 700"),
        ("", 0o1777, "chmod 700"),
    ];
    for (file, mode, hint) in whole {
        let path = if file.is_empty() { room.clone() } else { room.join(file) };
        let was = fs::metadata(&path).unwrap().permissions();
        set(&path, mode);
        let name = format!("`{file}` with mode {mode:o}");
        cases.refused(
            &name,
            hint,
            |_| true,
            || told(SqliteStorage::open(room.join("secrets.db")).unwrap().warnings()),
        );
        let strict = format!("{name}, strictly");
        let denied = |error: &strongroom::StorageError| error.kind() == Some(NotDoneKind::Denied);
        cases.refused(&strict, hint, denied, || {
            SqliteStorage::open(room.join("secrets.db")).unwrap().strict()
        });
        let opened = disk::open(&room, "passphrase").map(|room| (room.warnings(), room.close()));
        let is_told = |warnings: &[String]| warnings.iter().any(|told| told.contains(hint));
        let told = matches!(&opened, Ok((warnings, Ok(()))) if is_told(warnings));
        cases.check(&name, told, "it does not open, or the open store does not tell");
        fs::set_permissions(path, was).unwrap();
    }
    for (path, mode) in [(disk_log(&room), 0o644), (room.join("audit"), 0o755)] {
        let was = fs::metadata(&path).unwrap().permissions();
        set(&path, mode);
        cases.refused(
            &format!("a log with mode {mode:o}"),
            "chmod go=",
            |_| true,
            || told(FileLog::open(room.join("audit")).unwrap().warnings()),
        );
        fs::set_permissions(path, was).unwrap();
    }
    cases.done(14);
}

fn disk_log(room: &Path) -> PathBuf {
    let mut logs = fs::read_dir(room.join("audit")).unwrap();
    logs.find_map(|entry| Some(entry.unwrap().path()).filter(|path| path.is_file())).unwrap()
}

const ROOM: &str = "STRONGROOM_TEST_ROOM";
const NOBODY: u32 = 65_534;

/// Modes say nothing to the superuser, so that the cases run as another user where he tests.
#[test]
fn files_that_this_user_may_not_use() {
    let scratch = tempfile::tempdir().unwrap();
    let own = scratch.path().join("mine");
    fs::create_dir(&own).unwrap();
    let program = scratch.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set(&program, 0o755);
    let mut child = Command::new(&program);
    child.args(["--exact", "modes::as_an_ordinary_user", "--ignored", "--nocapture"]);
    child.env(ROOM, &own).current_dir("/");
    if is_superuser(&own) {
        set(scratch.path(), 0o755);
        std::os::unix::fs::chown(&own, Some(NOBODY), Some(NOBODY)).unwrap();
        child.uid(NOBODY).gid(NOBODY);
    }
    let done = child.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    assert!(text.contains("CASES "), "{text}");
    println!("{text}");
}

fn is_superuser(dir: &Path) -> bool {
    let probe = dir.join("probe");
    fs::write(&probe, "x").unwrap();
    set(&probe, 0);
    let readable = fs::read(&probe).is_ok();
    fs::remove_file(probe).unwrap();
    readable
}

#[test]
#[ignore = "run by another test, as an ordinary user"]
fn as_an_ordinary_user() {
    let scratch = PathBuf::from(std::env::var_os(ROOM).unwrap());
    let mut cases = Cases::default();
    let open = |room: &Path| disk::builder(room, Passphrase::new("passphrase"))?.open();
    let unavailable = |error: &Error| matches!(error, Error::Unavailable(_));
    let denied: [(&str, &str, u32, &str); 7] = [
        ("a database without rights", "secrets.db", 0o000, "check owner and modes"),
        ("a directory without rights", "", 0o000, "check owner and modes"),
        ("a directory that cannot be entered", "", 0o600, "check owner and modes"),
        ("a log directory without rights", "audit", 0o000, "check path and permissions"),
        ("a log directory that takes no file", "audit", 0o500, "check the directory"),
        ("a database that can only be read", "secrets.db", 0o400, "check"),
        ("a log without rights", "*", 0o000, "check its permissions"),
    ];
    for (count, (name, file, mode, hint)) in denied.into_iter().enumerate() {
        let room = scratch.join(format!("room{count}"));
        disk::make(&room, true);
        let path = match file {
            "*" => disk_log(&room),
            "" => room.clone(),
            file => room.join(file),
        };
        let was = fs::metadata(&path).unwrap().permissions();
        let before = Snapshot::of(&room, Allowed::SideFiles);
        set(&path, mode);
        cases.refused(name, hint, unavailable, || {
            let room = open(&room)?;
            room.session(Principal::user("alice")).put("prod/new", Opaque::new(b"x"))
        });
        fs::set_permissions(path, was).unwrap();
        if file != "secrets.db" || mode == 0 {
            let after = Snapshot::of(&room, Allowed::SideFiles);
            cases.check(name, before == after, "something was changed");
        }
    }
    cases.done(7);
}
