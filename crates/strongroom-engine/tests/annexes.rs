//! Annexes: what those that manage a secret keep beside it, in one step with its head.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use futures_executor::block_on;
use strongroom_core::{
    AnnexUpdate, Expected, MAX_ANNEX_BYTES, MetadataError, MetadataUpdate, Opaque, Principal,
};
use strongroom_engine::{Error, Invalid, Session, WriteOptions};
use strongroom_testkit::TestRoom;

const PATH: &str = "prod/db";

fn session(kit: &TestRoom) -> Session {
    kit.room().session(Principal::user("alice"))
}

fn annexes(session: &Session) -> BTreeMap<String, Vec<u8>> {
    block_on(session.metadata(PATH)).unwrap().annexes
}

fn set(name: &str, bytes: &[u8]) -> AnnexUpdate {
    AnnexUpdate::new().set(name, bytes)
}

async fn update(session: &Session, annexes: AnnexUpdate) -> Result<(), Error> {
    session.update_metadata(PATH, MetadataUpdate::new().annexes(annexes)).await
}

#[test]
fn an_annex_is_kept_by_whatever_changes_the_secret() {
    let kit = TestRoom::allowing_all();
    let alice = session(&kit);
    block_on(async {
        let with = WriteOptions::new().annexes(set("acme.step", b"one"));
        alice.put_with(PATH, Opaque::new(b"v1"), with).await.unwrap();
        alice.put_with(PATH, Opaque::new(b"v2"), WriteOptions::new().pending()).await.unwrap();
        alice.promote("prod/db@pending").await.unwrap();
        alice.disable("prod/db@1").await.unwrap();
        alice.destroy("prod/db@1").await.unwrap();
        alice.update_metadata(PATH, MetadataUpdate::new().owner("bob")).await.unwrap();
        alice.rotate_keys("prod").await.unwrap();
        alice.rewrap("prod").await.unwrap();
    });
    assert_eq!(annexes(&alice), BTreeMap::from([("acme.step".to_owned(), b"one".to_vec())]));

    let again = kit.open_again_allowing_all().unwrap().session(Principal::user("alice"));
    assert_eq!(annexes(&again).len(), 1);
    block_on(alice.purge(PATH)).unwrap();
    block_on(alice.put(PATH, Opaque::new(b"v3"))).unwrap();
    assert!(annexes(&alice).is_empty());
}

#[test]
fn an_annex_changes_with_the_write_or_not_at_all() {
    let kit = TestRoom::allowing_all();
    let alice = session(&kit);
    block_on(async {
        alice.put(PATH, Opaque::new(b"v1")).await.unwrap();
        let seq = alice.metadata(PATH).await.unwrap().seq;
        update(&alice, set("a", b"first")).await.unwrap();

        // Bound to a head that is no longer there.
        let stale = || WriteOptions::from(Expected::Head(seq)).annexes(set("a", b"second"));
        let late = alice.put_with(PATH, Opaque::new(b"v2"), stale()).await;
        assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
        let shown = alice.metadata(PATH).await.unwrap();
        assert_eq!((shown.annexes["a"].as_slice(), shown.versions.len()), (&b"first"[..], 1));

        let removed = AnnexUpdate::new().remove("a").set("b", b"").remove("never");
        let options = WriteOptions::from(Expected::Head(shown.seq)).annexes(removed);
        alice.put_with(PATH, Opaque::new(b"v2"), options).await.unwrap();
        assert_eq!(alice.metadata(PATH).await.unwrap().versions.len(), 2);
    });
    assert_eq!(annexes(&alice), BTreeMap::from([("b".to_owned(), Vec::new())]));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let kit = TestRoom::allowing_all();
    let alice = session(&kit);
    block_on(async {
        alice.put(PATH, Opaque::new(b"v1")).await.unwrap();
        let bytes = vec![7; MAX_ANNEX_BYTES - 1];
        update(&alice, set("a", &bytes)).await.unwrap();

        let long = "n".repeat(65);
        for (wrong, why) in [
            (set("b", b""), MetadataError::AnnexesTooLarge { bytes: MAX_ANNEX_BYTES + 1 }),
            (set("", b""), MetadataError::AnnexName { bytes: 0 }),
            (set(&long, b""), MetadataError::AnnexName { bytes: 65 }),
        ] {
            let with = WriteOptions::new().annexes(wrong.clone());
            for answer in [
                update(&alice, wrong).await.map(|()| 0),
                alice.put_with(PATH, Opaque::new(b"v2"), with).await.map(|put| put.number()),
            ] {
                match answer {
                    Err(Error::Invalid(invalid)) => {
                        assert_eq!(*invalid, Invalid::Metadata(why.clone()))
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        let shown = alice.metadata(PATH).await.unwrap();
        assert_eq!((shown.versions.len(), shown.annexes["a"].len()), (1, bytes.len()));
    });
}
