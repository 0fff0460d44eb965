//! Faults that people met in the field with rotations, each with its number.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use strongroom_core::{
    AnnexUpdate, ApiKey, Clock, Credential, HoldMetadata, MetadataUpdate, Password, Rotator,
    RotatorError, RotatorErrorKind, Stage, TargetProfile, Timer, Version, VersionState,
    async_trait,
};
use strongroom_rotation::{Event, Failure, LeaseError, Plan, Rotation, Schedule, Step, Tick};
use strongroom_testkit::sim::{SimExecutor, SimFaults};

use crate::target::{Keys, Passwords, Target};
use crate::world::{Process, World};

const PATH: &str = "prod/app/db";
const DAY: Duration = Duration::from_secs(86_400);
const GRACE: Duration = Duration::from_secs(60);

fn plan() -> Plan {
    Plan::new(Schedule::every(DAY).unwrap()).grace(GRACE).destroy_after(GRACE)
}

/// Runs a test's future in a world of its own, where time passes when all wait.
fn run(test: impl AsyncFnOnce(&World)) {
    let world = World::new(1);
    let mut executor = SimExecutor::new(1);
    let task = executor.spawn(test(&world));
    world.run_task(&mut executor, task);
}

/// Ticks for so long, and gathers what happened.
async fn tick_for(world: &World, rotation: &Rotation, span: Duration) -> Vec<Event> {
    let (started, mut events) = (world.clock.elapsed(), Vec::new());
    loop {
        let Tick { events: mut more, unreachable, wait, .. } = rotation.tick().await;
        assert!(unreachable.is_empty(), "{unreachable:?}");
        events.append(&mut more);
        let left = span.saturating_sub(world.clock.elapsed().saturating_since(started));
        if left.is_zero() {
            return events;
        }
        world.clock.sleep(wait.clamp(Duration::from_millis(20), left)).await;
    }
}

fn in_force(events: &[Event]) -> Vec<u64> {
    let of = |event: &Event| match event {
        Event::InForce { version, .. } => Some(version.number()),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

fn failures(events: &[Event]) -> Vec<&Failure> {
    let mut failures = Vec::new();
    for event in events {
        if let Event::Failed(failure) = event {
            failures.push(failure);
        }
    }
    failures
}

async fn current(process: &Process) -> Option<Version> {
    process.session.metadata(PATH).await.unwrap().stage(Stage::Current)
}

/// A target that applies a change after a while, or never, and counts what it is asked.
#[derive(Debug, Clone)]
struct Slow {
    clock: strongroom_testkit::ManualClock,
    after: Option<Duration>,
    settles: Duration,
    coming: Arc<Mutex<Option<(strongroom_core::Monotonic, String)>>>,
    accepted: Arc<Mutex<String>>,
    made: Arc<AtomicU32>,
    tests: Arc<AtomicU32>,
}

impl Slow {
    fn new(world: &World, after: Option<Duration>, settles: Duration) -> Self {
        Self {
            clock: world.clock.clone(),
            after,
            settles,
            coming: Arc::default(),
            accepted: Arc::new(Mutex::new("first".to_owned())),
            made: Arc::default(),
            tests: Arc::default(),
        }
    }
}

#[async_trait]
impl Rotator for Slow {
    type Secret = Password;
    fn name(&self) -> &str {
        "slow"
    }
    fn profile(&self) -> TargetProfile {
        TargetProfile::holding(2.try_into().unwrap()).settling_in(self.settles)
    }
    async fn create(&self, _: Option<&Password>) -> Result<Password, RotatorError> {
        Ok(Password::new(format!("made-{}", self.made.fetch_add(1, Ordering::SeqCst))))
    }
    async fn set(&self, next: &Password, _: Option<&Password>) -> Result<(), RotatorError> {
        if let Some(after) = self.after {
            let next = next.password().expose(str::to_owned);
            let mut coming = self.coming.lock().unwrap();
            if coming.as_ref().is_none_or(|(_, coming)| *coming != next) {
                *coming = Some((self.clock.elapsed().saturating_add(after), next));
            }
        }
        Ok(())
    }
    async fn test(&self, secret: &Password) -> Result<(), RotatorError> {
        self.tests.fetch_add(1, Ordering::SeqCst);
        let mut accepted = self.accepted.lock().unwrap();
        if let Some((at, coming)) = &*self.coming.lock().unwrap()
            && *at <= self.clock.elapsed()
        {
            accepted.clone_from(coming);
        }
        match secret.password().expose(|password| password == *accepted) {
            true => Ok(()),
            false => Err(RotatorError::new(RotatorErrorKind::Refused, "wrong password")),
        }
    }
    async fn revoke(&self, _: &Password, _: &Password) -> Result<(), RotatorError> {
        Ok(())
    }
    /// Longer than what a state can keep, and not cut at a character.
    fn id_of(&self, secret: &Password) -> Option<String> {
        let password = secret.password().expose(str::to_owned);
        Some(format!("{}é{}", "x".repeat(127), password.len()))
    }
}

async fn slowly(world: &World, target: &Slow) -> (Process, Rotation) {
    let process = world.process(SimFaults::default(), true).await;
    process.session.put(PATH, Password::new("first")).await.unwrap();
    let rotation = Rotation::new(process.coordinator.clone());
    let rotation = rotation.manage(PATH, target.clone(), plan()).unwrap();
    (process, rotation)
}

#[test]
fn fc_053_a_change_that_takes_its_time_is_waited_for() {
    run(async |world| {
        let (took, settles) = (Duration::from_secs(8), Duration::from_secs(30));
        let target = Slow::new(world, Some(took), settles);
        let (process, rotation) = slowly(world, &target).await;
        rotation.request(PATH).await.unwrap();
        let started = world.clock.elapsed();
        let early = tick_for(world, &rotation, took / 2).await;
        assert!(early.is_empty() && current(&process).await == Version::new(1), "{early:?}");
        let events = tick_for(world, &rotation, took).await;
        assert_eq!((in_force(&events), failures(&events).len()), (vec![2], 0));
        assert!(world.clock.elapsed().saturating_since(started) < took * 2);
    });
}

#[test]
fn fc_053_a_change_that_never_comes_is_told_and_what_works_stays() {
    for after in [None, Some(Duration::from_secs(600))] {
        run(async |world| {
            let target = Slow::new(world, after, Duration::from_secs(30));
            let (process, rotation) = slowly(world, &target).await;
            rotation.request(PATH).await.unwrap();
            let events = tick_for(world, &rotation, Duration::from_secs(60)).await;
            let failed = failures(&events);
            assert_eq!(failed[0].step, Step::Test, "{failed:?}");
            assert_eq!(failed[0].version, Version::new(2));
            assert_eq!(current(&process).await, Version::new(1));
            // The state can be resumed: the same candidate is told again, and no other is made.
            let events = tick_for(world, &rotation, Duration::from_secs(1200)).await;
            assert_eq!(target.made.load(Ordering::SeqCst), 1);
            let expected = if after.is_some() { vec![2] } else { vec![] };
            assert_eq!(in_force(&events), expected);
        });
    }
}

#[test]
fn fc_062_a_refusal_that_lasts_is_tried_ever_more_seldom() {
    run(async |world| {
        let target = Slow::new(world, None, Duration::ZERO);
        let (_, rotation) = slowly(world, &target).await;
        rotation.request(PATH).await.unwrap();
        let minute = tick_for(world, &rotation, Duration::from_secs(60)).await;
        assert!((1..=4).contains(&failures(&minute).len()), "{minute:?}");
        let day = tick_for(world, &rotation, DAY).await;
        assert!((24..60).contains(&failures(&day).len()), "{}", failures(&day).len());
    });
}

#[test]
fn fc_092_a_failure_says_which_secret_which_step_and_when_again_and_no_value() {
    run(async |world| {
        let target = Slow::new(world, None, Duration::ZERO);
        let (_, rotation) = slowly(world, &target).await;
        rotation.request(PATH).await.unwrap();
        let events = tick_for(world, &rotation, Duration::from_secs(1)).await;
        let failed = failures(&events)[0];
        let text = failed.to_string();
        for word in ["prod/app/db@2", "test", "slow", "refused", "2027-01-01T"] {
            assert!(text.contains(word), "{text}");
        }
        assert!(failed.next_attempt > world.clock.now());
        assert!(!format!("{text} {failed:?} {events:?}").contains("made-"));
    });
}

async fn with_keys(world: &World, target: &Target) -> (Process, Rotation) {
    let process = world.process(SimFaults::default(), true).await;
    target.begin("AK-first", "key-first");
    let first = ApiKey::new("key-first").with_key_id("AK-first");
    process.session.put(PATH, first).await.unwrap();
    let rotator = Keys { target: target.clone() };
    let rotation = Rotation::new(process.coordinator.clone());
    (process, rotation.manage(PATH, rotator, plan()).unwrap())
}

#[test]
fn fc_064_where_two_keys_are_all_five_rotations_work() {
    run(async |world| {
        let target = Target::new(&world.clock, 1, false, false);
        let (_, rotation) = with_keys(world, &target).await;
        let events = tick_for(world, &rotation, DAY * 5 + DAY / 2).await;
        assert_eq!(in_force(&events), [2, 3, 4, 5, 6]);
        assert_eq!((failures(&events).len(), target.accepted()), (0, 1));
    });
}

#[test]
fn fc_064_a_foreign_key_is_told_of_and_never_removed() {
    run(async |world| {
        let target = Target::new(&world.clock, 1, false, false);
        let (process, rotation) = with_keys(world, &target).await;
        target.begin("AK-foreign", "key-foreign");
        rotation.request(PATH).await.unwrap();
        let events = tick_for(world, &rotation, DAY / 4).await;
        let failed = failures(&events);
        assert!(failed.iter().all(|failed| failed.step == Step::Reconcile) && !failed.is_empty());
        assert!(target.accepts("AK-foreign", "key-foreign"));
        assert_eq!(current(&process).await, Version::new(1));
    });
}

#[test]
fn fc_064_a_key_that_was_made_for_a_process_that_died_is_removed() {
    // At each poll of the first rotation its process dies.
    for polls in (5..400).step_by(5) {
        let world = World::new(7);
        let target = Target::new(&world.clock, 1, false, false);
        let keys = || Keys { target: target.clone() };
        let mut executor = SimExecutor::new(7);
        let made = executor.spawn(async {
            let (process, rotation) = with_keys(&world, &target).await;
            rotation.request(PATH).await.unwrap();
            process.room.close().await.unwrap();
        });
        world.run_task(&mut executor, made);
        let dying = executor.spawn_dropped_after(polls, async {
            let process = world.process(SimFaults::delays(), false).await;
            let rotation = Rotation::new(process.coordinator.clone());
            let rotation = rotation.manage(PATH, keys(), plan()).unwrap();
            tick_for(&world, &rotation, GRACE).await;
        });
        world.run_task(&mut executor, dying);
        let next = executor.spawn(async {
            let process = world.process(SimFaults::default(), false).await;
            let rotation = Rotation::new(process.coordinator.clone());
            let rotation = rotation.manage(PATH, keys(), plan()).unwrap();
            let events = tick_for(&world, &rotation, GRACE * 5).await;
            let shown = process.session.metadata(PATH).await.unwrap();
            assert!(shown.stage(Stage::Current) > Version::new(1), "{polls}: {events:?}");
            assert_eq!(target.accepted(), 1, "{polls}: {events:?}");
        });
        world.run_task(&mut executor, next);
    }
}

#[test]
fn fc_060_of_many_reports_one_is_looked_into_and_one_key_is_made() {
    let world = World::new(3);
    let target = Target::new(&world.clock, 3, false, false);
    let (events, is_broken) = (Mutex::new(Vec::new()), AtomicU32::new(0));
    let mut executor = SimExecutor::new(3);
    let made = executor.spawn(async {
        let process = world.process(SimFaults::default(), true).await;
        target.begin("app", "strong-0");
        process.session.put(PATH, Credential::new("app", "strong-0")).await.unwrap();
    });
    world.run_task(&mut executor, made);
    let one_user = || Passwords { target: target.clone(), users: vec!["app"] };
    for number in 0..4 {
        let (world, events, is_broken, target) = (&world, &events, &is_broken, &target);
        let rotator = one_user();
        executor.spawn(async move {
            let process = world.process(SimFaults::delays(), false).await;
            let rotation = Rotation::new(process.coordinator.clone());
            let rotation = rotation.manage(PATH, rotator, plan()).unwrap();
            let report = async |version| {
                for _ in 0..50 {
                    rotation.report_failure(PATH, version).await.unwrap();
                    world.clock.sleep(Duration::from_millis(20)).await;
                }
            };
            // A report about a version that works changes nothing.
            report(Version::FIRST).await;
            let after = tick_for(world, &rotation, GRACE * 2).await;
            assert!(after.is_empty(), "{after:?}");
            if number == 0 {
                // Until the others have seen as much.
                world.clock.sleep(GRACE).await;
                target.begin("app", "somebody else's");
                is_broken.store(1, Ordering::SeqCst);
            }
            while is_broken.load(Ordering::SeqCst) == 0 {
                world.clock.sleep(Duration::from_millis(20)).await;
            }
            report(Version::FIRST).await;
            let after = tick_for(world, &rotation, GRACE * 5).await;
            events.lock().unwrap().extend(after);
            assert_eq!(current(&process).await, Version::new(2));
        });
    }
    world.run(&mut executor);
    drop(executor);
    let events = events.into_inner().unwrap();
    assert_eq!((in_force(&events), failures(&events).len()), (vec![2], 0), "{events:?}");
}

#[test]
fn a_hold_keeps_a_version_from_being_retired() {
    run(async |world| {
        let target = Slow::new(world, Some(Duration::ZERO), Duration::ZERO);
        let (process, rotation) = slowly(world, &target).await;
        let until = world.clock.now().saturating_add(Duration::from_secs(7200));
        let hold = HoldMetadata { id: "batch-job".to_owned(), until };
        process.session.hold("prod/app/db@1", hold).await.unwrap();
        rotation.request(PATH).await.unwrap();
        let state = async |version: usize| {
            process.session.metadata(PATH).await.unwrap().versions[version].state
        };
        let events = tick_for(world, &rotation, Duration::from_secs(6000)).await;
        assert_eq!((in_force(&events), state(0).await), (vec![2], VersionState::Enabled));
        tick_for(world, &rotation, Duration::from_secs(7200)).await;
        assert_eq!(state(0).await, VersionState::Destroyed);
        assert_eq!(state(1).await, VersionState::Enabled);
    });
}

#[test]
fn bytes_that_no_version_of_this_program_wrote_are_refused_and_kept() {
    run(async |world| {
        let target = Slow::new(world, Some(Duration::ZERO), Duration::ZERO);
        let (process, rotation) = slowly(world, &target).await;
        for name in ["strongroom.rotation", "strongroom.lease"] {
            for length in [0_usize, 1, 2, 48, 49, 50, 71, 200] {
                let bytes: Vec<u8> =
                    (0..length).map(|_| u8::try_from(0x80 + world.below(128)).unwrap()).collect();
                let annexes = AnnexUpdate::new().set(name, bytes.clone());
                let update = MetadataUpdate::new().annexes(annexes);
                process.session.update_metadata(PATH, update).await.unwrap();
                let seq = process.session.metadata(PATH).await.unwrap().seq;
                rotation.request(PATH).await.ok();
                let told = rotation.report_failure(PATH, Version::FIRST).await;
                world.clock.sleep(Duration::from_secs(15)).await;
                let tick = rotation.tick().await;
                let shown = process.session.metadata(PATH).await.unwrap();
                assert_eq!(shown.annexes[name], bytes);
                if name == "strongroom.rotation" {
                    assert!(matches!(told, Err(LeaseError::UnknownNote)), "{told:?}");
                    assert!(matches!(tick.unreachable[..], [(_, LeaseError::UnknownNote)]));
                    assert_eq!(shown.seq, seq);
                } else {
                    let lease = process.coordinator.lease(PATH).await;
                    assert!(matches!(lease, Err(LeaseError::UnknownNote)), "{lease:?}");
                }
            }
            let update = MetadataUpdate::new().annexes(AnnexUpdate::new().remove(name));
            process.session.update_metadata(PATH, update).await.unwrap();
        }
        assert_eq!(target.made.load(Ordering::SeqCst), 0);
    });
}

/// Passwords by a process that is stopped as it sets or revokes one for the first time.
#[derive(Debug)]
struct Stopped {
    passwords: Passwords,
    /// As it revokes, otherwise as it sets.
    revokes: bool,
    /// More than none as it is stopped.
    is_stopped: Arc<AtomicU32>,
}

impl Stopped {
    async fn stop(&self) {
        if self.is_stopped.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        let mut is_over = false;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[async_trait]
impl Rotator for Stopped {
    type Secret = Credential;
    fn name(&self) -> &str {
        "stopped"
    }
    fn profile(&self) -> TargetProfile {
        self.passwords.profile()
    }
    async fn create(&self, current: Option<&Credential>) -> Result<Credential, RotatorError> {
        self.passwords.create(current).await
    }
    async fn set(
        &self,
        next: &Credential,
        current: Option<&Credential>,
    ) -> Result<(), RotatorError> {
        if !self.revokes {
            self.stop().await;
        }
        self.passwords.set(next, current).await
    }
    async fn test(&self, secret: &Credential) -> Result<(), RotatorError> {
        self.passwords.test(secret).await
    }
    async fn revoke(&self, old: &Credential, current: &Credential) -> Result<(), RotatorError> {
        if self.revokes {
            self.stop().await;
        }
        self.passwords.revoke(old, current).await
    }
}

#[test]
fn what_a_runner_sets_late_is_made_good_as_it_wakes() {
    wakes_late(false, &["app"]);
}

#[test]
fn what_a_runner_revokes_late_is_made_good_as_it_wakes() {
    wakes_late(true, &["app", "app_b"]);
}

fn wakes_late(revokes: bool, users: &[&'static str]) {
    const STOP: Duration = Duration::from_secs(600);
    let world = World::new(5);
    let target = Target::new(&world.clock, 5, false, false);
    let passwords = || Passwords { target: target.clone(), users: users.to_vec() };
    let is_stopped = Arc::new(AtomicU32::new(0));
    let mut executor = SimExecutor::new(5);
    let made = executor.spawn(async {
        let process = world.process(SimFaults::default(), true).await;
        target.begin("app", "strong-0");
        process.session.put(PATH, Credential::new("app", "strong-0")).await.unwrap();
    });
    world.run_task(&mut executor, made);
    // It is not polled while it is stopped, nor are its timers.
    let late = async {
        let process = world.process(SimFaults::default(), false).await;
        let is_stopped = is_stopped.clone();
        let rotator = Stopped { passwords: passwords(), revokes, is_stopped: is_stopped.clone() };
        let rotation = Rotation::new(process.coordinator.clone());
        let rotation = rotation.manage(PATH, rotator, plan()).unwrap();
        rotation.request(PATH).await.unwrap();
        while is_stopped.load(Ordering::SeqCst) == 0 {
            tick_for(&world, &rotation, Duration::from_secs(1)).await;
        }
        // It has woken, and told the target what was right then.
        world.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(current(&process).await, Version::new(3));
        let secret: Credential = process.session.get(PATH).await.unwrap();
        let password = secret.password().expose(str::to_owned);
        assert!(!target.accepts("app", &password), "it was not late");
        let events = tick_for(&world, &rotation, Duration::from_secs(20)).await;
        let is_repair = |event: &Event| matches!(event, Event::Repaired { version, .. } if version.number() == 3);
        assert!(events.iter().any(is_repair), "{events:?}");
        assert!(target.accepts("app", &password));
    };
    let stopping = {
        let (mut late, mut stop) = (Box::pin(late), None);
        let (clock, is_stopped) = (world.clock.clone(), is_stopped.clone());
        poll_fn(move |context| {
            if let Some(stopped) = &mut stop {
                let stopped: &mut Pin<Box<dyn Future<Output = ()>>> = stopped;
                if stopped.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                stop = None;
            }
            let before = is_stopped.load(Ordering::SeqCst);
            let polled = late.as_mut().poll(context);
            if before == 0 && is_stopped.load(Ordering::SeqCst) == 1 {
                let clock = clock.clone();
                stop = Some(Box::pin(async move { clock.sleep(STOP).await }));
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            polled
        })
    };
    executor.spawn(stopping);
    executor.spawn(async {
        let process = world.process(SimFaults::default(), false).await;
        let rotation = Rotation::new(process.coordinator.clone());
        let rotation = rotation.manage(PATH, passwords(), plan()).unwrap();
        while is_stopped.load(Ordering::SeqCst) == 0 {
            world.clock.sleep(Duration::from_millis(100)).await;
        }
        let events = tick_for(&world, &rotation, STOP / 2).await;
        rotation.request(PATH).await.unwrap();
        let more = tick_for(&world, &rotation, STOP / 3).await;
        let first = if revokes { vec![] } else { vec![2] };
        assert_eq!((in_force(&events), in_force(&more)), (first, vec![3]));
    });
    world.run(&mut executor);
}
