//! An issuer of tokens that can be used once, and revokes all of them when one comes twice.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use strongroom_core::{Principal, Timer, Token, Version};
use strongroom_engine::{Error, Strongroom};
use strongroom_policy::Policy;
use strongroom_rotation::{Coordinator, ExchangeError, Failed, LeaseError};
use strongroom_testkit::sim::{SimExecutor, SimFaults};
use strongroom_testkit::{
    Call, Fault, FaultyStorage, ManualClock, MemorySeal, MemorySink, MemoryStorage, SeededEntropy,
};

use crate::world::{LEASE, Process, World};

const PATH: &str = "prod/issuer/refresh";

/// The issuer, and what it saw.
#[derive(Default)]
struct Issuer {
    /// The next number of a token.
    next: u64,
    /// The tokens that it took.
    spent: BTreeSet<String>,
    /// The newest token.
    newest: String,
    /// Tokens that came again.
    reused: Vec<String>,
}

impl Issuer {
    fn log_in(&mut self) -> String {
        self.next += 1;
        self.newest = format!("rt-{}", self.next);
        self.newest.clone()
    }

    fn spend(&mut self, token: &str) -> Option<String> {
        if !self.spent.insert(token.to_owned()) {
            self.reused.push(token.to_owned());
            return None;
        }
        Some(self.log_in())
    }
}

fn text(token: &Token) -> String {
    token.token().expose(str::to_owned)
}

/// What an issuer does on a day, by the world's dice.
async fn ask(world: &World, issuer: &RefCell<Issuer>, old: Token) -> Result<Token, Failed> {
    let old = text(&old);
    // Now and then it takes longer than a lease lasts.
    let delay = match world.below(12) {
        0 => LEASE * 3,
        n => LEASE / 200 * u32::try_from(n).unwrap(),
    };
    match world.below(16) {
        0 => {
            world.clock.sleep(delay).await;
            Err(Failed::unspent("the issuer is down"))
        }
        1 => {
            world.clock.sleep(delay).await;
            Err(Failed::unknown("the request was lost"))
        }
        2 => {
            issuer.borrow_mut().spend(&old);
            world.clock.sleep(delay).await;
            Err(Failed::unknown("the reply was lost"))
        }
        _ => {
            world.clock.sleep(delay / 2).await;
            let next = issuer.borrow_mut().spend(&old);
            world.clock.sleep(delay / 2).await;
            next.map(Token::new).ok_or_else(|| Failed::unknown("the token came twice"))
        }
    }
}

/// Puts a token of a new login, if nobody else did meanwhile.
async fn log_in(process: &Process, issuer: &RefCell<Issuer>, stale: Version) {
    let token = issuer.borrow_mut().log_in();
    match process.session.put_with(PATH, Token::new(token), stale).await {
        Ok(_) | Err(Error::Conflict(_) | Error::Unavailable(_) | Error::Indeterminate(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
}

/// A process that needs new tokens, so often.
async fn client(world: &World, issuer: &RefCell<Issuer>, faults: SimFaults, rounds: u64) {
    let process = world.process(faults, false).await;
    for _ in 0..rounds {
        world.clock.sleep(LEASE / 20).await;
        let stale = match process.session.read::<Token>(PATH).await {
            Ok(read) => read.version,
            Err(Error::Unavailable(_)) => continue,
            Err(error) => panic!("{error:?}"),
        };
        let spend = |old| ask(world, issuer, old);
        match process.coordinator.exchange(PATH, stale, spend).await {
            Ok(next) => assert!(next.version > stale),
            Err(ExchangeError::Unspent(_)) => {}
            Err(ExchangeError::Unknown(_) | ExchangeError::Abandoned(_)) => {
                log_in(&process, issuer, stale).await;
            }
            Err(ExchangeError::NotStored { secret, .. }) => {
                let put = process.session.put_with(PATH, *secret, stale).await;
                assert!(
                    matches!(
                        put,
                        Ok(_)
                            | Err(Error::Conflict(_)
                                | Error::Unavailable(_)
                                | Error::Indeterminate(_))
                    ),
                    "{put:?}"
                );
            }
            Err(
                ExchangeError::NotRead(Error::Unavailable(_))
                | ExchangeError::NotBegun(LeaseError::Store(
                    Error::Unavailable(_) | Error::Indeterminate(_) | Error::Conflict(_),
                )),
            ) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// One history; what is wrong with it.
pub(crate) fn history(seed: u64) -> Vec<String> {
    let world = World::new(seed);
    let issuer = Rc::new(RefCell::new(Issuer::default()));
    let wrong = RefCell::new(Vec::new());
    let mut executor = SimExecutor::new(seed);
    let first = {
        let (world, issuer) = (&world, issuer.clone());
        executor.spawn(async move {
            let process = world.process(SimFaults::default(), true).await;
            let token = issuer.borrow_mut().log_in();
            process.session.put(PATH, Token::new(token)).await.unwrap();
            process.room.close().await.unwrap();
        })
    };
    world.run_task(&mut executor, first);

    for number in 0..4 {
        let (world, issuer) = (&world, issuer.clone());
        let faults = match seed % 3 {
            0 => SimFaults::delays(),
            _ => SimFaults::usual(),
        };
        // An opening that meets a fault is another test's.
        let task = async move { client(world, &issuer, faults, 6).await };
        match seed.is_multiple_of(2) && number == 0 {
            true => executor.spawn_dropped_after(100 + world.below(1500), task),
            false => executor.spawn(task),
        };
    }
    world.run(&mut executor);

    // Everybody is gone: somebody who comes later gets a token that the issuer takes, or is told to
    // log in and gets one then.
    let last = {
        let (world, issuer, wrong) = (&world, issuer.clone(), &wrong);
        executor.spawn(async move {
            let process = world.process(SimFaults::default(), false).await;
            let held = process.session.read::<Token>(PATH).await.unwrap();
            let good = async |old: Token| {
                let next = issuer.borrow_mut().spend(&text(&old));
                next.map(Token::new).ok_or_else(|| Failed::unknown("the token came twice"))
            };
            let next = match process.coordinator.exchange(PATH, held.version, good).await {
                Ok(next) => next,
                Err(ExchangeError::Abandoned(version)) => {
                    log_in(&process, &issuer, version).await;
                    process.session.read::<Token>(PATH).await.unwrap()
                }
                Err(error) => panic!("{error:?}"),
            };
            if text(&next.secret) != issuer.borrow().newest {
                wrong.borrow_mut().push("the newest token is not in force".to_owned());
            }
        })
    };
    world.run_task(&mut executor, last);
    drop(executor);
    let mut wrong = wrong.into_inner();
    wrong.extend(issuer.borrow().reused.iter().map(|token| format!("{token} came twice")));
    wrong
}

#[test]
fn no_token_is_spent_twice() {
    for seed in super::seeds(120) {
        assert_eq!(history(seed), [""; 0], "seed {seed}");
    }
}

#[test]
fn a_store_that_answers_nothing_any_more_gives_the_new_token_back() {
    let clock = ManualClock::new();
    let storage = FaultyStorage::new(MemoryStorage::new());
    let mut executor = SimExecutor::new(9);
    let task = executor.spawn(async {
        let owner = Principal::service("app");
        let room = Strongroom::builder()
            .storage(storage.clone())
            .seal(MemorySeal::new())
            .policy(Policy::owned_by(&owner))
            .audit(MemorySink::new())
            .clock(clock.clone())
            .entropy(SeededEntropy::new(9));
        let session = room.create().await.unwrap().session(owner);
        session.put(PATH, Token::new("rt-1")).await.unwrap();
        let coordinator = Coordinator::new(session)
            .with_time(clock.clone(), clock.clone())
            .with_entropy(SeededEntropy::new(10))
            .with_lease_time(LEASE);
        // Whether anything is written is not known any more.
        let spend = async |_: Token| {
            storage.every(Call::Write, Fault::LostRequest);
            Ok::<_, Failed>(Token::new("rt-2"))
        };
        match coordinator.exchange(PATH, Version::FIRST, spend).await {
            Err(ExchangeError::NotStored { secret, .. }) => assert_eq!(text(&secret), "rt-2"),
            other => panic!("{other:?}"),
        }
    });
    for _ in 0..1_000 {
        executor.run_until_idle();
        if !executor.has(task) {
            return;
        }
        assert!(clock.advance_to_next_sleeper(), "it waits for nothing");
    }
    panic!("the exchange comes to no end");
}
