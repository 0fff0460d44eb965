//! A caller is told the fate of its own write, of no other, and never that it was not done where it
//! was. Each was found by a simulated run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::num::NonZeroUsize;

use futures_executor::block_on;
use strongroom_core::{NotDoneKind, Opaque, Principal, Profile, Storage, Version};
use strongroom_engine::{Error, Session, Strongroom, WriteOutcome};
use strongroom_policy::Policy;
use strongroom_testkit::{
    Call, Fault, FaultyStorage, ManualClock, MemorySeal, MemorySink, MemoryStorage, SeededEntropy,
};

/// A new store with batches of that many operations.
fn store(atomic_ops: usize) -> (FaultyStorage<MemoryStorage>, Session) {
    let memory = MemoryStorage::new();
    let atomic_ops = NonZeroUsize::new(atomic_ops).unwrap();
    let profile = Profile { atomic_ops, ..memory.profile() };
    let storage = FaultyStorage::new(memory.with_profile(profile));
    let alice = Principal::user("alice");
    let builder = Strongroom::builder()
        .storage(storage.clone())
        .seal(MemorySeal::new())
        .policy(Policy::owned_by(&alice))
        .audit(MemorySink::new())
        .clock(ManualClock::new())
        .entropy(SeededEntropy::new(1));
    (storage, block_on(builder.create()).unwrap().session(alice))
}

fn put(session: &Session, value: &str) -> Result<Version, Error> {
    block_on(session.put("prod/db", Opaque::new(value.as_bytes())))
}

/// Version and value in force, if there is one.
fn in_force(session: &Session) -> Option<(u64, String)> {
    match block_on(session.read::<Opaque>("prod/db")) {
        Ok(read) => {
            let value = read.secret.value().expose(|bytes| String::from_utf8(bytes.to_vec()));
            Some((read.version.number(), value.unwrap()))
        }
        Err(Error::NotFound(_)) => None,
        Err(error) => panic!("{error:?}"),
    }
}

fn as_read(version: u64, value: &str) -> Option<(u64, String)> {
    Some((version, value.to_owned()))
}

/// Before it, the write in doubt is settled. Where that fails, nothing of the new one was done.
#[test]
fn a_write_is_not_told_the_fate_of_an_earlier_one() {
    let (storage, session) = store(usize::MAX);
    put(&session, "one").unwrap();
    storage.nth(Call::Write, 1, Fault::LostRequest);
    let Err(Error::Indeterminate(two)) = put(&session, "two") else { panic!("a lost request") };
    storage.nth(Call::Write, 1, Fault::LostReply);
    let three = put(&session, "three");
    assert!(matches!(three, Err(Error::Unavailable(_))), "{three:?}");
    let told = block_on(session.resolve(&two)).unwrap();
    assert_eq!(told, WriteOutcome::TookEffect(Version::new(2)));
    assert_eq!(in_force(&session), as_read(2, "two"));
}

/// The namespace of a first put is created on the way to it.
#[test]
fn a_put_whose_namespace_is_in_doubt_was_not_done() {
    for fault in [Fault::LostRequest, Fault::LostReply] {
        let (storage, session) = store(usize::MAX);
        storage.nth(Call::Write, 1, fault);
        let one = put(&session, "one");
        assert!(matches!(one, Err(Error::Unavailable(_))), "{one:?}");
        assert_eq!(in_force(&session), None);
        assert_eq!(put(&session, "two").unwrap(), Version::FIRST);
    }
}

/// Where a batch is one operation, the keys are looked at again once the write is done.
#[test]
fn a_write_that_was_done_is_not_told_as_not_done() {
    for nth in 1..6 {
        let (storage, session) = store(1);
        put(&session, "one").unwrap();
        storage.nth(Call::Read, nth, Fault::Fail(NotDoneKind::Busy));
        let two = put(&session, "two");
        storage.heal();
        let is_done = match &two {
            Ok(version) => *version == Version::new(2).unwrap(),
            Err(Error::Indeterminate(two)) => {
                let told = block_on(session.resolve(two)).unwrap();
                assert_eq!(told, WriteOutcome::TookEffect(Version::new(2)));
                true
            }
            Err(_) => false,
        };
        let expected = if is_done { as_read(2, "two") } else { as_read(1, "one") };
        assert_eq!(in_force(&session), expected, "read {nth}: {two:?}");
    }
}
