//! The secrets that a host rotates, and what it calls for that.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_core::{
    AnnexUpdate, Expected, MetadataUpdate, Monotonic, Names, Rotator, SecretMetadata, SecretPath,
    Stage, Timestamp, Version, VersionMetadata, async_trait,
};
use strongroom_engine::Error;

use crate::coordinator::Coordinator;
use crate::event::Event;
use crate::lease::{Claim, Lease, LeaseError, Taken};
use crate::machine::{Due, FirstSeen, Machine, Then};
use crate::mend::Told;
use crate::plan::Plan;
use crate::schedule::{Facts, Next};
use crate::state::{ANNEX, Phase, State};

/// The longest time between two looks at a secret: its facts may have changed, and the clock jumped.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The time until the next look at a secret that somebody else works on.
const HELD: Duration = Duration::from_secs(1);
/// The time between two tests for reports that something does not work.
const BETWEEN_CHECKS: Duration = Duration::from_secs(60);

/// Rotates secrets: of all processes that manage the same ones, one does each step.
///
/// Nothing runs by itself: a host calls [`tick`](Self::tick), or runs [`run`](Self::run) as a task. The
/// principal of the coordinator's session must be allowed to read, read-metadata, write, update-metadata,
/// promote, disable and destroy.
///
/// ```
/// use std::time::Duration;
/// use strongroom_core::{
///     Password, Principal, Rotator, RotatorError, TargetProfile, async_trait,
/// };
/// use strongroom_engine::SystemEntropy;
/// use strongroom_rotation::{Coordinator, Event, Plan, Rotation, Schedule, TextPolicy};
/// use strongroom_testkit::TestRoom;
///
/// /// Passwords that nothing but the store is told of.
/// #[derive(Debug)]
/// struct Drawn;
///
/// #[async_trait]
/// impl Rotator for Drawn {
///     type Secret = Password;
///     fn name(&self) -> &str {
///         "drawn"
///     }
///     fn profile(&self) -> TargetProfile {
///         TargetProfile::single()
///     }
///     async fn create(&self, _: Option<&Password>) -> Result<Password, RotatorError> {
///         let drawn = TextPolicy::new(24).build().map(|policy| policy.generate(&SystemEntropy));
///         match drawn {
///             Ok(Ok(text)) => Ok(Password::new(text)),
///             _ => unreachable!("24 letters and digits have enough bits"),
///         }
///     }
///     async fn set(&self, _: &Password, _: Option<&Password>) -> Result<(), RotatorError> {
///         Ok(())
///     }
///     async fn test(&self, _: &Password) -> Result<(), RotatorError> {
///         Ok(())
///     }
///     async fn revoke(&self, _: &Password, _: &Password) -> Result<(), RotatorError> {
///         Ok(())
///     }
/// }
///
/// # futures_executor::block_on(async {
/// let kit = TestRoom::allowing_all();
/// let runner = kit.room().session(Principal::service("rotation"));
/// runner.put("prod/job/password", Password::new("to be replaced")).await?;
///
/// let monthly = Plan::new(Schedule::every(Duration::from_secs(30 * 86_400))?);
/// let rotation = Rotation::new(Coordinator::new(runner)).manage("prod/job/password", Drawn, monthly)?;
/// rotation.request("prod/job/password").await?; // not before it is due, otherwise
/// let tick = rotation.tick().await;
/// assert!(matches!(tick.events[..], [Event::InForce { .. }]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Rotation {
    of: Coordinator,
    jobs: Vec<Managed>,
}

struct Managed {
    path: SecretPath,
    plan: Plan,
    rotator: Box<dyn AnyRotator>,
    memory: Mutex<Memory>,
}

/// What this process remembers of a secret between two looks.
#[derive(Default)]
struct Memory {
    /// What was seen of a lease that somebody else holds.
    claim: Option<Claim>,
    told: Told,
    first_seen: Option<FirstSeen>,
    /// Not before this is the next look.
    next_look: Monotonic,
}

impl fmt::Debug for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed")
            .field("path", &self.path)
            // The host's rotator may hold a password of its own.
            .field("rotator", &self.rotator.name())
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// What a rotator works on.
struct Job<'a> {
    of: &'a Coordinator,
    path: &'a SecretPath,
    plan: &'a Plan,
    due: &'a Due<'a>,
    told: &'a mut Told,
    first_seen: &'a mut Option<FirstSeen>,
    events: &'a mut Vec<Event>,
}

/// A rotator of whatever kind of secret.
#[async_trait]
trait AnyRotator: Send + Sync {
    fn name(&self) -> &str;
    async fn advance(&self, job: Job<'_>, lease: Lease) -> Result<Then, LeaseError>;
}

#[async_trait]
impl<R: Rotator> AnyRotator for R {
    fn name(&self) -> &str {
        Rotator::name(self)
    }

    async fn advance(&self, job: Job<'_>, lease: Lease) -> Result<Then, LeaseError> {
        let Job { of, path, plan, due, told, first_seen, events } = job;
        let mut machine = Machine { of, path, rotator: self, plan, events, told, first_seen };
        machine.run(lease, due).await
    }
}

/// What a [`Rotation::tick`] came to.
#[derive(Debug)]
pub struct Tick {
    /// What happened.
    pub events: Vec<Event>,
    /// The secrets about which nothing could be found out, and why: the store, or the lease.
    pub unreachable: Vec<(SecretPath, LeaseError)>,
    /// How long nothing is to be done.
    pub wait: Duration,
}

impl Rotation {
    /// Rotates nothing yet.
    #[must_use]
    pub fn new(coordinator: Coordinator) -> Self {
        Self { of: coordinator, jobs: Vec::new() }
    }

    /// Rotates that secret, too, which must exist: its first version is what the target accepts now, or
    /// nothing that works yet.
    ///
    /// # Errors
    /// Where the path is none.
    pub fn manage<R: Rotator>(
        mut self,
        path: impl Names<SecretPath>,
        rotator: R,
        plan: Plan,
    ) -> Result<Self, LeaseError> {
        let path = self.of.path(path)?;
        let (rotator, memory) = (Box::new(rotator), Mutex::default());
        self.jobs.push(Managed { path, plan, rotator, memory });
        Ok(self)
    }

    /// Does what is to be done now, one secret after the other, and says when to call it again. Whatever
    /// fails is an event, and is tried again when its time has come. A target that does not answer holds the
    /// others up for as long as a call may take; to keep secrets apart, manage them by two rotations.
    pub async fn tick(&self) -> Tick {
        let mut tick = Tick { events: Vec::new(), unreachable: Vec::new(), wait: LONGEST_WAIT };
        for job in &self.jobs {
            let left = job.memory().next_look.saturating_since(self.of.clock.elapsed());
            if !left.is_zero() {
                tick.wait = tick.wait.min(left);
                continue;
            }
            let wait = match self.look_at(job, &mut tick.events).await {
                Ok(wait) => wait.min(LONGEST_WAIT),
                Err(error) => {
                    tick.unreachable.push((job.path.clone(), error));
                    HELD * 10
                }
            };
            job.memory().next_look = self.of.clock.elapsed().saturating_add(wait);
            tick.wait = tick.wait.min(wait);
        }
        tick
    }

    /// Calls [`tick`](Self::tick) for ever, and tells the host of each. Drop it to end it: it can be
    /// dropped at any moment.
    pub async fn run(&self, mut told: impl FnMut(Tick) + Send) {
        loop {
            let tick = self.tick().await;
            let wait = tick.wait.max(Duration::from_millis(10));
            told(tick);
            self.of.timer.sleep(wait).await;
        }
    }

    /// Asks for a rotation as soon as it can be, whatever the schedule says: this process begins it with its
    /// next [`tick`](Self::tick), another one that manages the secret within a minute. Asking again before it
    /// has begun changes nothing.
    ///
    /// # Errors
    /// Where the store does not allow or do it.
    pub async fn request(&self, path: impl Names<SecretPath>) -> Result<(), LeaseError> {
        let edit = |_: &SecretMetadata, state: &mut State, _| {
            !std::mem::replace(&mut state.is_asked, true)
        };
        self.edit(path, edit).await
    }

    /// Says that a version does not work at the target. If it is the one in force, it is tested, and
    /// replaced where the target refuses it; a report about one that works changes nothing. Of many reports one is
    /// looked into a minute. Who made it stands in the audit log, as an `update-metadata`.
    ///
    /// # Errors
    /// Where the store does not allow or do it.
    pub async fn report_failure(
        &self,
        path: impl Names<SecretPath>,
        version: Version,
    ) -> Result<(), LeaseError> {
        let edit = |metadata: &SecretMetadata, state: &mut State, now: Timestamp| {
            let is_recent = now.saturating_since(state.checked) < BETWEEN_CHECKS;
            // A time in the future was written under a clock that ran ahead: it says nothing.
            let is_recent = is_recent && state.checked <= now;
            let is_news = metadata.stage(Stage::Current) == Some(version)
                && state.reported != Some(version)
                && !is_recent;
            if is_news {
                state.reported = Some(version);
            }
            is_news
        };
        self.edit(path, edit).await
    }

    /// Changes the state of a secret, whoever works on it, as `edit` says; it answers whether it did.
    async fn edit(
        &self,
        path: impl Names<SecretPath>,
        edit: impl Fn(&SecretMetadata, &mut State, Timestamp) -> bool,
    ) -> Result<(), LeaseError> {
        let path = self.of.path(path)?;
        let mut waiting = self.of.waiting(self.of.lasts());
        loop {
            let metadata = self.of.session.metadata(&path).await?;
            let mut state = State::of(&metadata).ok_or(LeaseError::UnknownNote)?;
            if !edit(&metadata, &mut state, self.of.clock.now()) {
                return Ok(());
            }
            let annexes = AnnexUpdate::new().set(ANNEX, state.encode());
            let update = MetadataUpdate::new().annexes(annexes);
            let expected = Expected::Head(metadata.seq);
            match self.of.session.update_metadata_with(&path, update, expected).await {
                Err(Error::Conflict(_)) => waiting.pause().await?,
                done => {
                    if let Some(job) = self.jobs.iter().find(|job| job.path == path) {
                        job.memory().next_look = Monotonic::default();
                    }
                    return Ok(done?);
                }
            }
        }
    }

    /// One look at a secret, and all that can be done for it now. How long to wait for the next.
    async fn look_at(
        &self,
        job: &Managed,
        events: &mut Vec<Event>,
    ) -> Result<Duration, LeaseError> {
        let metadata = self.of.session.metadata(&job.path).await?;
        let state = State::of(&metadata).ok_or(LeaseError::UnknownNote)?;
        let now = self.of.clock.now();
        let (is_nothing_told, seen_for) = {
            let (mut memory, elapsed) = (job.memory(), self.of.clock.elapsed());
            FirstSeen::note(&mut memory.first_seen, &state, elapsed);
            let seen = memory.first_seen.map_or(Duration::ZERO, |seen| seen.lasted(elapsed, now));
            (memory.told.is_nothing(), seen)
        };
        if is_nothing_told && let Some(wait) = idle_for(job, &metadata, &state, now, seen_for) {
            return Ok(wait);
        }
        let Some(lease) = self.claim(job).await? else { return Ok(HELD) };
        let due = |metadata: &SecretMetadata, now| next(job, metadata, now) == Next::Due;
        let mut lent = Lent::of(job);
        let (of, path, plan) = (&self.of, &job.path, &job.plan);
        let (told, first_seen) = (&mut lent.told, &mut lent.first_seen);
        let work = Job { of, path, plan, due: &due, told, first_seen, events };
        let then = job.rotator.advance(work, lease).await;
        drop(lent);
        match then? {
            Then::Wait(wait) => Ok(wait),
            Then::Step | Then::Idle => Ok(HELD),
        }
    }

    /// The lease, if it can be had now.
    async fn claim(&self, job: &Managed) -> Result<Option<Lease>, LeaseError> {
        let earlier = job.memory().claim.take();
        let mut claim = match earlier {
            Some(claim) => claim,
            None => Claim::new(&self.of, &job.path, self.of.lasts(), None)?,
        };
        let attempt = claim.attempt(&self.of).await;
        match attempt {
            Ok(Some(Taken::Lease(lease))) => Ok(Some(*lease)),
            Ok(Some(Taken::Spent)) => Err(LeaseError::Abandoned),
            // INVARIANT: `Moved` does not come, since it asks for no version.
            Ok(Some(Taken::Moved) | None) => {
                job.memory().claim = Some(claim);
                Ok(None)
            }
            // What was seen of the other's lease still counts.
            Err(error) => {
                job.memory().claim = Some(claim);
                Err(error)
            }
        }
    }
}

/// What is remembered, while it is worked with: given back whatever becomes of the work.
struct Lent<'a> {
    job: &'a Managed,
    told: Told,
    first_seen: Option<FirstSeen>,
}

impl<'a> Lent<'a> {
    fn of(job: &'a Managed) -> Self {
        let mut memory = job.memory();
        let (told, first_seen) = (std::mem::take(&mut memory.told), memory.first_seen);
        drop(memory);
        Self { job, told, first_seen }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut memory = self.job.memory();
        (memory.told, memory.first_seen) = (std::mem::take(&mut self.told), self.first_seen);
    }
}

impl Managed {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long there is certainly nothing to be done; `None` where there is.
fn idle_for(
    job: &Managed,
    metadata: &SecretMetadata,
    state: &State,
    now: Timestamp,
    seen_for: Duration,
) -> Option<Duration> {
    let retry = state.retry_at.saturating_since(now);
    if !retry.is_zero() && retry <= job.plan.rules.longest_pause() {
        return Some(retry);
    }
    if state.reported.is_some() || state.since > now {
        return None;
    }
    let dying = match state.dying {
        Some((_, at)) if at <= now => return None,
        Some((_, at)) => at.saturating_since(now),
        None => LONGEST_WAIT,
    };
    match state.phase {
        Phase::Idle if state.is_asked => None,
        Phase::Idle => match next(job, metadata, now) {
            Next::Due => None,
            Next::At(at) => Some(at.saturating_since(now).min(dying)),
            // Put by hand, with an end that makes no sense: that is said by who put it.
            Next::Never | Next::Broken(_) => Some(dying),
        },
        Phase::Watching => {
            let left = job.plan.rules.grace.saturating_sub(seen_for);
            (!left.is_zero()).then(|| left.min(dying))
        }
        _ => None,
    }
}

fn next(job: &Managed, metadata: &SecretMetadata, now: Timestamp) -> Next {
    let current = metadata.stage(Stage::Current);
    let of = |shown: &&VersionMetadata| Some(shown.version) == current;
    let last = metadata.versions.iter().find(of).map_or(metadata.created, |shown| shown.created);
    job.plan.schedule.next(&job.path, &Facts::new(last), now)
}
