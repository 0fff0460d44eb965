//! What the test files share.

use futures_executor::block_on;
use strongroom_core::{Batch, Expect, Key, Op, Revision, Storage, StorageError, Written};

pub(crate) fn key(name: &str) -> Key {
    Key::new(name.as_bytes())
}

pub(crate) fn put(name: &str, expect: Expect, value: &[u8]) -> Batch {
    Batch::new(vec![Op::Put { key: key(name), expect, value: value.to_vec() }]).unwrap()
}

pub(crate) fn try_insert(
    storage: &dyn Storage,
    name: &str,
    value: &[u8],
) -> Result<Written, StorageError> {
    block_on(storage.write(put(name, Expect::Absent, value)))
}

pub(crate) fn insert(storage: &dyn Storage, name: &str, value: &[u8]) -> Revision {
    match try_insert(storage, name, value).unwrap() {
        Written::Committed { mut revisions } => revisions.pop().unwrap(),
        Written::Conflict { key } => panic!("conflict on {key}"),
    }
}

pub(crate) fn value(storage: &dyn Storage, name: &str) -> Option<Vec<u8>> {
    try_value(storage, name).unwrap()
}

pub(crate) fn try_value(
    storage: &dyn Storage,
    name: &str,
) -> Result<Option<Vec<u8>>, StorageError> {
    let found = block_on(storage.read(&[key(name)]))?.pop().unwrap();
    Ok(found.map(|entry| entry.value))
}
