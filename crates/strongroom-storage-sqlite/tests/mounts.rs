//! Databases on mount points, on what can only be read, and on a disk that is full: real mounts.
//! Where they are not allowed a test says so loudly, and fails under CI.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_executor::block_on;
use strongroom_core::{Batch, Expect, Key, NotDoneKind, Op, Storage, StorageError, Written};
use strongroom_storage_sqlite::SqliteStorage;
use tempfile::tempdir;

use common::{insert, try_insert, try_value, value};

mod common;

fn names(dir: &Path) -> Vec<String> {
    let found = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn fc_112_a_file_mounted_by_itself_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    insert(&SqliteStorage::open(&path).unwrap(), "k", b"v");
    let single = dir.path().join("mounted.db");
    File::create(&single).unwrap();
    let Some(_mount) = Mount::bind(&path, &single) else { return };
    let error = SqliteStorage::open(&single).map(drop).unwrap_err();
    assert_eq!(error.kind(), Some(NotDoneKind::Unsuitable), "{error}");
    assert!(error.to_string().contains("mount its directory"), "{error}");
}

#[test]
fn fc_112_a_mounted_directory_is_as_good_as_any_also_for_a_copy() {
    let (real, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let Some(mount) = Mount::bind(real.path(), dir.path()) else { return };
    let path = dir.path().join("secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    insert(&storage, "k", b"v");
    let (target, point) = (tempdir().unwrap(), tempdir().unwrap());
    let Some(second) = Mount::bind(target.path(), point.path()) else { return };
    block_on(storage.backup(point.path(), &mut || ())).unwrap();
    drop((storage, second, mount));
    for place in [real.path(), target.path()] {
        let storage = SqliteStorage::open(place.join("secrets.db")).unwrap();
        assert_eq!(value(&storage, "k"), Some(b"v".to_vec()));
    }
}

#[test]
fn fc_112_a_read_only_mount_is_told_and_takes_nothing() {
    let (real, dir, target) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    insert(&SqliteStorage::open(real.path().join("secrets.db")).unwrap(), "k", b"v");
    let Some(mount) = Mount::bind(real.path(), dir.path()) else { return };
    let Some(read_only) = Mount::new(&["-o", "remount,ro,bind"], dir.path()) else { return };
    std::mem::forget(mount); // one mount, changed: the other handle undoes it
    let before = names(real.path());
    let path = dir.path().join("secrets.db");
    let told = |error: StorageError| {
        assert_eq!(error.kind(), Some(NotDoneKind::ReadOnly), "{error} {error:?}");
        assert!(error.to_string().contains("check how it is mounted"), "{error}");
    };
    let storage = SqliteStorage::open(&path).unwrap();
    if let Err(error) = try_value(&storage, "k") {
        told(error);
    }
    told(try_insert(&storage, "new", b"v").unwrap_err());
    told(
        try_insert(&SqliteStorage::open(dir.path().join("new.db")).unwrap(), "k", b"v")
            .unwrap_err(),
    );
    // A copy to it: nothing is left half-written.
    let writable = SqliteStorage::open(target.path().join("secrets.db")).unwrap();
    insert(&writable, "k", b"v");
    fs::rename(real.path().join("secrets.db"), real.path().join("kept.db")).unwrap();
    told(block_on(writable.backup(dir.path(), &mut || ())).unwrap_err());
    fs::rename(real.path().join("kept.db"), real.path().join("secrets.db")).unwrap();
    drop(storage);
    assert_eq!(names(real.path()), before);
    drop(read_only);
    let storage = SqliteStorage::open(real.path().join("secrets.db")).unwrap();
    assert_eq!(value(&storage, "k"), Some(b"v".to_vec()));
}

/// A full disk refuses one write and spares the store, which has room kept back for another: a file
/// system of 2 MiB.
#[test]
fn a_full_disk_refuses_and_recovers() {
    let dir = tempdir().unwrap();
    let tmpfs = ["-t", "tmpfs", "-o", "size=2m", "tmpfs"];
    let Some(_mount) = Mount::new(&tmpfs, dir.path()) else { return };
    let storage = SqliteStorage::open(dir.path().join("room/secrets.db")).unwrap();
    insert(&storage, "small", b"v");
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![0; 600 * 1024]).unwrap();
    let kinds: Vec<_> = (0..40)
        .map(|n| try_insert(&storage, &format!("k{n}"), &vec![1; 60_000]))
        .map(|written| written.map_err(|e| e.kind()))
        .collect();
    let full = Some(NotDoneKind::Full);
    assert!(kinds.iter().any(|kind| matches!(kind, Err(k) if *k == full)), "{kinds:?}");
    assert!(kinds.iter().all(|kind| matches!(kind, Ok(_) | Err(Some(_)))), "{kinds:?}");
    for (n, kind) in kinds.iter().enumerate() {
        assert_eq!(value(&storage, &format!("k{n}")).is_some(), kind.is_ok());
    }
    // What takes access away is done, and what erases; that makes no room for others.
    let essential = |key: &str| {
        let (key, value) = (Key::new(key.as_bytes()), vec![2; 4_000]);
        let put = Op::Put { key, expect: Expect::Absent, value };
        block_on(storage.write(Batch::new(vec![put]).unwrap().essential()))
    };
    for n in 0..8 {
        assert!(matches!(essential(&format!("e{n}")), Ok(Written::Committed { .. })), "{n}");
    }
    block_on(storage.erase(&[Key::new(*b"small")])).unwrap();
    assert_eq!(value(&storage, "small"), None);
    assert!(try_insert(&storage, "more", &[1; 60_000]).is_err());
    // It is not for ever.
    let refused = (8..100).find_map(|n| essential(&format!("e{n}")).err());
    assert_eq!(refused.unwrap().kind(), full);
    // The store is whole, and goes on without a restart once there is room.
    assert_eq!(value(&storage, "e7"), Some(vec![2; 4_000]));
    fs::remove_file(ballast).unwrap();
    insert(&storage, "room again", &[1; 60_000]);
    let reserve = fs::metadata(dir.path().join("room/secrets.db.reserve")).unwrap();
    assert_eq!(reserve.len(), 512 * 1024, "it is kept back again");
}

/// A mount that is undone on drop.
struct Mount(PathBuf);

impl Mount {
    /// `mount` with these arguments on that place. `None`, said aloud, where it is not allowed.
    fn new(arguments: &[&str], on: &Path) -> Option<Self> {
        let done = Command::new("mount").args(arguments).arg(on).output();
        let why = match done {
            Ok(done) if done.status.success() => return Some(Self(on.to_path_buf())),
            Ok(done) => String::from_utf8_lossy(&done.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        assert!(std::env::var_os("CI").is_none(), "{test} needs the right to mount: {why}");
        // Past the capture of the test runner, so that nobody takes it for a pass.
        let said = format!("SKIPPED: {test}: cannot mount here: {why}\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
        None
    }

    fn bind(from: &Path, on: &Path) -> Option<Self> {
        Self::new(&["--bind", &from.to_string_lossy()], on)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A panic in here would hide the one that the test ends with.
        if !Command::new("umount").arg(&self.0).status().is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        }
    }
}
