//! Rotations by several runners, of which some die and some stand still: whatever happens, what is in
//! force or was before logs in.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use strongroom_core::{
    ApiKey, Clock, Credential, Expected, HoldMetadata, MetadataUpdate, SecretKind, SecretPath,
    Stage, Timer, Timestamp,
};
use strongroom_engine::{Error, Session};
use strongroom_rotation::{Event, LeaseError, Plan, Rotation, Schedule, Tick};
use strongroom_testkit::sim::{SimExecutor, SimFaults};

use crate::target::{Keys, Passwords, SETTLES, Target};
use crate::world::{LEASE, Process, World};

const PATH: &str = "prod/app/db";
const INTERVAL: Duration = Duration::from_secs(600);
const GRACE: Duration = Duration::from_secs(60);
/// So long runners run.
const LIFE: Duration = Duration::from_secs(3600);

/// The targets there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    OneUser,
    TwoUsers,
    Keys,
}

/// What is seen of one history.
#[derive(Default)]
struct Seen {
    in_force: Vec<(u64, Timestamp)>,
    failures: Vec<String>,
    logins: u64,
    wrong: Vec<String>,
}

fn account<K: SecretKind>(identifiers: &K::Identifiers) -> String {
    let json = serde_json::to_value(identifiers).unwrap();
    let named = json.get("username").or_else(|| json.get("key_id")).unwrap();
    named.as_str().unwrap().to_owned()
}

/// Whether the target accepts the version at a stage, as a client that reads and logs in.
async fn logs_in<K: SecretKind>(session: &Session, target: &Target, stage: Stage) -> bool {
    let which = PATH.parse::<SecretPath>().unwrap().at(stage);
    match session.get::<K>(which).await {
        Ok(secret) => {
            let (identifiers, value) = secret.into_parts();
            let password = value.expose(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            target.accepts(&account::<K>(&identifiers), &password)
        }
        Err(Error::NotFound(_)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// One login: with what is in force, else with what was before; and once more from the beginning, since
/// both may have changed between the two reads.
async fn client_logs_in<K: SecretKind>(session: &Session, target: &Target) -> bool {
    for _ in 0..2 {
        for stage in [Stage::Current, Stage::Previous] {
            if logs_in::<K>(session, target, stage).await {
                return true;
            }
        }
    }
    false
}

fn managed(process: &Process, target: &Target, kind: Kind) -> Rotation {
    let plan = Plan::new(Schedule::every(INTERVAL).unwrap()).grace(GRACE).destroy_after(GRACE);
    let rotation = Rotation::new(process.coordinator.clone());
    let target = target.clone();
    let users = match kind {
        Kind::Keys => return rotation.manage(PATH, Keys { target }, plan).unwrap(),
        Kind::OneUser => vec!["app"],
        Kind::TwoUsers => vec!["app_a", "app_b"],
    };
    rotation.manage(PATH, Passwords { target, users }, plan).unwrap()
}

fn record(seen: &RefCell<Seen>, world: &World, tick: Tick) {
    let mut seen = seen.borrow_mut();
    for event in tick.events {
        match event {
            Event::InForce { version, .. } => {
                seen.in_force.push((version.number(), world.clock.now()));
            }
            Event::Failed(failure) => seen.failures.push(failure.to_string()),
            _ => {}
        }
    }
    for (_, error) in tick.unreachable {
        let is_outage = matches!(
            error,
            LeaseError::Lost
                | LeaseError::Store(
                    Error::Unavailable(_) | Error::Indeterminate(_) | Error::Conflict(_)
                )
        );
        if !is_outage {
            seen.wrong.push(format!("{error:?}"));
        }
    }
}

async fn runner(
    world: &World,
    seen: &RefCell<Seen>,
    target: &Target,
    kind: Kind,
    faults: SimFaults,
) {
    let process = world.process(faults, false).await;
    let rotation = managed(&process, target, kind);
    let started = world.clock.elapsed();
    while world.clock.elapsed().saturating_since(started) < LIFE {
        let tick = rotation.tick().await;
        let wait = tick.wait.max(Duration::from_millis(50));
        record(seen, world, tick);
        world.clock.sleep(wait).await;
    }
}

async fn client<K: SecretKind>(world: &World, seen: &RefCell<Seen>, target: &Target) {
    let process = world.process(SimFaults::default(), false).await;
    let started = world.clock.elapsed();
    while world.clock.elapsed().saturating_since(started) < LIFE {
        world.clock.sleep(Duration::from_millis(500)).await;
        seen.borrow_mut().logins += 1;
        if !client_logs_in::<K>(&process.session, target).await {
            let at = world.clock.elapsed().saturating_since(started);
            let shown = process.session.metadata(PATH).await.unwrap();
            seen.borrow_mut().wrong.push(format!("no login after {at:?}: {:?}", shown.versions));
        }
    }
}

/// Somebody who does what people do meanwhile: asks, complains, labels, holds, and puts a password with a
/// slip in it.
async fn operator(world: &World, target: &Target, kind: Kind) {
    let process = world.process(SimFaults::default(), false).await;
    let rotation = managed(&process, target, kind);
    let session = &process.session;
    let started = world.clock.elapsed();
    while world.clock.elapsed().saturating_since(started) < LIFE {
        world.clock.sleep(GRACE / 10 * u32::try_from(1 + world.below(40)).unwrap()).await;
        let shown = session.metadata(PATH).await.unwrap();
        let current = shown.stage(Stage::Current).unwrap();
        match world.below(6) {
            0 => rotation.request(PATH).await.unwrap(),
            1 => rotation.report_failure(PATH, current).await.unwrap(),
            2 => {
                let update = MetadataUpdate::new().label("seen", world.below(100).to_string());
                session.update_metadata(PATH, update).await.unwrap();
            }
            3 => {
                let Some(previous) = shown.stage(Stage::Previous) else { continue };
                let path: SecretPath = PATH.parse().unwrap();
                let until = world.clock.now().saturating_add(GRACE * 3);
                let hold = HoldMetadata { id: "operator".to_owned(), until };
                match session.hold(path.at(previous), hold).await {
                    Ok(_) | Err(Error::NotFound(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            // Only where what is in force works: it is `previous` then.
            4 if kind != Kind::Keys
                && logs_in::<Credential>(session, target, Stage::Current).await =>
            {
                let user = session.identifiers::<Credential>(PATH).await.unwrap().username;
                let slip = Credential::new(user, format!("slip-{}", world.below(1 << 40)));
                let put = session.put_with(PATH, slip, Expected::Head(shown.seq)).await;
                assert!(matches!(put, Ok(_) | Err(Error::Conflict(_))), "{put:?}");
            }
            _ => {}
        }
    }
}

/// A process that stands still now and then, as one that is stopped: with all its timers, for longer
/// than its lease lasts.
async fn stopping<'a>(world: &'a World, task: impl Future<Output = ()> + 'a) {
    let mut task: Pin<Box<dyn Future<Output = ()> + 'a>> = Box::pin(task);
    let mut stopped: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>> = None;
    poll_fn(move |context| {
        if let Some(stop) = &mut stopped {
            if stop.as_mut().poll(context).is_pending() {
                return std::task::Poll::Pending;
            }
            stopped = None;
        } else if world.below(600) == 0 {
            let factor = u32::try_from(1 + world.below(80)).unwrap();
            let mut stop = world.clock.sleep(LEASE * factor);
            if stop.as_mut().poll(context).is_pending() {
                stopped = Some(stop);
                return std::task::Poll::Pending;
            }
        }
        task.as_mut().poll(context)
    })
    .await;
}

/// What is to be done to the runners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Some die.
    Killed,
    /// Some stand still.
    Stopped,
}

fn history(seed: u64, mood: Mood) -> Seen {
    let world = World::new(seed);
    let seen = RefCell::new(Seen::default());
    let kind = match seed % 3 {
        0 => Kind::OneUser,
        1 => Kind::TwoUsers,
        _ => Kind::Keys,
    };
    // What a target made for a runner that was stopped, and whose answer was lost, nobody can tell from
    // what somebody else put there.
    let is_lossy = mood == Mood::Killed || kind != Kind::Keys;
    let target = Target::new(&world.clock, seed, seed % 4 < 2, is_lossy);
    let mut executor = SimExecutor::new(seed);
    let made = executor.spawn(async {
        let process = world.process(SimFaults::default(), true).await;
        match kind {
            Kind::Keys => {
                target.begin("AK0", "key-0");
                let first = ApiKey::new("key-0").with_key_id("AK0");
                process.session.put(PATH, first).await.unwrap();
            }
            Kind::OneUser | Kind::TwoUsers => {
                let user = if kind == Kind::OneUser { "app" } else { "app_a" };
                target.begin(user, "strong-0");
                process.session.put(PATH, Credential::new(user, "strong-0")).await.unwrap();
            }
        }
        process.room.close().await.unwrap();
    });
    world.run_task(&mut executor, made);
    for number in 0..3 {
        let faults = if seed.is_multiple_of(5) { SimFaults::delays() } else { SimFaults::usual() };
        match mood {
            Mood::Killed => {
                let task = runner(&world, &seen, &target, kind, faults);
                match number {
                    0 => executor.spawn(task),
                    _ => executor.spawn_dropped_after(200 + world.below(4000), task),
                };
            }
            Mood::Stopped => {
                let task = runner(&world, &seen, &target, kind, faults);
                executor.spawn(stopping(&world, task));
            }
        }
    }
    if seed % 2 == 1 {
        executor.spawn(operator(&world, &target, kind));
    }
    if mood == Mood::Killed {
        match kind {
            Kind::Keys => executor.spawn(client::<ApiKey>(&world, &seen, &target)),
            _ => executor.spawn(client::<Credential>(&world, &seen, &target)),
        };
    }
    world.run(&mut executor);
    // Everybody is gone. Somebody who comes later ends what was begun, and all is well.
    let last = executor.spawn(async {
        let process = world.process(SimFaults::default(), false).await;
        let rotation = managed(&process, &target.at_peace(), kind);
        let started = world.clock.elapsed();
        while world.clock.elapsed().saturating_since(started) < INTERVAL * 9 {
            let tick = rotation.tick().await;
            let wait = tick.wait.max(Duration::from_millis(50));
            record(&seen, &world, tick);
            world.clock.sleep(wait).await;
        }
        // A rotation may be under way: it has come to its end soon.
        let mut works = false;
        for _ in 0..20 {
            works = match kind {
                Kind::Keys => logs_in::<ApiKey>(&process.session, &target, Stage::Current).await,
                _ => logs_in::<Credential>(&process.session, &target, Stage::Current).await,
            };
            if works {
                break;
            }
            record(&seen, &world, rotation.tick().await);
            world.clock.sleep(SETTLES / 2).await;
        }
        if !works {
            let shown = process.session.metadata(PATH).await.unwrap();
            seen.borrow_mut().wrong.push(format!("no login at the end: {:?}", shown.versions));
        }
    });
    world.run_task(&mut executor, last);
    drop(executor);
    let mut seen = seen.into_inner();
    seen.wrong.extend(target.wrong());
    if target.accepted() > 2 {
        seen.wrong.push(format!("the target still accepts {}", target.accepted()));
    }
    if seen.in_force.len() < 5 {
        seen.wrong.push(format!("only {:?} came into force", seen.in_force));
    }
    let mut versions: Vec<u64> = seen.in_force.iter().map(|(version, _)| *version).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() != seen.in_force.len() {
        seen.wrong.push(format!("one came into force twice: {:?}", seen.in_force));
    }
    seen
}

pub(crate) fn with_deaths(seed: u64) -> Vec<String> {
    history(seed, Mood::Killed).wrong
}

pub(crate) fn with_stops(seed: u64) -> Vec<String> {
    history(seed, Mood::Stopped).wrong
}

#[test]
fn whoever_dies_there_is_always_a_login() {
    let mut logins = 0;
    for seed in super::seeds(30) {
        let seen = history(seed, Mood::Killed);
        assert_eq!(seen.wrong, [""; 0], "seed {seed}: {:?}", seen.failures);
        logins += seen.logins;
    }
    assert!(logins > 1000);
}

#[test]
fn whoever_stands_still_and_wakes_late_what_is_in_force_logs_in_at_the_end() {
    for seed in super::seeds(30) {
        let seen = history(seed, Mood::Stopped);
        assert_eq!(seen.wrong, [""; 0], "seed {seed}: {:?}", seen.failures);
    }
}
