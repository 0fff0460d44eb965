//! The life of a secret, seen from outside, on a store in memory.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use futures_executor::block_on;
use strongroom_core::{
    ApiKey, Certificate, Credential, Expected, HoldMetadata, KindError, MetadataUpdate, Opaque,
    Password, Principal, Stage, Version, VersionState,
};
use strongroom_engine::{Error, Freshness, Invalid, NotFound, Session, WriteOptions};
use strongroom_testkit::TestRoom;

fn alice(kit: &TestRoom) -> Session {
    kit.room().session(Principal::user("alice"))
}

fn v(number: u64) -> Version {
    Version::new(number).unwrap()
}

fn bytes(secret: &Opaque) -> Vec<u8> {
    secret.value().expose(<[u8]>::to_vec)
}

#[test]
fn a_credential_goes_in_and_comes_out() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        let version = alice.put("prod/db", Credential::new("app", "s3cr3t")).await.unwrap();
        assert_eq!(version, v(1));
        let read = alice.read::<Credential>("prod/db").await.unwrap();
        assert_eq!((read.version, read.secret.username()), (v(1), "app"));
        assert_eq!(read.age, Duration::ZERO);
        assert!(read.secret.password().expose(|password| password == "s3cr3t"));
        let ids = alice.identifiers::<Credential>("prod/db").await.unwrap();
        assert_eq!(ids.username, "app");
    });
}

#[test]
fn fc_009_every_byte_is_kept() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    let values: [&[u8]; 5] =
        [b"-----BEGIN\na\nb\nc\n-----END\n", b"x\n\n", b"   y\t", b"", b"\xff\x00\r\n"];
    block_on(async {
        for value in values {
            alice.put("prod/key", Opaque::new(value)).await.unwrap();
            assert_eq!(bytes(&alice.get("prod/key").await.unwrap()), value);
        }
    });
}

#[test]
fn fc_021_lengths_around_every_limit_come_back_and_beyond_is_refused() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        for length in [1, 511, 512, 513, 1023, 1024, 1025, 65_519, 65_520, 65_536, 70_000, 1 << 20]
        {
            let value: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            alice.put("prod/blob", Opaque::new(value.clone())).await.unwrap();
            assert_eq!(bytes(&alice.get("prod/blob").await.unwrap()), value, "{length} bytes");
        }
        let before = alice.metadata("prod/blob").await.unwrap().seq;
        match alice.put("prod/blob", Opaque::new(vec![0; (1 << 20) + 1])).await {
            Err(Error::Invalid(invalid)) => assert_eq!(
                *invalid,
                Invalid::TooLarge {
                    bytes: (1 << 20) + 1,
                    limit: 1 << 20,
                    whose: "the limit on one secret"
                }
            ),
            other => panic!("{other:?}"),
        }
        assert_eq!(alice.metadata("prod/blob").await.unwrap().seq, before);
    });
}

#[test]
fn fc_027_empty_absent_deleted_and_damaged_are_four_answers() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        alice.put("prod/empty", Opaque::new(b"")).await.unwrap();
        assert_eq!(bytes(&alice.get("prod/empty").await.unwrap()), b"");
        let absent = alice.get::<Opaque>("prod/never").await.unwrap_err();
        assert!(matches!(absent, Error::NotFound(NotFound::Secret)));
        alice.delete("prod/empty").await.unwrap();
        let deleted = alice.get::<Opaque>("prod/empty").await.unwrap_err();
        assert!(matches!(deleted, Error::NotFound(NotFound::Deleted(version)) if version == v(1)));
        let empty = alice.put("prod/password", Password::new("")).await.unwrap_err();
        assert!(matches!(empty, Error::Invalid(what) if *what == Invalid::Kind(KindError::Empty)));
        let options = WriteOptions::new().allow_empty();
        alice.put_with("prod/password", Password::new(""), options).await.unwrap();

        alice.put("prod/damaged", Opaque::new(b"x")).await.unwrap();
        let before = kit.storage.snapshot();
        let key = before.keys().filter(|key| key.as_bytes()[0] == 3).cloned().collect::<Vec<_>>();
        for key in key {
            kit.storage.tamper(&key, Vec::clear);
        }
        for path in ["prod/empty", "prod/damaged"] {
            let damaged = alice.get::<Opaque>(path).await.unwrap_err();
            assert!(matches!(damaged, Error::Tampered(_)), "{damaged:?}");
        }
    });
}

#[test]
fn fc_030_a_path_may_be_a_secret_and_a_prefix() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        alice.put("a/b", Opaque::new(b"1")).await.unwrap();
        alice.put("a/b/c", Opaque::new(b"2")).await.unwrap();
        alice.rotate_keys("a").await.unwrap();
        let report = alice.rewrap("a").await.unwrap();
        assert_eq!((report.rewrapped, report.epochs_destroyed, report.epochs_left), (2, 1, 0));
        let all = alice.list("a").await.unwrap().sorted().await.unwrap();
        assert_eq!(all.iter().map(|path| path.as_str()).collect::<Vec<_>>(), ["a/b", "a/b/c"]);
        let below = alice.list("a/b").await.unwrap().sorted().await.unwrap();
        assert_eq!(below.iter().map(|path| path.as_str()).collect::<Vec<_>>(), ["a/b/c"]);
        let level = alice.list_level("a").await.unwrap();
        assert_eq!((level.len(), level[0].is_secret, level[0].is_prefix), (1, true, true));
        alice.purge("a/b").await.unwrap();
        assert_eq!(bytes(&alice.get("a/b/c").await.unwrap()), b"2");
    });
}

#[test]
fn fc_038_the_loser_of_a_race_changes_nothing() {
    let kit = TestRoom::allowing_all();
    let (a, b) = (alice(&kit), kit.room().session(Principal::user("bob")));
    block_on(async {
        for _ in 0..3 {
            a.put("prod/db", Opaque::new(b"x")).await.unwrap();
        }
        b.put("prod/db", Opaque::new(b"winner")).await.unwrap();
        match a.delete_with("prod/db", v(3)).await {
            Err(Error::Conflict(conflict)) => assert_eq!(conflict.current(), Some(v(4))),
            other => panic!("{other:?}"),
        }
        assert_eq!(bytes(&a.get("prod/db").await.unwrap()), b"winner");
        a.update_metadata("prod/db", MetadataUpdate::new().cas_required(true)).await.unwrap();
        let refused = a.delete("prod/db").await.unwrap_err();
        assert!(matches!(refused, Error::Invalid(what) if *what == Invalid::ExpectationRequired));
        assert_eq!(a.delete_with("prod/db", v(4)).await.unwrap(), v(4));
    });
}

#[test]
fn fc_052_a_pending_version_is_not_in_force_until_it_is_promoted() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        alice.put("prod/key", Opaque::new(b"old")).await.unwrap();
        let options = WriteOptions::new().pending();
        alice.put_with("prod/key", Opaque::new(b"new"), options).await.unwrap();
        assert_eq!(bytes(&alice.get("prod/key").await.unwrap()), b"old");
        assert_eq!(bytes(&alice.get("prod/key@pending").await.unwrap()), b"new");
        let shown = alice.metadata("prod/key").await.unwrap();
        assert_eq!(
            (shown.stage(Stage::Current), shown.stage(Stage::Pending)),
            (Some(v(1)), Some(v(2)))
        );
        assert_eq!(alice.promote("prod/key").await.unwrap(), v(2));
        assert_eq!(bytes(&alice.get("prod/key").await.unwrap()), b"new");
        assert_eq!(bytes(&alice.get("prod/key@previous").await.unwrap()), b"old");
        assert!(alice.get::<Opaque>("prod/key@pending").await.is_err());
    });
}

#[test]
fn fc_066_and_fc_067_every_reader_sees_every_change_within_the_limit() {
    let kit = TestRoom::allowing_all();
    let here = alice(&kit).with_freshness(Freshness::AtMost(Duration::from_secs(5)));
    let elsewhere = kit.open_again_allowing_all().unwrap().session(Principal::user("bob"));
    block_on(async {
        here.put("prod/db", Opaque::new(b"one")).await.unwrap();
        assert_eq!(bytes(&here.get("prod/db").await.unwrap()), b"one");
        elsewhere.put("prod/db", Opaque::new(b"two")).await.unwrap();
        kit.clock.advance(Duration::from_millis(4_900));
        let old = here.read::<Opaque>("prod/db").await.unwrap();
        assert_eq!((bytes(&old.secret), old.age.as_millis()), (b"one".to_vec(), 4_900));
        let current = here.clone().with_freshness(Freshness::Current);
        assert_eq!(bytes(&current.get("prod/db").await.unwrap()), b"two");
        elsewhere.disable("prod/db").await.unwrap();
        kit.clock.advance(Duration::from_millis(5_100));
        let refused = here.get::<Opaque>("prod/db").await.unwrap_err();
        assert!(matches!(refused, Error::NotFound(NotFound::Disabled { .. })), "{refused:?}");
        elsewhere.enable("prod/db").await.unwrap();
        kit.room().invalidate("prod/db").unwrap();
        assert_eq!(bytes(&here.get("prod/db").await.unwrap()), b"two");
    });
}

#[test]
fn what_may_be_of_an_age_is_read_once_in_that_time() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit).with_freshness(Freshness::AtMost(Duration::from_secs(5)));
    block_on(async {
        alice.put("prod/db", Opaque::new(b"one")).await.unwrap();
        for _ in 0..3 {
            kit.clock.advance(Duration::from_secs(6));
            kit.storage.reset_calls();
            for (age, then) in [(0, 0), (0, 2), (2, 2), (4, 0)] {
                let read = alice.read::<Opaque>("prod/db").await.unwrap();
                assert_eq!(read.age, Duration::from_secs(age));
                kit.clock.advance(Duration::from_secs(then));
            }
            let calls = kit.storage.calls();
            assert_eq!((calls.marks, calls.reads), (1, 1));
        }
    });
}

#[test]
fn fc_101_nothing_steps_back_to_another_version() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        for n in 1..=4u8 {
            alice.put("prod/db", Opaque::new(&[n])).await.unwrap();
        }
        alice.disable("prod/db@4").await.unwrap();
        match alice.get::<Opaque>("prod/db").await {
            Err(Error::NotFound(NotFound::Disabled { version, newest_enabled })) => {
                assert_eq!((version, newest_enabled), (v(4), Some(v(3))));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(alice.promote("prod/db@3").await.unwrap(), v(3));
        assert_eq!(bytes(&alice.get("prod/db").await.unwrap()), [3]);
        alice.destroy("prod/db@4").await.unwrap();
        assert_eq!(alice.put("prod/db", Opaque::new(&[5])).await.unwrap(), v(5));
        assert!(matches!(
            alice.get::<Opaque>("prod/db@4").await.unwrap_err(),
            Error::NotFound(NotFound::Destroyed(version)) if version == v(4)
        ));
    });
}

#[test]
fn fc_102_a_deleted_name_is_used_again_and_numbers_go_on() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        alice.put("prod/db", Opaque::new(b"1")).await.unwrap();
        alice.delete("prod/db").await.unwrap();
        match alice.put_with("prod/db", Opaque::new(b"2"), Expected::Absent).await {
            Err(Error::Conflict(conflict)) => {
                assert_eq!(conflict.last(), Some(v(1)));
                assert!(conflict.to_string().contains("deleted"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(alice.put("prod/db", Opaque::new(b"2")).await.unwrap(), v(2));
        alice.purge("prod/db").await.unwrap();
        assert!(matches!(
            alice.get::<Opaque>("prod/db").await.unwrap_err(),
            Error::NotFound(NotFound::Secret)
        ));
        let third = alice.put_with("prod/db", Opaque::new(b"3"), Expected::Absent).await.unwrap();
        assert_eq!(third, v(3));
    });
}

#[test]
fn fc_123_versions_are_numbers_over_300_puts() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        for n in 1..=300u64 {
            let version = alice.put("prod/db", Opaque::new(&n.to_be_bytes())).await.unwrap();
            assert_eq!(version, v(n));
        }
        let shown = alice.metadata("prod/db").await.unwrap();
        let numbers: Vec<u64> = shown.versions.iter().map(|entry| entry.version.number()).collect();
        assert_eq!(numbers, (291..=300).collect::<Vec<_>>());
        for n in 291..=300u64 {
            let old: Opaque = alice.get(&*format!("prod/db@{n}")).await.unwrap();
            assert_eq!(bytes(&old), n.to_be_bytes());
        }
        let pruned = alice.get::<Opaque>("prod/db@290").await.unwrap_err();
        assert!(matches!(pruned, Error::NotFound(NotFound::Version(_))));
    });
}

#[test]
fn blobs_of_pruned_versions_are_erased_together_and_those_of_a_destroyed_one_at_once() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        let erases = || kit.storage.calls().erases;
        for n in 0..50u64 {
            alice.put("prod/db", Opaque::new(&n.to_be_bytes())).await.unwrap();
        }
        assert_eq!(erases(), 0, "a put pays for no erasing");
        assert_eq!(kit.storage.len(), 48 + 4);
        alice.destroy("prod/db@45").await.unwrap();
        assert_eq!((erases(), kit.storage.len()), (1, 7 + 4), "all that waits goes along");
        for n in 0..70u64 {
            alice.put("prod/db", Opaque::new(&n.to_be_bytes())).await.unwrap();
        }
        assert_eq!(erases(), 2, "enough came together");
        kit.room().clone().close().await.unwrap();
        assert_eq!(erases(), 3);
        // Ten versions, two of them in the head; the head, the namespace and the keyring.
        assert_eq!(kit.storage.len(), 8 + 4);
    });
}

#[test]
fn states_expiry_holds_and_kinds() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        alice.put("prod/key", ApiKey::new("k").with_key_id("id-1")).await.unwrap();
        let other = alice.get::<Password>("prod/key").await.unwrap_err();
        assert!(other.to_string().contains("api-key"), "{other}");

        let now = strongroom_core::Clock::now(&kit.clock);
        let past = MetadataUpdate::new().expires(now);
        assert!(matches!(alice.update_metadata("prod/key", past).await, Err(Error::Invalid(_))));
        let soon = now.saturating_add(Duration::from_secs(60));
        alice.update_metadata("prod/key", MetadataUpdate::new().expires(soon)).await.unwrap();
        kit.clock.advance(Duration::from_secs(61));
        let expired = alice.get::<ApiKey>("prod/key").await.unwrap_err();
        assert!(matches!(expired, Error::NotFound(NotFound::Expired)));
        alice.update_metadata("prod/key", MetadataUpdate::new().without_expiry()).await.unwrap();

        let later = strongroom_core::Clock::now(&kit.clock).saturating_add(Duration::from_secs(10));
        let hold = HoldMetadata { id: "audit".into(), until: later };
        alice.hold("prod/key", hold).await.unwrap();
        assert!(matches!(alice.destroy("prod/key").await, Err(Error::Conflict(_))));
        assert!(matches!(alice.purge("prod/key").await, Err(Error::Conflict(_))));
        kit.clock.advance(Duration::from_secs(11));
        alice.destroy("prod/key").await.unwrap();
        assert_eq!(
            alice.metadata("prod/key").await.unwrap().versions[0].state,
            VersionState::Destroyed
        );

        let chain = "-----BEGIN CERTIFICATE-----\n".repeat(400);
        alice.put("prod/tls", Certificate::new(chain.clone(), b"key")).await.unwrap();
        let ids = alice.identifiers::<Certificate>("prod/tls").await.unwrap();
        assert_eq!(ids.chain_pem, chain);
        let tls: Certificate = alice.get("prod/tls").await.unwrap();
        assert_eq!(tls.private_key().len(), 3);
    });
}

#[test]
fn many_are_read_at_once_and_each_is_recorded() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        let paths: Vec<strongroom_core::SecretPath> =
            (0..20).map(|n| format!("prod/s{n}").parse().unwrap()).collect();
        for path in &paths {
            alice.put(path, Password::new(path.as_str())).await.unwrap();
        }
        let before = kit.log.decisions().len();
        let answers = alice.get_many::<Password>(&paths).await.unwrap();
        for (path, answer) in paths.iter().zip(answers) {
            assert!(answer.unwrap().secret.password().expose(|text| text == path.as_str()));
        }
        assert_eq!(kit.log.decisions().len(), before + 20);
    });
}

#[test]
fn a_namespace_that_is_destroyed_takes_its_secrets_with_it() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        alice.put("old/db", Opaque::new(vec![1; 5_000])).await.unwrap();
        alice.put("new/db", Opaque::new(b"x")).await.unwrap();
        let names = alice.list_namespaces().await.unwrap();
        assert_eq!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["new", "old"]);
        alice.destroy_namespace("old").await.unwrap();
        assert!(matches!(alice.get::<Opaque>("old/db").await, Err(Error::NotFound(_))));
        let heads =
            kit.storage.snapshot().into_keys().filter(|key| matches!(key.as_bytes()[0], 3 | 4));
        assert_eq!(heads.count(), 1);
        assert_eq!(alice.put("old/db", Opaque::new(b"again")).await.unwrap(), v(1));
        let report = alice.verify().await.unwrap();
        assert!(!report.accuses(), "{:?}", report.findings);
    });
}

#[test]
fn what_no_head_names_is_swept_and_what_one_names_is_not() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        alice.put("prod/big", Opaque::new(vec![7; 100_000])).await.unwrap();
        let blobs = |kit: &TestRoom| {
            kit.storage
                .snapshot()
                .into_iter()
                .filter(|(key, _)| key.as_bytes()[0] == 4)
                .collect::<Vec<_>>()
        };
        let named = blobs(&kit);
        let (key, entry) = &named[0];
        // A blob as a writer that lost its race leaves it: same head, same seq, other bytes.
        let mut stray = key.as_bytes().to_vec();
        let at = stray.len() - 5;
        stray[at] ^= 1;
        kit.storage.replace(strongroom_core::Key::new(stray), Some(entry.value.clone()));
        assert_eq!(alice.sweep("prod").await.unwrap().erased, 1);
        assert_eq!(blobs(&kit).len(), named.len());
        assert_eq!(alice.sweep("prod").await.unwrap().erased, 0);
        assert_eq!(alice.get::<Opaque>("prod/big").await.unwrap().value().len(), 100_000);
    });
}

#[test]
fn a_sealed_store_answers_nothing_until_it_is_unsealed() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        alice.put("prod/db", Opaque::new(b"x")).await.unwrap();
        let permit = alice.authorize::<strongroom_core::Read>("prod/db").await.unwrap();
        let sealed = kit.room().seal();
        assert!(matches!(alice.get::<Opaque>("prod/db").await, Err(Error::Sealed)));
        assert!(matches!(permit.read::<Opaque>().await, Err(Error::Sealed)));
        let other = strongroom_testkit::MemorySeal::new();
        let (sealed, error) = sealed.unseal(other).await.unwrap_err();
        assert!(error.to_string().contains("no seal opened"), "{error}");
        let room = sealed.unseal(kit.seal.clone()).await.unwrap();
        let again = room.session(Principal::user("alice"));
        assert_eq!(bytes(&again.get("prod/db").await.unwrap()), b"x");
    });
}

#[test]
fn a_permit_grows_stale_with_time_and_with_what_is_newer() {
    let kit = TestRoom::allowing_all();
    let alice = alice(&kit);
    block_on(async {
        alice.put("prod/db", Opaque::new(b"x")).await.unwrap();
        let permit = alice.authorize::<strongroom_core::Read>("prod/db").await.unwrap();
        kit.clock.advance(Duration::from_secs(60));
        assert!(permit.read::<Opaque>().await.unwrap_err().to_string().contains("stale"));
        let permit = alice.authorize::<strongroom_core::Read>("prod/db").await.unwrap();
        alice.put("prod/db", Opaque::new(b"y")).await.unwrap();
        assert!(permit.read::<Opaque>().await.unwrap_err().to_string().contains("stale"));
    });
}

/// A policy engine of a host's that fails in each of the ways it can.
#[derive(Debug)]
struct Failing(std::sync::atomic::AtomicU32);

#[strongroom_core::async_trait]
impl strongroom_core::PolicyEngine for Failing {
    fn revision(&self) -> u64 {
        0
    }
    fn needs_secret(&self, _: &strongroom_core::AccessRequest) -> bool {
        false
    }
    fn subject(&self, _: &Principal) -> strongroom_core::Subject {
        strongroom_core::Subject::unresolved(0)
    }
    async fn decide(
        &self,
        _: &strongroom_core::Subject,
        _: &strongroom_core::AccessRequest,
    ) -> strongroom_core::Decision {
        match self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => panic!("a message with canary-9"),
            1 => strongroom_core::Decision::unavailable("the decision point did not answer"),
            _ => strongroom_core::Decision::allow().requiring("tell the owner"),
        }
    }
}

#[test]
fn fc_096_a_policy_engine_that_fails_refuses_and_is_recorded() {
    let kit = TestRoom::with_policy(Failing(std::sync::atomic::AtomicU32::new(0)));
    let alice = alice(&kit);
    block_on(async {
        for _ in 0..3 {
            let error = alice.get::<Opaque>("prod/db").await.unwrap_err();
            assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
            assert!(!format!("{error:?} {error}").contains("canary-9"));
        }
    });
    let records = kit.log.decisions();
    let refused: Vec<_> =
        records.iter().filter(|record| record.principal.as_deref() == Some("user:alice")).collect();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|record| record.effect == strongroom_core::Effect::Unavailable));
    assert!(refused[0].explanation.as_deref().unwrap().contains("policy failure"));
}

#[test]
fn fc_075_each_fault_below_keeps_its_class() {
    use strongroom_core::{NotDoneKind, StorageError};
    use strongroom_engine::{Strongroom, Unavailable};
    use strongroom_testkit::{Call, Fault, FaultyStorage};

    let kit = TestRoom::allowing_all();
    block_on(async { alice(&kit).put("prod/db", Opaque::new(b"x")).await.unwrap() });
    for (seed, kind) in (3..).zip([
        NotDoneKind::Busy,
        NotDoneKind::Full,
        NotDoneKind::ReadOnly,
        NotDoneKind::Denied,
        NotDoneKind::Unreachable,
        NotDoneKind::TooNew,
        NotDoneKind::Damaged,
    ]) {
        let faulty =
            std::sync::Arc::new(FaultyStorage::new(kit.storage.clone().without_change_mark()));
        let room = block_on(
            Strongroom::builder()
                .storage(faulty.clone())
                .seal(kit.seal.clone())
                .policy(strongroom_policy::Policy::owned_by(&Principal::user("alice")))
                .audit(strongroom_testkit::MemorySink::new())
                .clock(kit.clock.clone())
                .entropy(strongroom_testkit::SeededEntropy::new(seed))
                .open(),
        )
        .unwrap();
        let session = room.session(Principal::user("alice"));
        block_on(async {
            session.get::<Opaque>("prod/db").await.unwrap();
            faulty.every(Call::Read, Fault::Fail(kind));
            let errors = [
                session.get::<Opaque>("prod/db").await.map(drop).unwrap_err(),
                session.put("prod/db", Opaque::new(b"y")).await.map(drop).unwrap_err(),
                session.delete("prod/db").await.map(drop).unwrap_err(),
                session.metadata("prod/db").await.map(drop).unwrap_err(),
                session.rotate_keys("prod").await.unwrap_err(),
            ];
            for error in errors {
                match error {
                    Error::Unavailable(Unavailable::Storage(StorageError::NotDone {
                        kind: found,
                        ..
                    })) => {
                        assert_eq!(found, kind);
                    }
                    other => panic!("{kind:?} became {other:?}"),
                }
            }
            faulty.heal();
            assert_eq!(bytes(&session.get("prod/db").await.unwrap()), b"x");
        });
    }
}

#[test]
fn a_lost_reply_is_found_out_by_sending_the_same_bytes_again() {
    use strongroom_engine::{Strongroom, WriteOutcome};
    use strongroom_testkit::{Call, Fault, FaultyStorage};

    for (fault, outcome) in [
        (Fault::LostReply, WriteOutcome::TookEffect(Some(v(2)))),
        (Fault::LostRequest, WriteOutcome::TookEffect(Some(v(2)))),
    ] {
        let kit = TestRoom::allowing_all();
        block_on(async { alice(&kit).put("prod/db", Opaque::new(b"one")).await.unwrap() });
        let faulty = std::sync::Arc::new(FaultyStorage::new(kit.storage.clone()));
        let room = block_on(
            Strongroom::builder()
                .storage(faulty.clone())
                .seal(kit.seal.clone())
                .policy(strongroom_policy::Policy::owned_by(&Principal::user("alice")))
                .audit(strongroom_testkit::MemorySink::new())
                .entropy(strongroom_testkit::SeededEntropy::new(4))
                .open(),
        )
        .unwrap();
        let session = room.session(Principal::user("alice"));
        block_on(async {
            faulty.every(Call::Write, fault);
            let error = session.put("prod/db", Opaque::new(b"two")).await.unwrap_err();
            let Error::Indeterminate(write) = error else { panic!("{error:?}") };
            faulty.heal();
            assert_eq!(session.resolve(&write).await.unwrap(), outcome);
            assert_eq!(session.resolve(&write).await.unwrap(), outcome);
            assert_eq!(bytes(&session.get("prod/db").await.unwrap()), b"two");
        });
    }
}

#[test]
fn a_future_that_is_dropped_at_any_point_is_settled_by_the_next_write() {
    use std::future::Future as _;
    use std::task::{Context, Poll, Waker};
    use strongroom_engine::Strongroom;
    use strongroom_testkit::{Call, Fault, FaultyStorage};

    for polls in 1..12 {
        let kit = TestRoom::allowing_all();
        block_on(async { alice(&kit).put("prod/db", Opaque::new(b"one")).await.unwrap() });
        let faulty = std::sync::Arc::new(FaultyStorage::new(kit.storage.clone()));
        let log = strongroom_testkit::MemorySink::new();
        let room = block_on(
            Strongroom::builder()
                .storage(faulty.clone())
                .seal(kit.seal.clone())
                .policy(strongroom_policy::Policy::owned_by(&Principal::user("alice")))
                .audit(log.clone())
                .entropy(strongroom_testkit::SeededEntropy::new(5))
                .open(),
        )
        .unwrap();
        let session = room.session(Principal::user("alice"));
        faulty.every(Call::Write, Fault::Delay { before: 3, after: 3 });
        let mut finished = false;
        {
            let mut put = Box::pin(session.put("prod/db", Opaque::new(b"two")));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if let Poll::Ready(result) = put.as_mut().poll(&mut context) {
                    result.unwrap();
                    finished = true;
                    break;
                }
            }
        }
        faulty.heal();
        block_on(async {
            let third = session.put("prod/db", Opaque::new(b"three")).await.unwrap();
            assert_eq!(bytes(&session.get("prod/db").await.unwrap()), b"three");
            // The write that was dropped was sent again before the next one: both took effect.
            assert_eq!(third, v(3), "after {polls} polls, finished: {finished}");
            room.clone().close().await.unwrap();
        });
        let last = log.lines().pop().unwrap();
        assert!(last.starts_with(b"{\"t\":\"close\""), "the log ends whole");
    }
}
