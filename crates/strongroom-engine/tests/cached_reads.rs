//! Reads that may be served from the cache, while others change keys.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use futures_executor::block_on;
use strongroom_core::{Opaque, Principal, Read, path};
use strongroom_engine::{Error, Freshness, NotFound, Session, Strongroom, Unavailable};
use strongroom_policy::Policy;
use strongroom_testkit::{Call, Fault, FaultyStorage, SeededEntropy, TestRoom};

fn alice(room: &Strongroom) -> Session {
    room.session(Principal::user("alice"))
}

/// A cached head may be older than the keys that are known. Its own were destroyed since, and that
/// is no damage. Found by a simulated run.
#[test]
fn a_cached_head_whose_keys_are_destroyed_is_read_anew() {
    for many in [false, true] {
        let kit = TestRoom::allowing_all();
        let another = kit.open_again_allowing_all().unwrap();
        let (reader, other) = (alice(&kit.room()), alice(&another));
        for path in ["prod/db", "prod/api"] {
            block_on(reader.put(path, Opaque::new(b"value"))).unwrap();
        }
        block_on(other.rotate_keys("prod")).unwrap();
        assert_eq!(block_on(other.rewrap("prod")).unwrap().epochs_destroyed, 1);
        // The reader gets to know the new keys, over another secret.
        block_on(reader.get::<Opaque>("prod/api")).unwrap();

        let reader = reader.with_freshness(Freshness::AtMost(Duration::from_secs(60)));
        let read: Opaque = if many {
            let paths = [path!("prod/db"), path!("prod/api")];
            block_on(reader.get_many(&paths)).unwrap().remove(0).unwrap().secret
        } else {
            block_on(reader.get("prod/db")).unwrap()
        };
        assert!(read.value().expose(|bytes| bytes == b"value"));
    }
}

/// A head that names a newer namespace record than is known, which is gone once it is looked for:
/// the namespace was destroyed. Found by a simulated run (seed 2047).
#[test]
fn a_namespace_that_is_destroyed_while_its_keys_are_looked_for_was_not_rolled_back() {
    let kit = TestRoom::allowing_all();
    let other = alice(&kit.room());
    let storage = FaultyStorage::new(kit.storage.clone());
    let builder = Strongroom::builder()
        .storage(storage.clone())
        .seal(kit.seal.clone())
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(kit.log.beside())
        .clock(kit.clock.clone())
        .entropy(SeededEntropy::new(7));
    let reader = alice(&block_on(builder.open()).unwrap());

    block_on(other.put("short/a", Opaque::new(b"a"))).unwrap();
    block_on(other.rotate_keys("short")).unwrap();
    block_on(reader.get::<Opaque>("short/a")).unwrap();
    // The same key is in use after it, under a newer record.
    block_on(other.rewrap("short")).unwrap();
    block_on(other.put("short/b", Opaque::new(b"b"))).unwrap();

    let reader = reader.with_freshness(Freshness::AtMost(Duration::from_secs(60)));
    storage.nth(Call::Read, 2, Fault::Delay { before: 1, after: 0 });
    let mut read = pin!(reader.get::<Opaque>("short/b"));
    assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    block_on(other.destroy_namespace("short")).unwrap();
    let read = block_on(read);
    assert!(matches!(read, Err(Error::NotFound(NotFound::Namespace))), "{read:?}");
}

/// A permit that was granted where there was nothing is stale once this process has put something
/// there. Found by a simulated run (seed 5).
#[test]
fn a_permit_for_nothing_is_stale_once_there_is_something() {
    for namespace in [false, true] {
        let kit = TestRoom::allowing_all();
        let session = alice(&kit.room());
        if namespace {
            block_on(session.create_namespace("prod")).unwrap();
        }
        let permit = block_on(session.authorize::<Read>("prod/db")).unwrap();
        let other = block_on(session.authorize::<Read>("prod/other")).unwrap();
        block_on(session.put("prod/db", Opaque::new(b"value"))).unwrap();
        let read = block_on(permit.read::<Opaque>());
        assert!(matches!(read, Err(Error::Unavailable(Unavailable::StalePermit))), "{read:?}");
        let read = block_on(other.read::<Opaque>());
        assert!(matches!(read, Err(Error::NotFound(_))), "{read:?}");
    }
}

/// What is left in a cache of a namespace that is gone makes no permit stale.
#[test]
fn a_path_below_a_destroyed_namespace_is_not_found() {
    let kit = TestRoom::allowing_all();
    let another = kit.open_again_allowing_all().unwrap();
    let (session, other) = (alice(&kit.room()), alice(&another));
    block_on(session.put("short/a", Opaque::new(b"a"))).unwrap();
    block_on(other.destroy_namespace("short")).unwrap();
    for _ in 0..2 {
        let read = block_on(session.get::<Opaque>("short/a"));
        assert!(matches!(read, Err(Error::NotFound(NotFound::Namespace))), "{read:?}");
        let many = block_on(session.get_many::<Opaque>(&[path!("short/a"), path!("short/b")]));
        let read = many.unwrap().remove(0);
        assert!(matches!(read, Err(Error::NotFound(NotFound::Namespace))), "{read:?}");
    }
}
