//! A refused caller learns nothing of what exists: not by text, not by what storage is asked, and
//! not by what is recorded.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_executor::block_on;
use serde_json::Value;
use strongroom::{
    AccessRequest, Clock, Decision, Error, Expected, HoldMetadata, MetadataUpdate, Opaque,
    PolicyEngine, Principal, Session, Subject, async_trait,
};
use strongroom_testkit::TestRoom;

/// Allows alice everything, and everybody else nothing; it may ask for the secret's facts first.
#[derive(Debug, Clone, Copy)]
struct OnlyAlice {
    needs_secret: bool,
}

#[async_trait]
impl PolicyEngine for OnlyAlice {
    fn revision(&self) -> u64 {
        0
    }
    fn needs_secret(&self, _: &AccessRequest) -> bool {
        self.needs_secret
    }
    fn subject(&self, _: &Principal) -> Subject {
        Subject::unresolved(0)
    }
    async fn decide(&self, _: &Subject, request: &AccessRequest) -> Decision {
        match request.principal.id() {
            "user:alice" => Decision::allow(),
            _ => Decision::deny().by_rule("only-alice"),
        }
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;
type Attempt = for<'a> fn(&'a Session, &'a str) -> Answer<'a>;

macro_rules! attempts {
    ($($name:literal: |$session:ident, $at:ident| $act:expr;)*) => {
        [$(($name, |$session, $at| Box::pin(async move { $act.await.map(drop) }))),*]
    };
}

/// What can be tried on a path.
const ON_A_PATH: [(&str, Attempt); 22] = attempts! {
    "get": |session, path| session.get::<Opaque>(path);
    "read": |session, path| session.read::<Opaque>(path);
    "a version": |session, path| session.get::<Opaque>(format!("{path}@1"));
    "another version": |session, path| session.get::<Opaque>(format!("{path}@7"));
    "a stage": |session, path| session.get::<Opaque>(format!("{path}@pending"));
    "metadata": |session, path| session.metadata(path);
    "identifiers": |session, path| session.identifiers::<Opaque>(path);
    "put": |session, path| session.put(path, Opaque::new(b"x"));
    "put if absent": |session, path| {
        session.put_with(path, Opaque::new(b"x"), Expected::Absent)
    };
    "put if at a version": |session, path| {
        session.put_with(path, Opaque::new(b"x"), strongroom::Version::FIRST)
    };
    "update": |session, path| session.update_metadata(path, MetadataUpdate::new().owner("me"));
    "delete": |session, path| session.delete(path);
    "undelete": |session, path| session.undelete(path);
    "disable": |session, path| session.disable(path);
    "enable": |session, path| session.enable(path);
    "destroy": |session, path| session.destroy(path);
    "promote": |session, path| session.promote(path);
    "purge": |session, path| session.purge(path);
    "hold": |session, path| {
        let until = strongroom::SystemClock.now().saturating_add(Duration::from_secs(3600));
        session.hold(path, HoldMetadata { id: "me".to_owned(), until })
    };
    "list": |session, path| session.list(path);
    "list a level": |session, path| session.list_level(path);
    "authorize": |session, path| session.authorize::<strongroom::Write>(path);
};

/// What can be tried on a namespace.
const ON_A_NAMESPACE: [(&str, Attempt); 8] = attempts! {
    "create": |session, name| session.create_namespace(name);
    "destroy": |session, name| session.destroy_namespace(name);
    "rotate keys": |session, name| session.rotate_keys(name);
    "rewrap": |session, name| session.rewrap(name);
    "sweep": |session, name| session.sweep(name);
    "list": |session, name| session.list(name);
    "list a level": |session, name| session.list_level(name);
    "put into it": |session, name| session.put(format!("{name}/db"), Opaque::new(b"x"));
};

/// What a refusal shows: texts, calls of the storage, lines of the log.
fn refusal(kit: &TestRoom, attempt: Attempt, at: &str) -> (String, String, String, Vec<String>) {
    let mallory = kit.room().session(Principal::user("mallory"));
    let before = kit.log.lines().len();
    kit.storage.reset_calls();
    let error = block_on(attempt(&mallory, at)).unwrap_err();
    let calls = format!("{:?}", kit.storage.calls());
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    let lines = kit.log.lines();
    let lines = lines.iter().skip(before).map(|line| without_names(line)).collect();
    (without_numbers(&error.to_string()), without_numbers(&format!("{error:?}")), calls, lines)
}

/// A text without the number of its record.
fn without_numbers(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

/// A line with the length of each text in place of the text, and zero for each number; what the
/// format itself says stays.
fn without_names(line: &[u8]) -> String {
    fn blank(value: &mut Value) {
        match value {
            Value::String(text) => {
                let is_word =
                    text.chars().all(|c| c.is_ascii_lowercase() || c == '-') && text.len() < 24;
                if !is_word {
                    *text = format!("{} characters", text.len());
                }
            }
            Value::Number(number) => *number = 0.into(),
            Value::Array(values) => values.iter_mut().for_each(blank),
            Value::Object(fields) => fields.values_mut().for_each(blank),
            Value::Null | Value::Bool(_) => {}
        }
    }
    let mut value = serde_json::from_slice(line).unwrap();
    blank(&mut value);
    value.to_string()
}

/// A store with a secret in each state, at names of one length. Its log has met every name: one
/// that is new to a log takes a line there, whether there is such a secret or not.
fn store(needs_secret: bool) -> TestRoom {
    let kit = TestRoom::with_policy(OnlyAlice { needs_secret });
    let alice = kit.room().session(Principal::user("alice"));
    block_on(async {
        for path in ["prod/some", "prod/gone", "prod/dull", "prod/past"] {
            alice.put(path, Opaque::new(b"x")).await.unwrap();
        }
        alice.delete("prod/gone").await.unwrap();
        alice.disable("prod/dull").await.unwrap();
        alice.purge("prod/past").await.unwrap();
        for path in ["prod/none", "none/none"] {
            drop(alice.get::<Opaque>(path).await);
        }
        for name in ["prod", "none"] {
            drop(alice.list(name).await);
        }
        drop(kit.room().session(Principal::user("mallory")).list("prod").await);
    });
    // What Mallory was refused is not counted with what comes now, whatever that is.
    kit.clock.advance(strongroom_engine::DEFAULT_REFUSAL_WINDOW);
    kit
}

#[test]
fn a_refusal_is_the_same_for_what_exists_and_what_does_not() {
    let mut compared = 0;
    for (action, attempt) in ON_A_PATH {
        // A store each, so that neither the cache nor the log knows the path better.
        let absent = refusal(&store(false), attempt, "prod/none");
        for path in ["prod/some", "prod/gone", "prod/dull", "prod/past", "none/none"] {
            assert_eq!(refusal(&store(false), attempt, path), absent, "{action} {path}");
            compared += 1;
        }
    }
    for (action, attempt) in ON_A_NAMESPACE {
        let absent = refusal(&store(false), attempt, "none");
        assert_eq!(refusal(&store(false), attempt, "prod"), absent, "{action}");
        compared += 1;
    }
    println!("CASES {compared}");
}

/// A policy may ask for what is known of a secret before it decides. Within a namespace the
/// storage is then asked as often for what is not there, at the first attempt and at each other.
#[test]
fn a_policy_that_looks_at_secrets_does_not_tell_which_there_are() {
    for (action, attempt) in ON_A_PATH {
        let twice = |path| {
            let kit = store(true);
            [refusal(&kit, attempt, path), refusal(&kit, attempt, path)]
        };
        let absent = twice("prod/none");
        for path in ["prod/some", "prod/gone", "prod/dull", "prod/past"] {
            assert_eq!(twice(path), absent, "{action} {path}");
        }
    }
}

/// Nor is a refused caller told that a record is damaged, for then there is one.
#[test]
fn a_damaged_secret_is_refused_like_an_absent_one() {
    for (action, attempt) in ON_A_PATH {
        let damaged = |path| {
            let kit = store(true);
            // All heads.
            for key in kit.storage.snapshot().keys().filter(|key| key.as_bytes().starts_with(&[3]))
            {
                kit.storage.tamper(key, |record| *record.last_mut().unwrap() ^= 1);
            }
            kit.room().invalidate(path).ok();
            refusal(&kit, attempt, path)
        };
        assert_eq!(damaged("prod/some"), damaged("prod/none"), "{action}");
    }
}
