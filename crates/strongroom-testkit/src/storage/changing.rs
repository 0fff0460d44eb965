//! Cases about writing and erasing.

use std::collections::HashSet;

use strongroom_core::{Expect, NotDoneKind, Op, Revision, Storage, Written};

use super::{
    Bench, check, committed, erase, insert, key, list_all, put, read, replace, scan, try_write,
    value, write,
};

fn conflict(written: &Written, name: &str) {
    assert_eq!(*written, Written::Conflict { key: key(name) });
}

/// Whether the profile allows batches of so many operations; else a case about them is void.
fn allows(storage: &dyn Storage, ops: usize) -> bool {
    storage.profile().atomic_ops.get() >= ops
}

/// `Absent` holds for the first.
pub fn an_absent_key_is_put_once(bench: &Bench) {
    let storage = bench.open();
    insert(&*storage, &key("k"), "first");
    conflict(&write(&*storage, [put(&key("k"), Expect::Absent, "second")]), "k");
    assert_eq!(value(&*storage, &key("k")), Some(b"first".to_vec()));
}

/// Compare and swap.
pub fn a_put_expects_the_revision_that_is_there(bench: &Bench) {
    let storage = bench.open();
    let first = insert(&*storage, &key("k"), "1");
    let second = replace(&*storage, &key("k"), &first, "2");
    let stale = [put(&key("k"), Expect::Revision(first), "stale")];
    conflict(&write(&*storage, stale), "k");
    replace(&*storage, &key("k"), &second, "3");
    assert_eq!(value(&*storage, &key("k")), Some(b"3".to_vec()));
}

/// A revision is never an upsert.
pub fn a_put_on_an_absent_key_with_a_revision_is_a_conflict(bench: &Bench) {
    let storage = bench.open();
    let revision = insert(&*storage, &key("other"), "v");
    conflict(&write(&*storage, [put(&key("k"), Expect::Revision(revision), "v")]), "k");
    let made_up = Expect::Revision(Revision::new(*b"never given out"));
    conflict(&write(&*storage, [put(&key("k"), made_up.clone(), "v")]), "k");
    conflict(&write(&*storage, [put(&key("other"), made_up, "v")]), "other");
    assert_eq!(value(&*storage, &key("k")), None);
}

/// The caller learns where to look.
pub fn a_conflict_names_the_first_key_that_failed(bench: &Bench) {
    let storage = bench.open();
    if !allows(&*storage, 3) {
        return;
    }
    insert(&*storage, &key("b"), "v");
    insert(&*storage, &key("c"), "v");
    let ops = ["a", "c", "b"].map(|name| put(&key(name), Expect::Absent, "x"));
    conflict(&write(&*storage, ops), "c");
}

/// Not even the operations whose expectations held.
pub fn a_conflict_changes_nothing(bench: &Bench) {
    let storage = bench.open();
    if !allows(&*storage, 3) {
        return;
    }
    let revision = insert(&*storage, &key("b"), "old");
    let ops = [
        put(&key("a"), Expect::Absent, "new"),
        put(&key("b"), Expect::Revision(revision.clone()), "new"),
        put(&key("c"), Expect::Revision(revision.clone()), "new"),
    ];
    conflict(&write(&*storage, ops), "c");
    assert_eq!(value(&*storage, &key("a")), None);
    let found = read(&*storage, &key("b"));
    assert!(found.is_some_and(|entry| entry.value == b"old" && entry.revision == revision));
}

/// All of it, for as many operations as the profile allows, at most 100 here.
pub fn a_batch_is_all_or_nothing(bench: &Bench) {
    let storage = bench.open();
    let many = u8::try_from(storage.profile().atomic_ops.get().min(100)).unwrap_or(100);
    let all: Vec<Op> = (0..many).map(|n| put(&key([n, 1]), Expect::Absent, [n])).collect();
    assert_eq!(committed(write(&*storage, all.clone())).len(), usize::from(many));
    assert_eq!(list_all(&*storage, scan("", 1_000)).len(), usize::from(many));
    let _ = write(&*storage, all);
    let mut again: Vec<Op> = (1..many).map(|n| put(&key([n, 2]), Expect::Absent, [n])).collect();
    again.push(put(&key([0, 1]), Expect::Absent, "taken"));
    assert!(matches!(write(&*storage, again), Written::Conflict { .. }));
    assert_eq!(list_all(&*storage, scan("", 1_000)).len(), usize::from(many));
}

/// Refused, not cut.
pub fn a_batch_beyond_the_profile_is_refused(bench: &Bench) {
    let storage = bench.open();
    let most = storage.profile().atomic_ops.get();
    if most >= 10_000 {
        return;
    }
    let name = |n: usize| key(n.to_be_bytes());
    let ops: Vec<Op> = (0..=most).map(|n| put(&name(n), Expect::Absent, "v")).collect();
    let refused = try_write(&*storage, ops);
    assert!(refused.is_err_and(|e| e.kind() == Some(NotDoneKind::TooLarge)));
    assert!(list_all(&*storage, scan("", 10)).is_empty());
}

/// Refused by the batch or by the backend.
pub fn a_value_beyond_the_profile_is_refused(bench: &Bench) {
    let storage = bench.open();
    let long = vec![0; storage.profile().value_bytes.get() + 1];
    let op = put(&key("k"), Expect::Absent, long);
    let refused = match strongroom_core::Batch::new(vec![op]) {
        Err(e) => e,
        Ok(batch) => match futures_executor::block_on(storage.write(batch)) {
            Err(e) => e,
            Ok(written) => unreachable!("too long, and yet {written:?}"),
        },
    };
    assert_eq!(refused.kind(), Some(NotDoneKind::TooLarge));
    assert_eq!(value(&*storage, &key("k")), None);
}

/// A check writes nothing.
pub fn a_check_alone_holds_or_conflicts(bench: &Bench) {
    let storage = bench.open();
    let first = insert(&*storage, &key("k"), "1");
    let unchanged = committed(write(&*storage, [check(&key("k"), &first)]));
    assert_eq!(unchanged, std::slice::from_ref(&first));
    conflict(&write(&*storage, [check(&key("absent"), &first)]), "absent");
    let second = replace(&*storage, &key("k"), &first, "2");
    conflict(&write(&*storage, [check(&key("k"), &first)]), "k");
    let found = read(&*storage, &key("k"));
    assert!(found.is_some_and(|entry| entry.revision == second && entry.value == b"2"));
}

/// What a put rests on is checked in the same instant.
pub fn a_check_beside_a_put_guards_it(bench: &Bench) {
    let storage = bench.open();
    if !allows(&*storage, 2) {
        return;
    }
    let guard = insert(&*storage, &key("guard"), "1");
    let ops = [check(&key("guard"), &guard), put(&key("a"), Expect::Absent, "v")];
    assert_eq!(committed(write(&*storage, ops)).first(), Some(&guard));
    replace(&*storage, &key("guard"), &guard, "2");
    let ops = [put(&key("b"), Expect::Absent, "v"), check(&key("guard"), &guard)];
    conflict(&write(&*storage, ops), "guard");
    assert_eq!(value(&*storage, &key("b")), None);
}

/// One revision an operation, the one that a read then finds.
pub fn revisions_are_answered_in_order(bench: &Bench) {
    let storage = bench.open();
    let names = ["c", "a", "b"];
    if !allows(&*storage, names.len()) {
        return;
    }
    let ops = names.map(|name| put(&key(name), Expect::Absent, name));
    let revisions = committed(write(&*storage, ops));
    assert_eq!(revisions.len(), names.len());
    for (name, revision) in names.iter().zip(&revisions) {
        let found = read(&*storage, &key(name));
        assert!(found.is_some_and(|entry| entry.revision == *revision));
    }
}

/// The same bytes again can't take effect twice.
pub fn a_verbatim_retry_fences_itself(bench: &Bench) {
    let storage = bench.open();
    let create = [put(&key("k"), Expect::Absent, "1")];
    committed(write(&*storage, create.clone()));
    conflict(&write(&*storage, create), "k");
    let revision = read(&*storage, &key("k")).map(|entry| entry.revision);
    let swap = revision.map(|revision| put(&key("k"), Expect::Revision(revision), "2"));
    let swap: Vec<_> = swap.into_iter().collect();
    committed(write(&*storage, swap.clone()));
    conflict(&write(&*storage, swap), "k");
    assert_eq!(value(&*storage, &key("k")), Some(b"2".to_vec()));
}

/// Also where the bytes do: A, B, A is three revisions.
pub fn a_revision_never_repeats(bench: &Bench) {
    let storage = bench.open();
    let mut revision = insert(&*storage, &key("k"), "a");
    let mut seen = HashSet::from([revision.clone()]);
    for n in 0..50 {
        let bytes = if n % 3 == 0 { "b" } else { "a" };
        revision = replace(&*storage, &key("k"), &revision, bytes);
        assert!(seen.insert(revision.clone()), "a revision came back");
    }
}

/// Erasing and putting anew does not wake an old expectation.
pub fn a_revision_never_repeats_after_erasure(bench: &Bench) {
    let storage = bench.open();
    let mut seen = HashSet::new();
    for _ in 0..10 {
        let revision = insert(&*storage, &key("k"), "same");
        for old in &seen {
            let stale = [put(&key("k"), Expect::Revision(Revision::clone(old)), "stale")];
            conflict(&write(&*storage, stale), "k");
        }
        assert!(seen.insert(revision), "a revision came back");
        erase(&*storage, &[key("k")]);
    }
}

/// Nor does opening anew.
pub fn a_revision_never_repeats_after_reopening(bench: &Bench) {
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let storage = bench.open();
        for _ in 0..3 {
            assert!(seen.insert(insert(&*storage, &key("k"), "same")), "a revision came back");
            erase(&*storage, &[key("k")]);
        }
    }
}

/// A write to one key leaves the revisions of the others alone.
pub fn a_revision_is_of_one_key(bench: &Bench) {
    let storage = bench.open();
    let (a, b) = (insert(&*storage, &key("a"), "v"), insert(&*storage, &key("b"), "v"));
    let a = replace(&*storage, &key("a"), &a, "w");
    assert_eq!(read(&*storage, &key("b")).map(|entry| entry.revision), Some(b.clone()));
    replace(&*storage, &key("b"), &b, "w");
    assert_eq!(read(&*storage, &key("a")).map(|entry| entry.revision), Some(a));
}

/// Twice, absent, or none at all.
pub fn erasing_is_idempotent(bench: &Bench) {
    let storage = bench.open();
    erase(&*storage, &[key("never")]);
    erase(&*storage, &[]);
    insert(&*storage, &key("k"), "v");
    erase(&*storage, &[key("k"), key("k"), key("never")]);
    erase(&*storage, &[key("k")]);
    assert_eq!(value(&*storage, &key("k")), None);
}

/// No prefix, no pattern.
pub fn erasing_takes_only_what_it_names(bench: &Bench) {
    let storage = bench.open();
    for name in ["a", "ab", "a%", "b", "A"] {
        insert(&*storage, &key(name), "v");
    }
    erase(&*storage, &[key("a"), key("a%")]);
    let left: Vec<_> = list_all(&*storage, scan("", 10)).into_iter().map(|e| e.key).collect();
    assert_eq!(left, ["A", "ab", "b"].map(key));
}

/// For reads, lists, checks and puts alike.
pub fn an_erased_key_is_absent(bench: &Bench) {
    let storage = bench.open();
    let revision = insert(&*storage, &key("k"), "v");
    erase(&*storage, &[key("k")]);
    assert_eq!(read(&*storage, &key("k")), None);
    assert!(list_all(&*storage, scan("", 10)).is_empty());
    conflict(&write(&*storage, [check(&key("k"), &revision)]), "k");
    conflict(&write(&*storage, [put(&key("k"), Expect::Revision(revision), "v")]), "k");
    insert(&*storage, &key("k"), "anew");
}
