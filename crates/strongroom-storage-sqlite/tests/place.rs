//! Where a database may lie, what is made there, and what is refused with which words.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use futures_executor::block_on;
use rusqlite::Connection;
use strongroom_core::{NotDoneKind, Scan, Storage, StorageError};
use strongroom_storage_sqlite::SqliteStorage;
use tempfile::{TempDir, tempdir};

use common::{insert, try_insert, try_value, value};

mod common;

fn names(dir: &Path) -> Vec<String> {
    let found = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn store() -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    insert(&SqliteStorage::open(&path).unwrap(), "k", b"v");
    (dir, path)
}

/// Everything that a directory holds, to show that nothing was changed.
fn content(dir: &Path) -> Vec<(String, Vec<u8>)> {
    names(dir).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

/// Opens and reads; answers what refused.
fn refusal(path: &Path) -> StorageError {
    match SqliteStorage::open(path).and_then(|storage| try_value(&storage, "k")) {
        Err(e) => e,
        Ok(found) => panic!("not refused: {found:?}"),
    }
}

#[test]
fn opening_and_reading_touch_nothing() {
    let dir = tempdir().unwrap();
    let storage = SqliteStorage::open(dir.path().join("a/b/secrets.db")).unwrap();
    assert_eq!(value(&storage, "k"), None);
    let scan =
        Scan { prefix: vec![], after: None, limit: 1.try_into().unwrap(), with_values: true };
    assert!(block_on(storage.list(&scan)).unwrap().entries.is_empty());
    block_on(storage.erase(&[common::key("k")])).unwrap();
    assert_eq!(storage.change_mark(), storage.change_mark());
    assert!(storage.warnings().is_empty());
    drop(storage);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_conflict_on_nothing_makes_nothing() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("room/secrets.db");
    let (_other, elsewhere) = store();
    let revision = {
        let storage = SqliteStorage::open(elsewhere).unwrap();
        block_on(storage.read(&[common::key("k")])).unwrap()[0].clone().unwrap().revision
    };
    let storage = SqliteStorage::open(path).unwrap();
    let batch = common::put("k", strongroom_core::Expect::Revision(revision), b"v");
    assert!(matches!(
        block_on(storage.write(batch)).unwrap(),
        strongroom_core::Written::Conflict { .. }
    ));
    assert!(names(dir.path()).is_empty());
}

#[test]
fn files_are_for_the_owner_alone_while_in_use_and_after() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a/b/secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    insert(&storage, "k", b"v");
    insert(&storage, "l", b"v");
    assert_eq!(mode(&dir.path().join("a")), 0o700);
    assert_eq!(mode(&dir.path().join("a/b")), 0o700);
    let room = dir.path().join("a/b");
    assert!(names(&room).contains(&"secrets.db-wal".to_string()));
    for name in names(&room) {
        assert_eq!(mode(&room.join(&name)), 0o600, "{name}");
    }
    drop(storage);
    let ours = ["secrets.db", "secrets.db.lock", "secrets.db.lock-next", "secrets.db.reserve"];
    assert_eq!(names(&room), ours);
}

#[test]
fn what_a_crash_left_of_a_building_database_is_swept() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    fs::write(dir.path().join("secrets.db.new-1-0"), "half").unwrap();
    fs::write(dir.path().join("secrets.db.new-1-0-wal"), "half").unwrap();
    insert(&SqliteStorage::open(&path).unwrap(), "k", b"v");
    assert!(names(dir.path()).iter().all(|name| !name.contains(".new-")));
}

#[test]
fn two_who_make_the_database_at_once_make_one() {
    for _ in 0..20 {
        let dir = tempdir().unwrap();
        let path = dir.path().join("room/secrets.db");
        let won: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..4_u8)
                .map(|n| {
                    let path = &path;
                    scope.spawn(move || {
                        let storage = SqliteStorage::open(path).unwrap();
                        let written = try_insert(&storage, "keyring", &[n]).unwrap();
                        usize::from(matches!(written, strongroom_core::Written::Committed { .. }))
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(won, 1);
    }
}

/// FC-078
#[test]
fn fc_078_side_files_without_their_database_are_refused_by_name() {
    for left in ["-wal", "-shm", "-journal"] {
        let dir = tempdir().unwrap();
        let path = dir.path().join("secrets.db");
        fs::write(dir.path().join(format!("secrets.db{left}")), "pages of another").unwrap();
        let before = content(dir.path());
        let error = SqliteStorage::open(&path).unwrap_err();
        assert_eq!(error.kind(), Some(NotDoneKind::Damaged));
        assert!(error.to_string().contains(&format!("secrets.db{left}")), "{error}");
        assert_eq!(content(dir.path()), before);
    }
}

/// FC-078: also where they come to be between opening and writing.
#[test]
fn fc_078_side_files_that_appear_later_are_refused_by_the_first_write() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    fs::write(dir.path().join("secrets.db-wal"), "pages of another").unwrap();
    assert_eq!(try_value(&storage, "k").unwrap_err().kind(), Some(NotDoneKind::Damaged));
    assert_eq!(try_insert(&storage, "k", b"v").unwrap_err().kind(), Some(NotDoneKind::Damaged));
    assert!(!path.exists());
}

#[test]
fn a_database_that_was_replaced_while_in_use_takes_no_write() {
    let (_dir, path) = store();
    let storage = SqliteStorage::open(&path).unwrap();
    insert(&storage, "a", b"v");
    let (_other, elsewhere) = store();
    fs::rename(elsewhere, &path).unwrap();
    let error = try_insert(&storage, "b", b"v").unwrap_err();
    assert_eq!(error.kind(), Some(NotDoneKind::Damaged), "{error}");
    assert!(error.to_string().contains("replaced"), "{error}");
}

/// FC-120: each trouble has its own answer, and nothing on disk is changed.
#[test]
fn fc_120_what_is_not_a_store_of_this_build_is_told_apart() {
    let altered = |change: &dyn Fn(&mut Vec<u8>)| {
        let (_dir, path) = store();
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        bytes
    };
    let foreign = {
        let dir = tempdir().unwrap();
        let path = dir.path().join("x.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        fs::read(path).unwrap()
    };
    let cases: [(&str, Vec<u8>, NotDoneKind, &str); 10] = [
        ("empty", Vec::new(), NotDoneKind::Damaged, "empty"),
        ("text", b"password = hunter2\n".repeat(50), NotDoneKind::Foreign, "no database"),
        ("short text", b"hello".to_vec(), NotDoneKind::Foreign, "no database"),
        ("zeros", vec![0; 8192], NotDoneKind::Foreign, ""),
        ("another's", foreign, NotDoneKind::Foreign, "another program"),
        ("newer", altered(&|b| b[63] = 200), NotDoneKind::TooNew, "format 200"),
        ("format 0", altered(&|b| b[63] = 0), NotDoneKind::Damaged, "never was"),
        ("flipped magic", altered(&|b| b[3] ^= 0x10), NotDoneKind::Damaged, "altered"),
        ("flipped id", altered(&|b| b[70] ^= 1), NotDoneKind::Damaged, "altered"),
        ("truncated", altered(&|b| b.truncate(4096)), NotDoneKind::Damaged, ""),
    ];
    for (name, bytes, kind, words) in cases {
        let dir = tempdir().unwrap();
        let path = dir.path().join("secrets.db");
        fs::write(&path, &bytes).unwrap();
        let before = content(dir.path());
        let error = refusal(&path);
        assert_eq!(error.kind(), Some(kind), "{name}: {error}");
        assert!(error.to_string().contains(words), "{name}: {error}");
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(content(dir.path()), before, "{name}");
        let written = SqliteStorage::open(&path).and_then(|it| try_insert(&it, "new", b"v"));
        assert!(written.is_err(), "{name} was written to");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}");
    }
}

/// FC-109
#[test]
fn fc_109_loose_modes_are_told_and_refused_by_the_strict() {
    let (dir, path) = store();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let storage = SqliteStorage::open(&path).unwrap().strict().unwrap();
    assert!(storage.warnings().is_empty());
    for (name, loose) in [("secrets.db", 0o644), ("secrets.db.lock", 0o666), ("", 0o777)] {
        let loosened = if name.is_empty() { dir.path().into() } else { dir.path().join(name) };
        let before = mode(&loosened);
        fs::set_permissions(&loosened, Permissions::from_mode(loose)).unwrap();
        let storage = SqliteStorage::open(&path).unwrap();
        let warnings = storage.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(&format!("{}", loosened.display())), "{warnings:?}");
        assert!(warnings[0].contains("chmod"), "{warnings:?}");
        let error = storage.strict().unwrap_err();
        assert_eq!(error.kind(), Some(NotDoneKind::Denied));
        fs::set_permissions(&loosened, Permissions::from_mode(before)).unwrap();
    }
}

/// FC-112: the real file is used, and its side files lie beside it.
#[test]
fn fc_112_links_are_followed_once_and_stay_links() {
    let (_dir, path) = store();
    let links = tempdir().unwrap();
    let link = links.path().join("secrets.db");
    symlink(&path, &link).unwrap();
    let storage = SqliteStorage::open(&link).unwrap();
    assert_eq!(storage.path(), fs::canonicalize(&path).unwrap());
    insert(&storage, "through the link", b"v");
    assert_eq!(names(links.path()), ["secrets.db"]);
    drop(storage);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let direct = SqliteStorage::open(&path).unwrap();
    assert!(value(&direct, "through the link").is_some());
}

/// FC-112: a directory behind a link is as good as any.
#[test]
fn fc_112_a_linked_directory_is_followed() {
    let (real, links) = (tempdir().unwrap(), tempdir().unwrap());
    symlink(real.path(), links.path().join("room")).unwrap();
    let storage = SqliteStorage::open(links.path().join("room/new/secrets.db")).unwrap();
    insert(&storage, "k", b"v");
    assert!(real.path().join("new/secrets.db").exists());
}

/// FC-112
#[test]
fn fc_112_what_is_no_file_is_refused() {
    let dir = tempdir().unwrap();
    symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
    let cases = [("dangling", "link to nothing"), ("", "no ordinary file")];
    for (name, words) in cases {
        let error = SqliteStorage::open(dir.path().join(name)).unwrap_err();
        assert_eq!(error.kind(), Some(NotDoneKind::Unsuitable), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(SqliteStorage::open(file.join("secrets.db")).is_err());
    let error = SqliteStorage::open("/dev/null").unwrap_err();
    assert_eq!(error.kind(), Some(NotDoneKind::Unsuitable), "{error}");
}

/// Relative paths mean what they meant when the storage was opened.
#[test]
fn the_path_is_absolute() {
    let storage = SqliteStorage::open("some/secrets.db").unwrap();
    assert!(storage.path().is_absolute());
}

#[test]
fn a_backup_replaces_nothing() {
    let (_dir, path) = store();
    let storage = SqliteStorage::open(&path).unwrap();
    let target = tempdir().unwrap();
    fs::write(target.path().join("secrets.db"), "precious").unwrap();
    let error = block_on(storage.backup(target.path(), &mut || ())).unwrap_err();
    assert!(error.to_string().contains("replaces nothing"), "{error}");
    assert_eq!(fs::read(target.path().join("secrets.db")).unwrap(), b"precious");
}

#[test]
fn a_backup_is_for_the_owner_alone_and_one_file() {
    let (_dir, path) = store();
    let storage = SqliteStorage::open(&path).unwrap();
    insert(&storage, "in the write-ahead file", b"v");
    let target = tempdir().unwrap();
    block_on(storage.backup(target.path(), &mut || ())).unwrap();
    assert_eq!(names(target.path()), ["secrets.db"]);
    assert_eq!(mode(&target.path().join("secrets.db")), 0o600);
    let copy = SqliteStorage::open(target.path().join("secrets.db")).unwrap();
    assert!(value(&copy, "in the write-ahead file").is_some());
}

/// What was replaced or erased is overwritten, once the write-ahead file is carried over.
#[test]
fn old_bytes_do_not_stay_in_the_file() {
    let (dir, path) = store();
    let storage = SqliteStorage::open(&path).unwrap();
    let marks: Vec<Vec<u8>> =
        (0..50).map(|n| format!("marked-value-{n:03}-").into_bytes().repeat(40)).collect();
    let names_of: Vec<String> = (0..50).map(|n| format!("n{n}")).collect();
    for (name, mark) in names_of.iter().zip(&marks) {
        insert(&storage, name, mark);
    }
    let keys: Vec<_> = names_of.iter().map(|name| common::key(name)).collect();
    let present = |what: &str| {
        content(dir.path())
            .iter()
            .any(|(_, bytes)| bytes.windows(what.len()).any(|window| window == what.as_bytes()))
    };
    assert!(present("marked-value-007-"));
    block_on(storage.erase(&keys)).unwrap();
    assert!(!present("marked-value-007-"));
    drop(storage);
    assert!(!present("marked-value-"));
}

/// FC-103: a lock that is not honoured is noticed, and so is one that another holds for good.
#[test]
fn exclusive_use_is_exclusive() {
    let (_dir, path) = store();
    let own = SqliteStorage::open(&path).unwrap().exclusive().unwrap();
    let error = SqliteStorage::open(&path).unwrap().exclusive().unwrap_err();
    assert_eq!(error.kind(), Some(NotDoneKind::Busy), "{error}");
    insert(&own, "a", b"v");
    let mark = own.change_mark();
    assert_eq!(own.change_mark(), mark);
    insert(&own, "b", b"v");
    assert_ne!(own.change_mark(), mark);
    let target = tempdir().unwrap();
    block_on(own.backup(target.path(), &mut || ())).unwrap();
    drop(own);
    drop(SqliteStorage::open(&path).unwrap().exclusive().unwrap());
    insert(&SqliteStorage::open(&path).unwrap(), "c", b"v");
}

#[test]
fn another_writer_is_busy_beside_an_exclusive_one() {
    let (_dir, path) = store();
    let _own = SqliteStorage::open(&path).unwrap().exclusive().unwrap();
    let other = SqliteStorage::open(&path).unwrap();
    let error = try_insert(&other, "x", b"v").unwrap_err();
    assert_eq!(error.kind(), Some(NotDoneKind::Busy), "{error}");
}

#[test]
fn a_mark_tells_of_every_commit_of_strongroom_and_soon_of_any_other() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    insert(&storage, "a", b"1");
    let other = SqliteStorage::open(&path).unwrap();
    for n in 0..200 {
        let mark = storage.change_mark().unwrap();
        insert(&other, &format!("n{n}"), b"1");
        assert_ne!(storage.change_mark().unwrap(), mark, "after commit {n}");
    }
    // A writer that was killed in the middle of a commit leaves an odd count.
    let lock = dir.path().join("secrets.db.lock");
    let count = u64::from_be_bytes(fs::read(&lock).unwrap()[..8].try_into().unwrap());
    let odd = count + 1;
    fs::write(&lock, [odd.to_be_bytes(), (!odd).to_be_bytes()].concat()).unwrap();
    let by_hand = Connection::open(&path).unwrap();
    let foreign = |n: u8| {
        let sql = "INSERT INTO records (k, r, v) VALUES (?1, ?1, ?1)";
        by_hand.execute(sql, [vec![0xee, n]]).unwrap();
    };
    let mark = storage.change_mark().unwrap();
    assert_eq!(storage.change_mark().unwrap(), mark);
    foreign(1);
    assert_ne!(storage.change_mark().unwrap(), mark);
    // Whoever else writes is noticed within some calls, a lock file that was removed too.
    insert(&other, "even again", b"1");
    let noticed = |change: &dyn Fn()| {
        let mark = (0..200).map(|_| storage.change_mark().unwrap()).last().unwrap();
        change();
        (0..100).any(|_| storage.change_mark().unwrap() != mark)
    };
    assert!(noticed(&|| foreign(2)));
    fs::remove_file(&lock).unwrap();
    let third = SqliteStorage::open(&path).unwrap();
    assert!(noticed(&|| drop(insert(&third, "by a third", b"1"))));
}

#[test]
fn a_writer_that_holds_a_removed_lock_file_moves_on_to_the_new_one() {
    let (dir, path) = store();
    let lock = dir.path().join("secrets.db.lock");
    let old = SqliteStorage::open(&path).unwrap();
    insert(&old, "a", b"1");
    fs::remove_file(&lock).unwrap();
    insert(&SqliteStorage::open(&path).unwrap(), "b", b"1");
    let reader = SqliteStorage::open(&path).unwrap();
    for n in 0..80 {
        let mark = reader.change_mark().unwrap();
        insert(&old, &format!("n{n}"), b"1");
        assert_ne!(reader.change_mark().unwrap(), mark, "after commit {n}");
    }
}

#[test]
fn a_count_that_was_lost_begins_at_no_number_that_was_there_before() {
    let (dir, path) = store();
    let lock = dir.path().join("secrets.db.lock");
    let (writer, reader) =
        (SqliteStorage::open(&path).unwrap(), SqliteStorage::open(&path).unwrap());
    let mut seen = std::collections::HashSet::new();
    for n in 0..20 {
        insert(&writer, &format!("n{n}"), b"1");
        assert!(seen.insert(reader.change_mark().unwrap()), "commit {n} is not to be seen");
        fs::File::options().write(true).open(&lock).unwrap().set_len(0).unwrap();
    }
}

#[test]
fn no_mark_from_before_exclusive_use_is_one_of_it() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("secrets.db");
    let storage = SqliteStorage::open(&path).unwrap();
    let mark = storage.change_mark().unwrap();
    insert(&SqliteStorage::open(&path).unwrap(), "a", b"1");
    assert_ne!(storage.exclusive().unwrap().change_mark().unwrap(), mark);
}

#[test]
fn exclusive_use_ends_with_its_lock_file() {
    let (dir, path) = store();
    let own = SqliteStorage::open(&path).unwrap().exclusive().unwrap();
    insert(&own, "a", b"1");
    fs::remove_file(dir.path().join("secrets.db.lock")).unwrap();
    let error = try_insert(&own, "b", b"1").unwrap_err();
    assert_eq!(error.kind(), Some(NotDoneKind::Damaged), "{error}");
}

/// A path that leads nowhere is told in full, with what is in the way.
#[test]
fn a_file_in_place_of_a_directory_is_named() {
    let scratch = tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "text").unwrap();
    for below in ["secrets.db", "room/secrets.db"] {
        let path = file.join(below);
        let error = SqliteStorage::open(&path).unwrap_err();
        let StorageError::NotDone { kind, detail, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*kind, NotDoneKind::Unsuitable, "{error}");
        let shown = path.parent().unwrap().display().to_string();
        assert!(detail.contains("no directory") && detail.contains(&shown), "{error}");
    }
}
