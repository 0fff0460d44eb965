//! What is left of a destroyed namespace accuses nobody.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Waker};

use futures_executor::block_on;
use strongroom_core::{NotDoneKind, Opaque, Principal, Profile, Storage};
use strongroom_engine::{Session, Strongroom};
use strongroom_policy::Policy;
use strongroom_testkit::{Call, Fault, FaultyStorage, MemoryStorage, SeededEntropy, TestRoom};

/// Another process on the kit's store, whose batches are one operation.
fn process(kit: &TestRoom, seed: u64) -> (FaultyStorage<MemoryStorage>, Session) {
    let profile = Profile { atomic_ops: NonZeroUsize::MIN, ..kit.storage.profile() };
    let storage = FaultyStorage::new(kit.storage.clone().with_profile(profile));
    let alice = Principal::user("alice");
    let builder = Strongroom::builder()
        .storage(storage.clone())
        .seal(kit.seal.clone())
        .policy(Policy::owned_by(&alice))
        .audit(kit.log.beside())
        .clock(kit.clock.clone())
        .entropy(SeededEntropy::new(seed));
    (storage, block_on(builder.open()).unwrap().session(alice))
}

/// Nothing is checked beside a write there: it lands in a namespace that was destroyed meanwhile,
/// where nobody can read it. Found by a simulated run.
#[test]
fn a_head_that_lands_after_its_namespace_was_destroyed_is_no_fork() {
    for replaced in [false, true] {
        let kit = TestRoom::allowing_all();
        let ((late_storage, late), (_, other)) = (process(&kit, 11), process(&kit, 12));
        block_on(other.create_namespace("short")).unwrap();

        late_storage.nth(Call::Write, 1, Fault::Delay { before: 1, after: 0 });
        let mut put = pin!(late.put("short/lived", Opaque::new(b"late")));
        assert!(put.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        block_on(other.put("short/lived", Opaque::new(b"first"))).unwrap();
        if replaced {
            block_on(other.put("short/lived", Opaque::new(b"second"))).unwrap();
        }
        block_on(other.destroy_namespace("short")).unwrap();
        block_on(put).unwrap();

        let report = block_on(other.verify()).unwrap();
        let accused: Vec<_> = report.accusations().map(ToString::to_string).collect();
        assert_eq!(accused, [""; 0]);
        let read: Opaque = block_on(other.get("short/lived")).unwrap();
        assert!(read.value().expose(|bytes| bytes == b"late"));
    }
}

/// The heads that its scan listed are of the namespace that was, and no key of the one of that name
/// now opens them. Found by a simulated run.
#[test]
fn a_rewrap_whose_namespace_is_made_anew_meanwhile_accuses_nobody() {
    let kit = TestRoom::allowing_all();
    let ((storage, rewrapping), (erasing, other)) = (process(&kit, 11), process(&kit, 12));
    block_on(other.put("short/lived", Opaque::new(b"first"))).unwrap();
    block_on(other.rotate_keys("short")).unwrap();

    storage.nth(Call::List, 1, Fault::Delay { before: 0, after: 1 });
    let mut rewrap = pin!(rewrapping.rewrap("short"));
    assert!(rewrap.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    // Destroyed it is, and its heads are still there.
    erasing.nth(Call::Erase, 1, Fault::Fail(NotDoneKind::Unreachable));
    block_on(other.destroy_namespace("short")).unwrap_err();
    block_on(other.put("short/lived", Opaque::new(b"second"))).unwrap();
    // The engine that rewraps knows the new namespace from here on.
    let read: Opaque = block_on(rewrapping.get("short/lived")).unwrap();
    assert!(read.value().expose(|bytes| bytes == b"second"));

    let report = block_on(rewrap).unwrap();
    assert_eq!((report.rewrapped, report.epochs_left), (0, 0));
}

/// A head that landed late, whose blobs were erased with its namespace, is no incomplete secret for
/// a reader who knew the namespace before. Found by a simulated run.
#[test]
fn a_read_that_meets_what_landed_in_a_destroyed_namespace_reads_anew() {
    let kit = TestRoom::allowing_all();
    let ((late_storage, late), (reading, reader), (_, other)) =
        (process(&kit, 11), process(&kit, 12), process(&kit, 13));
    block_on(other.create_namespace("short")).unwrap();

    // The blob is written, the head is not.
    late_storage.nth(Call::Write, 2, Fault::Delay { before: 1, after: 0 });
    let mut put = pin!(late.put("short/lived", Opaque::new(vec![b'x'; 3000])));
    assert!(put.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    // The namespace is read, the head is not.
    reading.nth(Call::Read, 2, Fault::Delay { before: 1, after: 0 });
    let mut get = pin!(reader.get::<Opaque>("short/lived"));
    assert!(get.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    block_on(other.destroy_namespace("short")).unwrap();
    // It lands there, and is then put into the new namespace of that name.
    block_on(put).unwrap();

    let read = block_on(get).unwrap();
    assert!(read.value().expose(|bytes| bytes == [b'x'; 3000]));
}
