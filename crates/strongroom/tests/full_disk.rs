//! A store whose log, or all of it, lies on a disk that is full: a file system of 2 or 4 MiB. Where
//! mounting is not allowed the test says so loudly, and fails under CI.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use strongroom::{
    Argon2Cost, Error, FileLog, Opaque, Passphrase, Policy, Principal, SqliteStorage, Strongroom,
    Unavailable,
};
use strongroom_core::AuditError;
use strongroom_testkit::ManualClock;

fn is_full<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Unavailable(Unavailable::Audit(AuditError::Full))))
}

#[test]
fn on_a_full_disk_access_can_be_taken_away_and_nothing_be_read() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(_mount) = Mount::tmpfs("size=2m", disk.path()) else { return };
    is_right_on_a_full_disk(dir.path(), disk.path());
}

/// FC-115: the same where storage and log share the disk.
#[test]
fn fc_115_on_a_full_disk_a_store_of_one_directory_does_what_takes_access_away() {
    let disk = tempfile::tempdir().unwrap();
    let Some(_mount) = Mount::tmpfs("size=4m", disk.path()) else { return };
    is_right_on_a_full_disk(disk.path(), disk.path());
}

/// Takes access away on a full disk that has the log, and perhaps the storage.
fn is_right_on_a_full_disk(dir: &Path, disk: &Path) {
    let (owner, clock) = (Principal::user("alice"), ManualClock::new());
    let room = Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db")).unwrap())
        .seal(Passphrase::new("pass phrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&owner))
        .audit(FileLog::open(disk.join("audit")).unwrap())
        .clock(clock.clone())
        .blocking()
        .create()
        .unwrap();
    let (alice, mallory) = (room.session(owner), room.session(Principal::user("mallory")));
    for name in ["kept", "disabled", "destroyed", "purged"] {
        alice.put(&*format!("prod/{name}"), Opaque::new(name.as_bytes())).unwrap();
    }
    // Its pages are more than what is kept back, and are overwritten as they are erased.
    alice.put("prod/large", Opaque::new(vec![7; 900_000].as_slice())).unwrap();
    let ballast = disk.join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    drop(file);

    // A caller in a loop is slowed down as soon as the disk gives no more.
    let throttled = |_| {
        let read = alice.get::<Opaque>("prod/kept");
        matches!(read, Err(Error::Unavailable(Unavailable::Throttled { .. })))
    };
    assert!((0..2_000).any(throttled));

    // What is laid out already is used up to the reserve.
    let mut reads = 0;
    let refused = loop {
        // No budget is in the way of a caller who takes its time.
        clock.advance(Duration::from_secs(1));
        match alice.get::<Opaque>("prod/kept") {
            Ok(_) => reads += 1,
            refused => break refused,
        }
    };
    assert!(is_full(&refused), "{refused:?}");
    assert!(reads > 100, "{reads}");
    assert!(is_full(&alice.put("prod/new", Opaque::new(b"x"))));
    assert!(is_full(&alice.enable("prod/kept")));
    match mallory.get::<Opaque>("prod/kept") {
        Err(Error::Denied(_)) => {}
        other => panic!("{other:?}"),
    }
    alice.disable("prod/disabled").unwrap();
    alice.destroy("prod/destroyed").unwrap();
    alice.purge("prod/purged").unwrap();
    alice.purge("prod/large").unwrap();
    for _ in 0..8 {
        alice.disable("prod/disabled").unwrap();
    }

    // There is room again: all goes on, and nobody is accused.
    fs::remove_file(&ballast).unwrap();
    clock.advance(Duration::from_secs(1));
    alice.get::<Opaque>("prod/kept").unwrap();
    alice.get::<Opaque>("prod/disabled").unwrap_err();
    alice.get::<Opaque>("prod/destroyed").unwrap_err();
    alice.get::<Opaque>("prod/purged").unwrap_err();
    alice.put("prod/new", Opaque::new(b"x")).unwrap();
    alice.sweep("prod").unwrap();
    let report = alice.verify().unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    room.close().unwrap();
}

#[test]
fn a_store_opens_on_a_disk_that_its_own_dead_log_filled() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(_mount) = Mount::tmpfs("size=2m", disk.path()) else { return };
    let owner = Principal::user("alice");
    let builder = || {
        Strongroom::builder()
            .storage(SqliteStorage::open(dir.path().join("secrets.db")).unwrap())
            .seal(Passphrase::new("pass phrase").with_cost(Argon2Cost::LEAST))
            .policy(Policy::owned_by(&owner))
            .audit(FileLog::open(disk.path().join("audit")).unwrap())
            .blocking()
    };
    let room = builder().create().unwrap();
    room.session(owner.clone()).put("prod/kept", Opaque::new(b"kept")).unwrap();
    let mut ballast = fs::File::create(disk.path().join("ballast")).unwrap();
    while ballast.write_all(&[0; 512]).is_ok() {}
    // Nobody closes it.
    drop(room);

    let room = builder().open().unwrap();
    let alice = room.session(owner.clone());
    alice.disable("prod/kept").unwrap();
    let report = alice.verify().unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    room.close().unwrap();
}

/// A mount that is undone on drop.
struct Mount(PathBuf);

impl Mount {
    /// `None`, said aloud, where it is not allowed.
    fn tmpfs(options: &str, on: &Path) -> Option<Self> {
        let arguments = ["-t", "tmpfs", "-o", options, "tmpfs"];
        let why = match Command::new("mount").args(arguments).arg(on).output() {
            Ok(done) if done.status.success() => return Some(Self(on.to_path_buf())),
            Ok(done) => String::from_utf8_lossy(&done.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(std::env::var_os("CI").is_none(), "this test needs the right to mount: {why}");
        // Past the capture of the test runner, so that nobody takes it for a pass.
        let said = format!("SKIPPED: a test of a full disk: cannot mount here: {why}\n");
        let _ = std::io::stderr().write_all(said.as_bytes());
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.0).status();
        if !done.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        }
    }
}
