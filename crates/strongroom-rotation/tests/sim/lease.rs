//! Leases: one holder at a time, whoever dies or sleeps.

use std::cell::{Cell, RefCell};

use strongroom_core::{Opaque, Timer};
use strongroom_engine::{Error, WriteOptions};
use strongroom_rotation::{Lease, LeaseError};
use strongroom_testkit::sim::{SimExecutor, SimFaults};

use crate::world::{LEASE, Process, World};

const PATH: &str = "prod/team/key";

/// What all holders did.
#[derive(Default)]
struct Watch {
    /// Tokens of leases, as they were got.
    tokens: Vec<u64>,
    /// Who is certain to hold it now.
    certain: Option<u64>,
    wrong: Vec<String>,
}

/// Somebody who is certain to hold the lease, until dropped, as by a kill.
struct Certain<'a>(&'a RefCell<Watch>);

impl<'a> Certain<'a> {
    fn new(watch: &'a RefCell<Watch>, token: u64) -> Self {
        let mut seen = watch.borrow_mut();
        if let Some(other) = seen.certain.replace(token) {
            seen.wrong.push(format!("{other} and {token} hold it at once"));
        }
        Self(watch)
    }
}

impl Drop for Certain<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().certain = None;
    }
}

async fn first(world: &World) -> Process {
    let process = world.process(SimFaults::default(), true).await;
    process.session.put(PATH, Opaque::new(b"0")).await.unwrap();
    process
}

fn is_outage(error: &LeaseError) -> bool {
    matches!(
        error,
        LeaseError::Store(Error::Unavailable(_) | Error::Indeterminate(_) | Error::Conflict(_))
    )
}

/// Works under leases, and stands still now and then for longer than they last.
async fn worker(world: &World, watch: &RefCell<Watch>, faults: SimFaults) {
    let process = world.process(faults, false).await;
    for _ in 0..4 {
        let lease = match process.coordinator.lease(PATH).await {
            Ok(lease) => lease,
            Err(error) if is_outage(&error) => continue,
            Err(error) => panic!("{error:?}"),
        };
        watch.borrow_mut().tokens.push(lease.token());
        match work(world, watch, &process, lease).await {
            Ok(()) | Err(LeaseError::Lost) => {}
            Err(error) if is_outage(&error) => {}
            Err(error) => panic!("{error:?}"),
        }
        world.clock.sleep(LEASE / 50).await;
    }
}

async fn work(
    world: &World,
    watch: &RefCell<Watch>,
    process: &Process,
    mut lease: Lease,
) -> Result<(), LeaseError> {
    let token = lease.token();
    for _ in 0..3 {
        let span = match world.below(10) {
            0 => LEASE * 2,
            n => LEASE / 40 * u32::try_from(n).unwrap(),
        };
        if lease.remaining() > span {
            // Nothing is awaited that takes longer: whoever else is certain now is wrong.
            let _certain = Certain::new(watch, token);
            world.clock.sleep(span).await;
        } else {
            world.clock.sleep(span).await;
        }
        let shown = lease.look().await?;
        // A write that is bound to the lease: who took over since makes it a conflict.
        let secret = Opaque::new(token.to_string().into_bytes());
        let options = WriteOptions::new().expecting(lease.expected());
        match process.session.put_with(PATH, secret, options).await {
            Ok(version) if version != shown.next_version => {
                watch.borrow_mut().wrong.push(format!("{token} wrote {version}"));
            }
            Ok(_) => {}
            Err(error) => {
                let error = LeaseError::from(error);
                if !is_outage(&error) {
                    return Err(error);
                }
            }
        }
        lease.renew().await?;
    }
    lease.release().await
}

pub(crate) fn history(seed: u64) -> Vec<String> {
    let (world, watch) = (World::new(seed), RefCell::new(Watch::default()));
    let mut executor = SimExecutor::new(seed);
    let made = executor.spawn(async {
        first(&world).await.room.close().await.unwrap();
    });
    world.run_task(&mut executor, made);
    for number in 0..4 {
        let faults = if seed.is_multiple_of(3) { SimFaults::delays() } else { SimFaults::usual() };
        let task = worker(&world, &watch, faults);
        match seed.is_multiple_of(2) && number == 0 {
            true => executor.spawn_dropped_after(100 + world.below(1500), task),
            false => executor.spawn(task),
        };
    }
    world.run(&mut executor);
    drop(executor);
    let mut watch = watch.into_inner();
    let mut sorted = watch.tokens.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != watch.tokens.len() {
        watch.wrong.push(format!("a token came twice: {:?}", watch.tokens));
    }
    watch.wrong
}

#[test]
fn one_holds_it_at_a_time() {
    for seed in super::seeds(80) {
        assert_eq!(history(seed), [""; 0], "seed {seed}");
    }
}

#[test]
fn whoever_died_is_waited_for_and_no_longer() {
    let world = World::new(1);
    let took = Cell::new(None);
    let mut executor = SimExecutor::new(1);
    let task = executor.spawn(async {
        let one = first(&world).await;
        let held = one.coordinator.lease(PATH).await.unwrap();
        drop(held); // as a kill does: nothing is released
        let two = world.process(SimFaults::default(), false).await;
        let before = strongroom_core::Clock::elapsed(&world.clock);
        let lease = two.coordinator.lease(PATH).await.unwrap();
        let waited = strongroom_core::Clock::elapsed(&world.clock).saturating_since(before);
        took.set(Some((lease.token(), waited)));
    });
    world.run_task(&mut executor, task);
    drop(executor);
    let (token, waited) = took.get().unwrap();
    assert!(token > 1);
    assert!(waited > LEASE && waited < LEASE * 3 / 2, "{waited:?}");
}

#[test]
fn whoever_is_alive_keeps_it() {
    let world = World::new(2);
    let tokens = RefCell::new(Vec::new());
    let mut executor = SimExecutor::new(2);
    let made = executor.spawn(async {
        first(&world).await;
    });
    world.run_task(&mut executor, made);
    executor.spawn(async {
        let one = world.process(SimFaults::default(), false).await;
        let mut lease = one.coordinator.lease(PATH).await.unwrap();
        for _ in 0..10 {
            world.clock.sleep(LEASE * 2 / 3).await;
            lease.renew().await.unwrap();
        }
        tokens.borrow_mut().push(lease.token());
        lease.release().await.unwrap();
    });
    executor.spawn(async {
        let two = world.process(SimFaults::default(), false).await;
        world.clock.sleep(LEASE / 10).await;
        let lease = two.coordinator.lease(PATH).await.unwrap();
        tokens.borrow_mut().push(lease.token());
    });
    world.run(&mut executor);
    drop(executor);
    let tokens = tokens.into_inner();
    assert!(tokens.len() == 2 && tokens[0] < tokens[1], "{tokens:?}");
}
