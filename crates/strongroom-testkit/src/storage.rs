//! What every backend must do: a suite of cases over the [`Storage`] trait.
//!
//! One line in a test file runs them all, each as a test of its own, in a directory of its own, on
//! a bare `block_on`:
//!
//! ```
//! # use std::{collections::HashMap, path::{Path, PathBuf}, sync::Mutex};
//! # use strongroom_testkit::MemoryStorage;
//! # static OPEN: Mutex<Option<HashMap<PathBuf, MemoryStorage>>> = Mutex::new(None);
//! # fn open_my_backend(dir: &Path) -> MemoryStorage {
//! #     OPEN.lock().unwrap().get_or_insert_default().entry(dir.into()).or_default().clone()
//! # }
//! strongroom_testkit::storage_suite!(|dir| open_my_backend(dir));
//! ```
//!
//! The closure opens the store that lives in a directory: called twice with one directory, it
//! opens one store twice, as two processes would; called with the directory of a backup, it opens
//! the copy. A backend on a server takes the directory's name for a name there.
//!
//! A case is also a function, for whoever wants to run it otherwise: [`run`].

use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom_core::{
    Batch, Entry, Expect, Key, Listed, Op, Page, Revision, Scan, Storage, StorageError, Written,
};
use tempfile::TempDir;

mod changing;
mod listing;
mod reading;
mod together;

pub use changing::*;
pub use listing::*;
pub use reading::*;
pub use together::*;

/// Makes a test of each case of the suite. Takes a closure from `&Path` to a backend.
#[macro_export]
macro_rules! storage_suite {
    ($open:expr) => {
        $crate::storage_suite! { @each ($open)
            absent_and_empty_are_two_answers
            answers_come_in_the_order_of_the_keys
            a_key_asked_for_twice_is_answered_twice
            no_key_is_no_answer
            keys_of_one_and_of_512_bytes_are_kept
            keys_are_told_apart_byte_by_byte
            values_come_back_exactly
            the_longest_value_is_kept
            a_reopened_store_sees_what_was_written
            an_empty_store_is_empty
            an_absent_key_is_put_once
            a_put_expects_the_revision_that_is_there
            a_put_on_an_absent_key_with_a_revision_is_a_conflict
            a_conflict_names_the_first_key_that_failed
            a_conflict_changes_nothing
            a_batch_is_all_or_nothing
            a_batch_beyond_the_profile_is_refused
            a_value_beyond_the_profile_is_refused
            a_check_alone_holds_or_conflicts
            a_check_beside_a_put_guards_it
            revisions_are_answered_in_order
            a_verbatim_retry_fences_itself
            a_revision_never_repeats
            a_revision_never_repeats_after_erasure
            a_revision_never_repeats_after_reopening
            a_revision_is_of_one_key
            erasing_is_idempotent
            erasing_takes_only_what_it_names
            an_erased_key_is_absent
            lists_come_in_bytewise_order
            a_prefix_is_exact
            a_prefix_of_full_bytes_ends_where_keys_end
            a_list_goes_on_after_a_key_that_need_not_exist
            after_before_the_prefix_begins_at_the_prefix
            after_beyond_the_prefix_is_the_end
            a_limit_is_kept_and_more_is_true_until_the_end
            values_are_listed_where_they_are_asked_for
            numbers_in_keys_sort_by_value
            a_list_while_others_write_keeps_what_stays
            a_mark_changes_with_each_commit
            a_mark_changes_with_commits_of_others
            a_mark_stays_where_nothing_was_committed
            counting_from_several_threads_is_exact
            counting_from_several_handles_is_exact
            writers_of_other_keys_do_not_disturb_each_other
            readers_never_see_half_a_batch
            readers_never_see_half_a_value
            a_dropped_write_is_whole_or_absent
            a_dropped_future_leaves_the_store_usable
            a_backup_holds_what_was_there
            a_backup_calls_cut_once
            a_backup_while_writing_is_of_one_moment
            an_old_handle_sees_what_a_new_one_writes
        }
    };
    (@each ($open:expr) $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::storage::run($crate::storage::$case, $open);
            }
        )*
    };
}

/// Runs one case on an empty store in a directory that is removed afterwards.
///
/// # Panics
/// Where the backend does not do what the case asks for.
pub fn run<S: Storage>(case: fn(&Bench), open: impl Fn(&Path) -> S + Send + Sync + 'static) {
    case(&Bench {
        dir: tempfile::tempdir().unwrap_or_else(|e| unreachable!("no scratch directory: {e}")),
        open: Box::new(move |dir: &Path| -> Arc<dyn Storage> { Arc::new(open(dir)) }),
    });
}

/// A scratch directory, and how to open the store in it.
pub struct Bench {
    dir: TempDir,
    open: Box<dyn Open>,
}

/// Opens the store in a directory.
trait Open: Fn(&Path) -> Arc<dyn Storage> + Send + Sync {}
impl<T: Fn(&Path) -> Arc<dyn Storage> + Send + Sync> Open for T {}

impl Bench {
    /// Opens the store of this case, once more with each call.
    #[must_use]
    pub fn open(&self) -> Arc<dyn Storage> {
        (self.open)(self.dir.path())
    }

    fn open_in(&self, dir: &Path) -> Arc<dyn Storage> {
        (self.open)(dir)
    }
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn key(bytes: impl AsRef<[u8]>) -> Key {
    Key::new(bytes.as_ref())
}

fn put(at: &Key, expect: Expect, value: impl AsRef<[u8]>) -> Op {
    Op::Put { key: at.clone(), expect, value: value.as_ref().to_vec() }
}

fn check(at: &Key, revision: &Revision) -> Op {
    Op::Check { key: at.clone(), revision: revision.clone() }
}

fn batch(ops: impl Into<Vec<Op>>) -> Batch {
    Batch::new(ops.into()).unwrap_or_else(|e| unreachable!("a case made a bad batch: {e}"))
}

fn write(storage: &dyn Storage, ops: impl Into<Vec<Op>>) -> Written {
    try_write(storage, ops).unwrap_or_else(|e| unreachable!("write: {e}"))
}

fn try_write(storage: &dyn Storage, ops: impl Into<Vec<Op>>) -> Result<Written, StorageError> {
    block_on(storage.write(batch(ops)))
}

fn committed(written: Written) -> Vec<Revision> {
    match written {
        Written::Committed { revisions } => revisions,
        Written::Conflict { key } => unreachable!("an unexpected conflict on {key}"),
    }
}

/// Puts a key that is absent.
fn insert(storage: &dyn Storage, at: &Key, value: impl AsRef<[u8]>) -> Revision {
    one(committed(write(storage, [put(at, Expect::Absent, value)])))
}

/// Replaces a key.
fn replace(
    storage: &dyn Storage,
    at: &Key,
    expect: &Revision,
    value: impl AsRef<[u8]>,
) -> Revision {
    one(committed(write(storage, [put(at, Expect::Revision(expect.clone()), value)])))
}

fn one<T>(mut many: Vec<T>) -> T {
    assert_eq!(many.len(), 1, "one answer for one operation");
    many.pop().unwrap_or_else(|| unreachable!("checked above"))
}

fn read_all(storage: &dyn Storage, keys: &[Key]) -> Vec<Option<Entry>> {
    let found = block_on(storage.read(keys)).unwrap_or_else(|e| unreachable!("read: {e}"));
    assert_eq!(found.len(), keys.len(), "one answer a key");
    found
}

fn read(storage: &dyn Storage, at: &Key) -> Option<Entry> {
    one(read_all(storage, std::slice::from_ref(at)))
}

fn value(storage: &dyn Storage, at: &Key) -> Option<Vec<u8>> {
    read(storage, at).map(|entry| entry.value)
}

fn erase(storage: &dyn Storage, keys: &[Key]) {
    block_on(storage.erase(keys)).unwrap_or_else(|e| unreachable!("erase: {e}"));
}

fn page(storage: &dyn Storage, scan: &Scan) -> Page {
    let page = block_on(storage.list(scan)).unwrap_or_else(|e| unreachable!("list: {e}"));
    assert!(page.entries.len() <= scan.limit.get() as usize, "a page keeps the limit");
    let mut last = scan.after.as_ref();
    for entry in &page.entries {
        assert!(last.is_none_or(|last| *last < entry.key), "a page goes on, in order");
        last = Some(&entry.key);
    }
    assert!(!page.more || !page.entries.is_empty(), "more, but none: a list that never ends");
    page
}

fn scan(prefix: impl AsRef<[u8]>, limit: u32) -> Scan {
    Scan {
        prefix: prefix.as_ref().to_vec(),
        after: None,
        limit: NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN),
        with_values: false,
    }
}

/// All that a list has, page after page.
fn list_all(storage: &dyn Storage, mut scan: Scan) -> Vec<Listed> {
    let mut listed = Vec::new();
    loop {
        let page = page(storage, &scan);
        let last = page.entries.last().map(|entry| entry.key.clone());
        listed.extend(page.entries);
        match last {
            Some(last) if page.more => scan.after = Some(last),
            _ => return listed,
        }
    }
}

fn keys_of(listed: &[Listed]) -> Vec<Vec<u8>> {
    listed.iter().map(|entry| entry.key.as_bytes().to_vec()).collect()
}
