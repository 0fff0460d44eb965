//! Listing one level: the same as a walk over everything, in few calls of the storage.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use futures_executor::block_on;
use proptest::prelude::*;
use strongroom_core::{
    AccessRequest, Decision, Opaque, PolicyEngine, Prefix, Principal, SecretPath, Subject,
    async_trait,
};
use strongroom_engine::{Child, Session};
use strongroom_testkit::TestRoom;

/// Allows everything but to list some paths.
#[derive(Debug)]
struct Hiding(BTreeSet<SecretPath>);

#[async_trait]
impl PolicyEngine for Hiding {
    fn revision(&self) -> u64 {
        0
    }
    fn needs_secret(&self, _: &AccessRequest) -> bool {
        false
    }
    fn subject(&self, _: &Principal) -> Subject {
        Subject::unresolved(0)
    }
    async fn decide(&self, _: &Subject, request: &AccessRequest) -> Decision {
        let hidden = request.action == strongroom_core::ActionName::List
            && request.target.secret().is_some_and(|path| self.0.contains(path));
        if hidden { Decision::deny() } else { Decision::allow() }
    }
}

/// What there is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Live,
    Deleted,
    Hidden,
    Purged,
}

fn trees() -> impl Strategy<Value = BTreeMap<String, State>> {
    let path = proptest::collection::vec("[abc]", 1..=4).prop_map(|names| names.join("/"));
    let state = prop_oneof![
        4 => Just(State::Live),
        1 => Just(State::Deleted),
        3 => Just(State::Hidden),
        3 => Just(State::Purged),
    ];
    proptest::collection::btree_map(path, state, 0..40)
}

async fn fill(session: &Session, tree: &BTreeMap<String, State>) {
    session.create_namespace("t").await.unwrap();
    for (path, state) in tree {
        let path = format!("t/{path}");
        session.put(&*path, Opaque::new(b"x")).await.unwrap();
        match state {
            State::Deleted => drop(session.delete(&*path).await.unwrap()),
            State::Purged => session.purge(&*path).await.unwrap(),
            State::Live | State::Hidden => {}
        }
    }
}

/// The level as a walk over all that lies below tells it.
async fn by_a_whole_walk(session: &Session, prefix: &Prefix) -> Vec<Child> {
    let mut level: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for path in session.list(prefix).await.unwrap().sorted().await.unwrap() {
        let mut rest = path.segments().skip(prefix.segments().count());
        let child = level.entry(rest.next().unwrap().to_owned()).or_default();
        if rest.next().is_some() { child.1 = true } else { child.0 = true }
    }
    let child = |(name, (is_secret, is_prefix))| Child { name, is_secret, is_prefix };
    level.into_iter().map(child).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_level_is_what_a_whole_walk_makes_of_it(tree in trees()) {
        let hidden = tree.iter().filter(|(_, state)| **state == State::Hidden);
        let hidden = hidden.map(|(path, _)| format!("t/{path}").parse().unwrap()).collect();
        let kit = TestRoom::with_policy(Hiding(hidden));
        let alice = kit.room().session(Principal::user("alice"));
        block_on(async {
            fill(&alice, &tree).await;
            for prefix in ["t", "t/a", "t/b", "t/a/b", "t/c/c/a", "t/a/a/a/a", "none"] {
                let prefix: Prefix = prefix.parse().unwrap();
                let level = alice.list_level(&prefix).await.unwrap();
                assert_eq!(level, by_a_whole_walk(&alice, &prefix).await, "{prefix} of {tree:?}");
            }
        });
    }
}

/// The calls of a listing of three children with so many descendants each.
fn calls_with(descendants: u32) -> u64 {
    let kit = TestRoom::allowing_all();
    let alice = kit.room().session(Principal::user("alice"));
    block_on(async {
        for child in ["a", "b", "c"] {
            for n in 0..descendants {
                let path = format!("t/{child}/{}/s{n}", n % 7);
                alice.put(path, Opaque::new(b"x")).await.unwrap();
            }
        }
        kit.storage.reset_calls();
        let level = alice.list_level("t").await.unwrap();
        let names: Vec<&str> = level.iter().map(|child| child.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(level.iter().all(|child| child.is_prefix && !child.is_secret));
    });
    kit.storage.calls().lists
}

#[test]
fn the_calls_of_a_level_grow_with_its_children_alone() {
    let few = calls_with(10);
    assert_eq!(calls_with(1000), few);
    assert!(few <= 6, "{few} calls for three children");
}

#[test]
fn a_flat_level_takes_few_calls_too() {
    let kit = TestRoom::allowing_all();
    let alice = kit.room().session(Principal::user("alice"));
    block_on(async {
        for n in 0..600 {
            alice.put(format!("t/s{n}"), Opaque::new(b"x")).await.unwrap();
        }
        kit.storage.reset_calls();
        assert_eq!(alice.list_level("t").await.unwrap().len(), 600);
    });
    // 1, 2, 4, ... 256, and what is left of 600.
    assert!(kit.storage.calls().lists <= 11, "{:?}", kit.storage.calls());
}
