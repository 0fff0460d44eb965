//! The secrets that a host rotates, and what it calls for that.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use strongroom_core::{
    AnnexUpdate, Expected, MetadataUpdate, Names, Rotator, SecretMetadata, SecretPath, Stage,
    Timestamp, Version, VersionMetadata, async_trait,
};
use strongroom_engine::Error;

use crate::coordinator::Coordinator;
use crate::event::Event;
use crate::lease::{Claim, Lease, LeaseError, Taken};
use crate::machine::{Due, Machine, Then};
use crate::plan::Plan;
use crate::schedule::{Facts, Next, Validity};
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
    /// What was seen of a lease that somebody else holds.
    claim: Mutex<Option<Claim>>,
}

impl fmt::Debug for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Managed")
            .field("path", &self.path)
            .field("rotator", &self.rotator)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// A rotator of whatever kind of secret.
#[async_trait]
trait AnyRotator: fmt::Debug + Send + Sync {
    async fn advance(
        &self,
        job: (&Coordinator, &SecretPath, &Plan),
        lease: Lease,
        due: &Due<'_>,
        events: &mut Vec<Event>,
    ) -> Result<Then, LeaseError>;
}

#[async_trait]
impl<R: Rotator> AnyRotator for R {
    async fn advance(
        &self,
        (of, path, plan): (&Coordinator, &SecretPath, &Plan),
        lease: Lease,
        due: &Due<'_>,
        events: &mut Vec<Event>,
    ) -> Result<Then, LeaseError> {
        let mut machine = Machine::new(of, path, self, &plan.rules);
        let then = machine.run(lease, due).await;
        events.append(&mut machine.events);
        then
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
        let (rotator, claim) = (Box::new(rotator), Mutex::new(None));
        self.jobs.push(Managed { path, plan, rotator, claim });
        Ok(self)
    }

    /// Does what is to be done now, and says when to call it again. Whatever fails is an event, and is
    /// tried again when its time has come; the other secrets do not wait for it.
    pub async fn tick(&self) -> Tick {
        let mut tick = Tick { events: Vec::new(), unreachable: Vec::new(), wait: LONGEST_WAIT };
        for job in &self.jobs {
            match self.look_at(job, &mut tick.events).await {
                Ok(wait) => tick.wait = tick.wait.min(wait),
                Err(error) => {
                    tick.wait = tick.wait.min(HELD * 10);
                    tick.unreachable.push((job.path.clone(), error));
                }
            }
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

    /// Asks for a rotation as soon as it can be, whatever the schedule says: any process that manages the
    /// secret begins it with its next [`tick`](Self::tick). Asking again before it has begun changes nothing.
    ///
    /// # Errors
    /// Where the store does not allow or do it.
    pub async fn request(&self, path: impl Names<SecretPath>) -> Result<(), LeaseError> {
        let edit = |_: &SecretMetadata, state: &mut State, _| {
            !std::mem::replace(&mut state.is_asked, true)
        };
        self.edit(self.of.path(path)?, edit).await
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
        self.edit(self.of.path(path)?, edit).await
    }

    /// Changes the state of a secret, whoever works on it, as `edit` says; it answers whether it did.
    async fn edit(
        &self,
        path: SecretPath,
        edit: impl Fn(&SecretMetadata, &mut State, Timestamp) -> bool,
    ) -> Result<(), LeaseError> {
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
                done => return Ok(done?),
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
        if let Some(wait) = idle_for(job, &metadata, &state, now) {
            return Ok(wait.min(LONGEST_WAIT));
        }
        let Some(lease) = self.claim(job).await? else { return Ok(HELD) };
        let due = |metadata: &SecretMetadata, now| is_due(job, metadata, now);
        match job.rotator.advance((&self.of, &job.path, &job.plan), lease, &due, events).await? {
            Then::Wait(wait) => Ok(wait.min(LONGEST_WAIT)),
            Then::Step | Then::Idle => Ok(Duration::ZERO),
        }
    }

    /// The lease, if it can be had now.
    async fn claim(&self, job: &Managed) -> Result<Option<Lease>, LeaseError> {
        let held = || job.claim.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = held().take();
        let mut claim = match earlier {
            Some(claim) => claim,
            None => Claim::new(&self.of, &job.path, self.of.lasts(), None)?,
        };
        match claim.attempt(&self.of).await? {
            Some(Taken::Lease(lease)) => Ok(Some(*lease)),
            Some(Taken::Spent) => Err(LeaseError::Abandoned),
            // INVARIANT: `Moved` does not come, since it asks for no version.
            Some(Taken::Moved) | None => {
                *held() = Some(claim);
                Ok(None)
            }
        }
    }
}

/// How long there is certainly nothing to be done; `None` where there is.
fn idle_for(
    job: &Managed,
    metadata: &SecretMetadata,
    state: &State,
    now: Timestamp,
) -> Option<Duration> {
    let dying = state.dying.map(|(_, at)| at.saturating_since(now));
    if dying.is_some_and(|left| left.is_zero()) {
        return None;
    }
    let dying = dying.unwrap_or(LONGEST_WAIT);
    let retry = state.retry_at.saturating_since(now);
    if !retry.is_zero() && retry <= job.plan.rules.longest_pause() {
        return Some(retry.min(dying));
    }
    if state.reported.is_some() {
        return None;
    }
    match state.phase {
        Phase::Idle if state.failures > 0 || state.is_asked => None,
        Phase::Idle => match next(job, metadata, now) {
            Next::Due | Next::Broken(_) => None,
            Next::At(at) => Some(at.saturating_since(now).min(dying)),
            Next::Never => Some(dying),
        },
        Phase::Watching => {
            let left = job.plan.rules.grace.saturating_sub(now.saturating_since(state.since));
            (!left.is_zero()).then(|| left.min(dying))
        }
        _ => None,
    }
}

fn is_due(job: &Managed, metadata: &SecretMetadata, now: Timestamp) -> bool {
    matches!(next(job, metadata, now), Next::Due | Next::Broken(_))
}

fn next(job: &Managed, metadata: &SecretMetadata, now: Timestamp) -> Next {
    let current = metadata.stage(Stage::Current);
    let of = |shown: &&VersionMetadata| Some(shown.version) == current;
    let last = metadata.versions.iter().find(of).map_or(metadata.created, |shown| shown.created);
    let mut facts = Facts::new(last);
    facts.valid =
        metadata.metadata.expires.map(|not_after| Validity { not_before: last, not_after });
    job.plan.schedule.next(&job.path, &facts, now)
}
