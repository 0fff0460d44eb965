//! Cases about several at once: threads, handles, dropped futures, backups.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::thread;

use futures_executor::block_on;
use strongroom_core::{Expect, Key, Scan, Storage, Written};

use super::{
    Bench, batch, committed, erase, insert, key, list_all, put, read, read_all, replace, scan,
    value, write,
};

/// Each commit is seen, those that replace, and those that erase.
pub fn a_mark_changes_with_each_commit(bench: &Bench) {
    let storage = bench.open();
    if storage.change_mark().is_none() {
        return;
    }
    let mut seen = vec![storage.change_mark()];
    let mut changed = || {
        let mark = storage.change_mark();
        assert!(!seen.contains(&mark), "a mark came back after a commit");
        seen.push(mark);
    };
    let first = insert(&*storage, &key("k"), "1");
    changed();
    replace(&*storage, &key("k"), &first, "1");
    changed();
    erase(&*storage, &[key("k")]);
    changed();
    insert(&*storage, &key("other"), "1");
    changed();
}

/// Through another handle, the first commit of all included.
pub fn a_mark_changes_with_commits_of_others(bench: &Bench) {
    let (storage, other) = (bench.open(), bench.open());
    let mut mark = storage.change_mark();
    if mark.is_none() {
        return;
    }
    for n in 0..10_u8 {
        insert(&*other, &key([n]), "v");
        let next = storage.change_mark();
        assert_ne!(next, mark, "a commit of another was missed");
        mark = next;
    }
}

/// Else a cache that rests on it never holds: reads, lists and conflicts commit nothing.
pub fn a_mark_stays_where_nothing_was_committed(bench: &Bench) {
    let storage = bench.open();
    insert(&*storage, &key("k"), "v");
    let Some(mark) = storage.change_mark() else { return };
    read(&*storage, &key("k"));
    list_all(&*storage, scan("", 10));
    assert_eq!(storage.change_mark(), Some(mark));
    assert_eq!(storage.change_mark(), Some(mark));
}

/// Compare and swap under contention loses nothing and counts nothing twice.
pub fn counting_from_several_threads_is_exact(bench: &Bench) {
    let storage = bench.open();
    insert(&*storage, &key("count"), 0_u64.to_be_bytes());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| increment(&*storage)));
        }
    });
    assert_eq!(value(&*storage, &key("count")), Some(100_u64.to_be_bytes().to_vec()));
}

/// The same with a handle a thread, as several processes would.
pub fn counting_from_several_handles_is_exact(bench: &Bench) {
    let storage = bench.open();
    insert(&*storage, &key("count"), 0_u64.to_be_bytes());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let own = bench.open();
                (0..25).for_each(|_| increment(&*own));
            });
        }
    });
    assert_eq!(value(&*storage, &key("count")), Some(100_u64.to_be_bytes().to_vec()));
}

/// Tells the other threads to end, also where this one ends by a failed assertion.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn increment(storage: &dyn Storage) {
    loop {
        let entry = read(storage, &key("count")).unwrap_or_else(|| unreachable!("it was put"));
        let count = entry.value.try_into().map_or(0, u64::from_be_bytes) + 1;
        let expect = Expect::Revision(entry.revision);
        match write(storage, [put(&key("count"), expect, count.to_be_bytes())]) {
            Written::Committed { .. } => return,
            Written::Conflict { .. } => {}
        }
    }
}

/// A conflict is about a key that somebody else wrote, and never about another.
pub fn writers_of_other_keys_do_not_disturb_each_other(bench: &Bench) {
    let storage = bench.open();
    thread::scope(|scope| {
        for writer in 0..6_u8 {
            let storage = &storage;
            scope.spawn(move || {
                for n in 0..10_u8 {
                    insert(&**storage, &key([writer, n]), [n]);
                    // A loser in between takes nobody along.
                    let lost = write(&**storage, [put(&key([writer, n]), Expect::Absent, "x")]);
                    assert!(matches!(lost, Written::Conflict { .. }));
                }
            });
        }
    });
    assert_eq!(list_all(&*storage, scan("", 100)).len(), 60);
}

/// A list in one page, and a read where it is one snapshot, see both records of a batch or none.
/// Only the order is asked of a backend: what was written together never goes back.
pub fn readers_never_see_half_a_batch(bench: &Bench) {
    let storage = bench.open();
    if storage.profile().atomic_ops.get() < 2 {
        return;
    }
    let keys = [key("a"), key("b")];
    let both = |n: u8, expect: [Expect; 2]| {
        let ops: Vec<_> = keys.iter().zip(expect).map(|(at, e)| put(at, e, [n])).collect();
        committed(write(&*storage, ops))
    };
    let mut revisions = both(0, [Expect::Absent, Expect::Absent]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let number = |at: &Key| value(&*storage, at).and_then(|bytes| bytes.first().copied());
            while !done.load(Ordering::Relaxed) {
                // `b` is read after `a`, so it is at least as new.
                let (a, b) = (number(&keys[0]), number(&keys[1]));
                assert!(a <= b, "a batch was visible in part");
            }
        });
        let _ends = Ends(&done);
        for n in 1..40 {
            let expect: Vec<_> = revisions.iter().cloned().map(Expect::Revision).collect();
            let expect = expect.try_into().unwrap_or([Expect::Absent, Expect::Absent]);
            revisions = both(n, expect);
        }
    });
}

/// FC-039: a value that is replaced is read as one of the two, whole, by handles of their own.
pub fn readers_never_see_half_a_value(bench: &Bench) {
    let storage = bench.open();
    let length = storage.profile().value_bytes.get();
    let mut revision = insert(&*storage, &key("k"), vec![0; length]);
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let own = bench.open();
                loop {
                    let found = value(&*own, &key("k")).unwrap_or_default();
                    assert_eq!(found.len(), length);
                    assert!(found.windows(2).all(|pair| pair.first() == pair.get(1)), "torn");
                    reads.fetch_add(1, Ordering::Relaxed);
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let _ends = Ends(&done);
        for n in 1..60_u8 {
            revision = replace(&*storage, &key("k"), &revision, vec![n; length]);
        }
    });
    assert!(reads.into_inner() >= 3);
}

/// A future that is dropped after any number of polls has done all of its batch or nothing.
pub fn a_dropped_write_is_whole_or_absent(bench: &Bench) {
    let storage = bench.open();
    let width = u8::try_from(storage.profile().atomic_ops.get().min(3)).unwrap_or(1);
    for polls in 0..6_u8 {
        let names: Vec<_> = (0..width).map(|n| key([polls, n])).collect();
        let ops: Vec<_> = names.iter().map(|at| put(at, Expect::Absent, "v")).collect();
        let mut future = storage.write(batch(ops.clone()));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            if future.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        drop(future);
        // The retry tells: all of it is new, or all of it was done.
        match write(&*storage, ops) {
            Written::Committed { revisions } => assert_eq!(revisions.len(), names.len()),
            Written::Conflict { key } => assert_eq!(Some(&key), names.first()),
        }
        assert!(read_all(&*storage, &names).iter().all(Option::is_some), "half a batch");
    }
}

/// Nothing is left locked.
pub fn a_dropped_future_leaves_the_store_usable(bench: &Bench) {
    let (storage, other) = (bench.open(), bench.open());
    for n in 0..20_u8 {
        let mut future = storage.write(batch([put(&key([n]), Expect::Absent, "v")]));
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(future);
    }
    insert(&*storage, &key("after"), "v");
    insert(&*other, &key("of another"), "v");
    assert!(value(&*storage, &key("of another")).is_some());
    assert!(value(&*other, &key("after")).is_some());
}

fn backed_up(bench: &Bench, storage: &dyn Storage, cut: &mut (dyn FnMut() + Send)) -> Vec<u64> {
    let dir = tempfile::tempdir().unwrap_or_else(|e| unreachable!("no scratch directory: {e}"));
    block_on(storage.backup(dir.path(), cut)).unwrap_or_else(|e| unreachable!("backup: {e}"));
    let copy = bench.open_in(dir.path());
    let all = Scan { with_values: true, ..scan("", 100) };
    let values = list_all(&*copy, all).into_iter().filter_map(|entry| entry.value);
    values.map(|bytes| bytes.try_into().map_or(u64::MAX, u64::from_be_bytes)).collect()
}

/// The copy opens as a store and has everything.
pub fn a_backup_holds_what_was_there(bench: &Bench) {
    let storage = bench.open();
    for n in 0..50_u64 {
        insert(&*storage, &key(n.to_be_bytes()), n.to_be_bytes());
    }
    let expected: Vec<u64> = (0..50).collect();
    assert_eq!(backed_up(bench, &*storage, &mut || ()), expected);
}

/// Once, no less and no more, and before the call ends.
pub fn a_backup_calls_cut_once(bench: &Bench) {
    let storage = bench.open();
    insert(&*storage, &key("k"), 1_u64.to_be_bytes());
    let mut cuts = 0;
    backed_up(bench, &*storage, &mut || cuts += 1);
    assert_eq!(cuts, 1);
}

/// The copy has what was committed when `cut` was called, and nothing of what came later.
pub fn a_backup_while_writing_is_of_one_moment(bench: &Bench) {
    let storage = bench.open();
    insert(&*storage, &key(0_u64.to_be_bytes()), 0_u64.to_be_bytes());
    let (done, answered, begun) =
        (AtomicBool::new(false), AtomicUsize::new(1), AtomicUsize::new(1));
    thread::scope(|scope| {
        scope.spawn(|| {
            let own = bench.open();
            let mut n = 1_u64;
            while !done.load(Ordering::SeqCst) {
                begun.fetch_add(1, Ordering::SeqCst);
                insert(&*own, &key(n.to_be_bytes()), n.to_be_bytes());
                answered.fetch_add(1, Ordering::SeqCst);
                n += 1;
            }
        });
        let _ends = Ends(&done);
        for _ in 0..3 {
            let (mut least, mut most) = (0, 0);
            let copied = backed_up(bench, &*storage, &mut || {
                least = answered.load(Ordering::SeqCst);
                most = begun.load(Ordering::SeqCst);
            });
            // Without a gap, all that was answered before the cut, and nothing begun after it.
            assert!(copied.iter().copied().eq(0..copied.len() as u64), "a copy with gaps");
            assert!((least..=most).contains(&copied.len()), "a copy of another moment");
        }
    });
}

/// Reads are linearisable between handles.
pub fn an_old_handle_sees_what_a_new_one_writes(bench: &Bench) {
    let old = bench.open();
    let mut revision = insert(&*old, &key("k"), "0");
    for n in 0..10_u8 {
        let new = bench.open();
        revision = replace(&*new, &key("k"), &revision, [n]);
        assert_eq!(value(&*old, &key("k")), Some(vec![n]));
        assert_eq!(value(&*new, &key("k")), Some(vec![n]));
    }
}
