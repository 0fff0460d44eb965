//! Reading many secrets at once: what it costs, and that it answers what single reads answer.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use strongroom_core::{
    AccessRequest, ActionName, Decision, Effect, NotDoneKind, Opaque, PolicyEngine, Principal,
    SecretPath, Storage, StorageError, Subject, async_trait,
};
use strongroom_engine::{Error, Freshness, NotFound, Session, Strongroom, Unavailable, Versioned};
use strongroom_testkit::{Call, Fault, FaultyStorage, SeededEntropy, TestRoom};

/// Refuses to read what is called `denied`; it may ask for the facts of some secrets first.
#[derive(Debug, Clone, Copy, Default)]
struct Rules {
    /// The facts are needed where the path says so.
    needs: &'static str,
}

#[async_trait]
impl PolicyEngine for Rules {
    fn revision(&self) -> u64 {
        0
    }
    fn needs_secret(&self, request: &AccessRequest) -> bool {
        !self.needs.is_empty() && request.target.as_str().contains(self.needs)
    }
    fn subject(&self, _: &Principal) -> Subject {
        Subject::unresolved(0)
    }
    async fn decide(&self, _: &Subject, request: &AccessRequest) -> Decision {
        let refused =
            request.action == ActionName::Read && request.target.as_str().contains("denied");
        if refused { Decision::deny() } else { Decision::allow() }
    }
}

fn session(room: &Strongroom) -> Session {
    room.session(Principal::user("alice"))
}

fn paths(names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<SecretPath> {
    names.into_iter().map(|name| name.as_ref().parse().unwrap()).collect()
}

fn hundred() -> Vec<SecretPath> {
    paths((0..100).map(|n| format!("prod/s{n}")))
}

/// Another seed for each process, for its log's id comes from it.
static SEED: AtomicU64 = AtomicU64::new(100);

/// The store of the kit as another process opens it, over some storage and with some cache.
async fn open(kit: &TestRoom, storage: impl Storage, cache: u64, rules: Rules) -> Strongroom {
    let builder = Strongroom::builder()
        .storage(storage)
        .seal(kit.seal.clone())
        .policy(rules)
        .audit(kit.log.beside())
        .clock(kit.clock.clone())
        .entropy(SeededEntropy::new(SEED.fetch_add(1, Ordering::Relaxed)))
        .cache_bytes(cache);
    builder.open().await.unwrap()
}

async fn fill(session: &Session, paths: &[SecretPath]) {
    for path in paths {
        session.put(path, Opaque::new(path.as_str().as_bytes())).await.unwrap();
    }
}

fn told(answer: Result<Versioned<Opaque>, Error>) -> String {
    match answer {
        Ok(read) => format!("{} {:?}", read.version, read.secret.value().expose(<[u8]>::to_vec)),
        // The number of its record.
        Err(Error::Denied(denied)) => format!("{} denied", denied.action()),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn a_hundred_cold_secrets_take_three_reads_at_most() {
    let kit = TestRoom::with_policy(Rules::default());
    block_on(fill(&session(&kit.room()), &hundred()));
    let unmarked = || kit.storage.clone().without_change_mark();
    let marked = || kit.storage.clone();
    for (name, room) in [
        ("a change mark", block_on(open(&kit, marked(), 1 << 20, Rules::default()))),
        ("no change mark", block_on(open(&kit, unmarked(), 1 << 20, Rules::default()))),
        ("no cache", block_on(open(&kit, marked(), 0, Rules::default()))),
        ("neither", block_on(open(&kit, unmarked(), 4096, Rules::default()))),
    ] {
        for round in 0..3 {
            kit.storage.reset_calls();
            let before = kit.log.decisions().len();
            let answers = block_on(session(&room).get_many::<Opaque>(&hundred())).unwrap();
            for (path, answer) in hundred().iter().zip(answers) {
                let read = answer.unwrap();
                assert_eq!(read.secret.value().expose(<[u8]>::to_vec), path.as_str().as_bytes());
            }
            let calls = kit.storage.calls();
            assert!(calls.reads <= 3, "{name}, round {round}: {calls:?}");
            assert_eq!(kit.log.decisions().len(), before + 100);
        }
    }
}

#[test]
fn many_answer_what_each_answers() {
    let kit = TestRoom::with_policy(Rules::default());
    let writer = session(&kit.room());
    let mut all: Vec<SecretPath> = paths((0..300).map(|n| format!("n{}/s{n}", n % 3)));
    block_on(async {
        fill(&writer, &all).await;
        fill(&writer, &paths(["n0/denied", "n1/deleted", "n1/purged", "n2/large", "gone/x"])).await;
        writer.delete("n1/deleted").await.unwrap();
        writer.purge("n1/purged").await.unwrap();
        writer.put("n2/large", Opaque::new(vec![7; 100_000])).await.unwrap();
        writer.destroy_namespace("gone").await.unwrap();
        all.extend(paths(["n0/denied", "n1/deleted", "n1/purged", "n2/large", "gone/x"]));
        all.extend(paths(["n0/none", "none/none", "none/other", "n0/s0", "n0/s0"]));
        for cache in [0, 50_000, 1 << 20] {
            for freshness in [Freshness::Current, Freshness::AtMost(Duration::from_secs(60))] {
                let room = open(&kit, kit.storage.clone(), cache, Rules::default()).await;
                let reader = session(&room).with_freshness(freshness);
                for _ in 0..2 {
                    let many = reader.get_many::<Opaque>(&all).await.unwrap();
                    for (path, answer) in all.iter().zip(many) {
                        let alone = session(&kit.room()).read::<Opaque>(path).await;
                        assert_eq!(told(answer), told(alone), "{path} with {cache} bytes");
                    }
                }
            }
        }
    });
}

#[test]
fn what_is_denied_is_not_asked_for() {
    let kit = TestRoom::with_policy(Rules::default());
    let all = paths(["prod/a", "prod/denied", "prod/b", "denied/c"]);
    block_on(async {
        fill(&session(&kit.room()), &all).await;
        let room = open(&kit, kit.storage.clone(), 1 << 20, Rules::default()).await;
        kit.storage.reset_calls();
        let denied = session(&room).get_many::<Opaque>(&paths(["prod/denied", "denied/c"])).await;
        assert!(denied.unwrap().iter().all(|answer| matches!(answer, Err(Error::Denied(_)))));
        assert_eq!((kit.storage.calls().reads, kit.storage.calls().keys_read), (0, 0));
        let answers = session(&room).get_many::<Opaque>(&all).await.unwrap();
        assert!(answers[0].is_ok() && answers[2].is_ok());
        // The namespace of both, and two heads.
        assert_eq!((kit.storage.calls().reads, kit.storage.calls().keys_read), (2, 3));
    });
}

#[test]
fn many_see_what_another_process_did_to_the_keys() {
    let kit = TestRoom::with_policy(Rules::default());
    let writer = session(&kit.room());
    block_on(async {
        let room = open(&kit, kit.storage.clone(), 1 << 20, Rules::default()).await;
        fill(&writer, &hundred()).await;
        let reader = session(&room);
        let all_there = async || {
            let answers = reader.get_many::<Opaque>(&hundred()).await.unwrap();
            answers.iter().all(Result::is_ok)
        };
        assert!(all_there().await);
        writer.rotate_keys("prod").await.unwrap();
        writer.rewrap("prod").await.unwrap();
        kit.storage.reset_calls();
        assert!(all_there().await);
        assert!(kit.storage.calls().reads <= 3, "{:?}", kit.storage.calls());
        writer.destroy_namespace("prod").await.unwrap();
        let answers = reader.get_many::<Opaque>(&hundred()).await.unwrap();
        let gone = |answer: &_| matches!(answer, Err(Error::NotFound(NotFound::Namespace)));
        assert!(answers.iter().all(gone));
        fill(&writer, &hundred()).await;
        assert!(all_there().await);
    });
}

fn is_outage(answer: &Result<Versioned<Opaque>, Error>) -> bool {
    matches!(
        answer,
        Err(Error::Unavailable(Unavailable::Storage(StorageError::NotDone {
            kind: NotDoneKind::Unreachable,
            ..
        })))
    )
}

#[test]
fn an_outage_is_the_answer_of_each_path_and_each_is_recorded() {
    let kit = TestRoom::with_policy(Rules::default());
    block_on(async {
        fill(&session(&kit.room()), &hundred()).await;
        let faulty = FaultyStorage::new(kit.storage.clone());
        let reader = session(&open(&kit, faulty.clone(), 1 << 20, Rules::default()).await);
        faulty.every(Call::Read, Fault::Fail(NotDoneKind::Unreachable));
        let (before, calls) = (kit.log.decisions().len(), faulty.calls(Call::Read));
        let answers = reader.get_many::<Opaque>(&hundred()).await.unwrap();
        assert!(answers.len() == 100 && answers.iter().all(is_outage));
        assert_eq!(faulty.calls(Call::Read), calls + 1, "a backend that is down is not asked on");
        let records = kit.log.decisions();
        assert_eq!(records.len(), before + 100);
        assert!(records[before..].iter().all(|record| record.effect == Effect::Allow));
        faulty.heal();
        assert!(reader.get_many::<Opaque>(&hundred()).await.unwrap().iter().all(Result::is_ok));
    });
}

#[test]
fn a_backend_that_takes_few_keys_is_asked_one_by_one() {
    let kit = TestRoom::with_policy(Rules::default());
    block_on(async {
        fill(&session(&kit.room()), &hundred()).await;
        let faulty = FaultyStorage::new(kit.storage.clone());
        let reader = session(&open(&kit, faulty.clone(), 1 << 20, Rules::default()).await);
        faulty.nth(Call::Read, 1, Fault::Fail(NotDoneKind::TooLarge));
        assert!(reader.get_many::<Opaque>(&hundred()).await.unwrap().iter().all(Result::is_ok));
    });
}

/// A policy that cannot be asked because the storage is down: nobody decides, and it is recorded.
#[test]
fn an_outage_before_a_decision_is_one_paths_answer_and_recorded() {
    let kit = TestRoom::with_policy(Rules::default());
    let all = paths(["prod/a", "prod/labelled", "prod/b", "prod/labelled-denied"]);
    block_on(async {
        fill(&session(&kit.room()), &all).await;
        let faulty = FaultyStorage::new(kit.storage.clone());
        let rules = Rules { needs: "labelled" };
        let reader = session(&open(&kit, faulty.clone(), 1 << 20, rules).await);
        drop(reader.get::<Opaque>("prod/a").await.unwrap()); // the namespace is known
        for once in [true, false] {
            let before = kit.log.decisions().len();
            match once {
                true => faulty.nth(Call::Read, 1, Fault::Fail(NotDoneKind::Unreachable)),
                false => faulty.every(Call::Read, Fault::Fail(NotDoneKind::Unreachable)),
            }
            kit.storage.replace(strongroom_core::Key::new(*b"\xffmark"), Some(vec![1]));
            let answers = reader.get_many::<Opaque>(&all).await.unwrap();
            faulty.heal();
            assert!(is_outage(&answers[1]), "{:?}", answers[1]);
            let effects: Vec<Effect> =
                kit.log.decisions().iter().skip(before).map(|record| record.effect).collect();
            if once {
                assert!(answers[0].is_ok() && answers[2].is_ok());
                assert!(matches!(answers[3], Err(Error::Denied(_))));
                let (allow, deny) = (Effect::Allow, Effect::Deny);
                assert_eq!(effects, [allow, Effect::Unavailable, allow, deny]);
            } else {
                assert!(answers.iter().all(is_outage));
                assert_eq!(effects.len(), 4);
            }
        }
        let before = kit.log.decisions().len();
        faulty.every(Call::Read, Fault::Fail(NotDoneKind::Unreachable));
        assert!(is_outage(&reader.read::<Opaque>("prod/labelled").await));
        assert!(is_outage(&reader.read::<Opaque>("prod/labelled-denied").await));
        let written = reader.put("prod/labelled", Opaque::new(b"x")).await;
        assert!(matches!(written, Err(Error::Unavailable(Unavailable::Storage(_)))));
        let records = kit.log.decisions();
        assert_eq!(records.len(), before + 3);
        for record in &records[before..] {
            assert_eq!(record.effect, Effect::Unavailable);
            assert!(record.explanation.as_deref().unwrap().contains("could not be loaded"));
        }
    });
}
