//! The example's backend keeps the contract of `Storage`: one line says so.

#[expect(dead_code, reason = "the example's own `main` is run by another test")]
#[path = "../own_backend.rs"]
mod own_backend;

use futures_executor::block_on;
use own_backend::OneFile;
use strongroom::{Batch, Expect, Key, NotDoneKind, Op, Storage as _};

strongroom_testkit::storage_suite!(|dir| OneFile::open(dir).unwrap());

/// What a killed writer leaves is either the old file or the new one, and a draft beside it.
#[test]
fn a_draft_that_was_left_behind_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let storage = OneFile::open(dir.path()).unwrap();
    let op = Op::Put { key: Key::new(*b"k"), expect: Expect::Absent, value: b"v".to_vec() };
    let _ = block_on(storage.write(Batch::new(vec![op]).unwrap())).unwrap();
    std::fs::write(dir.path().join("records.new"), b"{\"puts\":9").unwrap();
    let found = block_on(storage.read(&[Key::new(*b"k")])).unwrap();
    assert_eq!(found[0].as_ref().unwrap().value, b"v");
}

/// Half a file is told from no file.
#[test]
fn a_damaged_file_is_an_error_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let storage = OneFile::open(dir.path()).unwrap();
    std::fs::write(dir.path().join("records.json"), b"{\"puts\":9").unwrap();
    let op = Op::Put { key: Key::new(*b"k"), expect: Expect::Absent, value: Vec::new() };
    let error = block_on(storage.write(Batch::new(vec![op]).unwrap())).unwrap_err();
    assert_eq!(error.kind(), Some(NotDoneKind::Damaged));
    assert_eq!(std::fs::read(dir.path().join("records.json")).unwrap(), b"{\"puts\":9");
}
