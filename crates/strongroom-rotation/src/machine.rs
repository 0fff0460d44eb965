//! One rotation, by one runner: what holds its steps together.
//!
//! Each step begins with the renewal of the lease and a fresh look at the secret, and ends with a
//! write that is bound to what was seen. So whoever dies between two steps leaves what the next one goes on from, and
//! whoever wakes late finds that its write does not count. What such a one did at the target
//! meanwhile is made good (`mend.rs`). The steps themselves are in `steps.rs`.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use strongroom_core::{
    AnnexUpdate, MetadataUpdate, Monotonic, Rotator, RotatorError, RotatorErrorKind,
    SecretMetadata, SecretPath, Stage, Timestamp, Version, VersionMetadata, VersionState,
};
use strongroom_engine::{Error, WriteOutcome};

use crate::coordinator::Coordinator;
use crate::event::{Event, Failure, Step};
use crate::lease::{Lease, LeaseError};
use crate::mend::Told;
use crate::plan::Plan;
use crate::race::within;
use crate::state::{ANNEX, Phase, State};

/// A call to a target may take a lease's time divided by this: the calls of a step fit into one.
const CALLS_IN_A_LEASE: u32 = 5;
/// A limit is waited for in so many parts, so that a process that stood still meanwhile has most of it left
/// as it wakes: it then learns what its call came to.
const PARTS: u32 = 8;
/// How often a step may begin anew since its lease is too old for a call, before the others have their turn.
const RENEWALS: u32 = 8;

/// Whether a rotation is due, by what a secret's metadata say now.
pub(crate) type Due<'a> = dyn Fn(&SecretMetadata, Timestamp) -> bool + Sync + 'a;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Another step at once.
    Step,
    /// Nothing for so long.
    Wait(Duration),
    /// Nothing, until a rotation is due.
    Idle,
}

/// Why a step did not come to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Somebody else works on it.
    Lost,
    /// The lease is too old for a call to the target.
    Renew,
    /// It failed.
    Failed { step: Step, kind: Option<RotatorErrorKind>, source: Box<dyn StdError + Send + Sync> },
}

impl Stop {
    pub(crate) fn store(step: Step, error: Error) -> Self {
        Self::Failed { step, kind: None, source: Box::new(error) }
    }

    pub(crate) fn target(step: Step, error: RotatorError) -> Self {
        Self::Failed { step, kind: Some(error.kind()), source: Box::new(error) }
    }

    pub(crate) fn refused(step: Step, detail: impl Into<String>) -> Self {
        Self::target(step, RotatorError::new(RotatorErrorKind::Refused, detail))
    }

    pub(crate) fn lease(step: Step, error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::Lost,
            error => Self::Failed { step, kind: None, source: Box::new(error) },
        }
    }
}

/// When this process first saw a phase, by its own clock: the wall clocks of those who wrote it and who
/// read it may be apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstSeen {
    pub(crate) phase: Phase,
    pub(crate) since: Timestamp,
    pub(crate) at: Monotonic,
}

/// So far may the wall clocks of two machines be apart before one counts for the other.
const APART: Duration = Duration::from_secs(3600);

impl FirstSeen {
    /// How long the phase has lasted for certain: since it was seen here, or by the wall clock with much to
    /// spare, for processes that do not live as long.
    pub(crate) fn lasted(&self, now: Monotonic, wall: Timestamp) -> Duration {
        now.saturating_since(self.at).max(wall.saturating_since(self.since).saturating_sub(APART))
    }

    /// Remembers when the phase that a secret is in was first seen.
    pub(crate) fn note(seen: &mut Option<Self>, state: &State, now: Monotonic) {
        let is_known =
            seen.is_some_and(|seen| (seen.phase, seen.since) == (state.phase, state.since));
        if !is_known {
            *seen = Some(Self { phase: state.phase, since: state.since, at: now });
        }
    }
}

/// One rotation of one secret, by one runner.
pub(crate) struct Machine<'a, R: Rotator> {
    pub(crate) of: &'a Coordinator,
    pub(crate) path: &'a SecretPath,
    pub(crate) rotator: &'a R,
    pub(crate) plan: &'a Plan,
    pub(crate) events: &'a mut Vec<Event>,
    /// What the target was told since the lease was last seen to be held.
    pub(crate) told: &'a mut Told,
    pub(crate) first_seen: &'a mut Option<FirstSeen>,
}

impl<R: Rotator> Machine<'_, R> {
    /// Does what can be done now, and gives the lease back.
    pub(crate) async fn run(
        &mut self,
        mut lease: Lease,
        due: &Due<'_>,
    ) -> Result<Then, LeaseError> {
        let mut renewals = 0;
        // What an earlier lease that was lost left to be made good.
        let mut is_owed = self.told.set;
        loop {
            let metadata = match lease.renew().await {
                Ok(metadata) => metadata,
                // What is in `told` is made good as soon as the lease can be had again.
                Err(LeaseError::Lost) => return Ok(Then::Wait(Duration::ZERO)),
                Err(error) => return Err(error),
            };
            let state = State::of(&metadata).ok_or(LeaseError::UnknownNote)?;
            FirstSeen::note(self.first_seen, &state, self.of.clock.elapsed());
            if !is_owed {
                // Renewed, so that nobody had it since: what the target was told, it was told in time.
                self.told.set = false;
            }
            let stepped = match self.make_good(&lease, &metadata).await {
                Ok(false) => self.step(&mut lease, &metadata, &state, due).await,
                Ok(true) => {
                    is_owed = false;
                    Ok(Then::Step)
                }
                Err(stop) => Err(stop),
            };
            let then = match stepped {
                Ok(then) => then,
                Err(Stop::Lost) => return Ok(Then::Wait(Duration::ZERO)),
                Err(Stop::Renew) => {
                    renewals += 1;
                    if renewals < RENEWALS { Then::Step } else { Then::Wait(self.of.lasts()) }
                }
                Err(Stop::Failed { step, kind, source }) => {
                    match self.failed(&mut lease, &state, step, kind, source).await {
                        Ok(then) => then,
                        Err(LeaseError::Lost) => return Ok(Then::Wait(Duration::ZERO)),
                        Err(error) => return Err(error),
                    }
                }
            };
            if then == Then::Step {
                continue;
            }
            return match lease.release().await {
                Ok(()) => {
                    // The same.
                    self.told.set &= is_owed;
                    Ok(then)
                }
                Err(LeaseError::Lost) => Ok(Then::Wait(Duration::ZERO)),
                Err(error) => Err(error),
            };
        }
    }

    async fn step(
        &mut self,
        lease: &mut Lease,
        metadata: &SecretMetadata,
        state: &State,
        due: &Due<'_>,
    ) -> Result<Then, Stop> {
        let now = self.of.clock.now();
        if state.since > now {
            // Written under a clock that runs ahead: nothing is counted from it.
            self.save(lease, Step::Reconcile, State { since: now, ..state.clone() }).await?;
            return Ok(Then::Step);
        }
        // A time beyond the longest pause was written under a clock that ran ahead.
        let left = state.retry_at.saturating_since(now);
        if !left.is_zero() && left <= self.plan.rules.longest_pause() {
            return Ok(Then::Wait(left));
        }
        if let Some((version, at)) = state.dying
            && now >= at
            && matches!(state.phase, Phase::Idle | Phase::Watching)
        {
            return self.destroy(lease, metadata, state, version).await;
        }
        if let Some(reported) = state.reported {
            return self.look_into(lease, metadata, state, reported, now).await;
        }
        match state.phase {
            Phase::Idle if state.is_asked || due(metadata, now) => {
                // What was revoked for the last rotation may be revoked yet, and be used again by this one.
                let settles = self.rotator.profile().settles.max(self.call_limit());
                let left = settles.saturating_sub(self.seen_for());
                if state.since != Timestamp::default() && !left.is_zero() {
                    return Ok(Then::Wait(left));
                }
                self.begin(lease, metadata, state, now).await
            }
            Phase::Idle => Ok(Then::Idle),
            Phase::Creating => self.create(lease, metadata, state, now).await,
            Phase::Setting | Phase::Testing => {
                let staged = [Stage::Pending, Stage::Current].map(|stage| metadata.stage(stage));
                let candidate = state.candidate.filter(|candidate| {
                    let is_enabled = |shown: &VersionMetadata| shown.state == VersionState::Enabled;
                    staged.contains(&Some(*candidate))
                        && find(metadata, *candidate).is_some_and(is_enabled)
                });
                match candidate {
                    Some(candidate) if state.phase == Phase::Setting => {
                        self.set(lease, metadata, state, candidate, now).await
                    }
                    Some(candidate) => self.test(lease, metadata, state, candidate, now).await,
                    // Somebody put another one in its place, disabled or purged it.
                    None => {
                        let next = State { candidate: None, ..state.entering(Phase::Idle, now) };
                        self.save(lease, Step::Set, next).await?;
                        Ok(Then::Step)
                    }
                }
            }
            Phase::Watching => self.watch(lease, metadata, state, now).await,
            Phase::Retiring | Phase::Disabling => self.retire(lease, metadata, state, now).await,
        }
    }

    /// How long this process has seen the phase that a secret is in.
    pub(crate) fn seen_for(&self) -> Duration {
        let (now, wall) = (self.of.clock.elapsed(), self.of.clock.now());
        self.first_seen.map_or(Duration::ZERO, |seen| seen.lasted(now, wall))
    }

    /// Writes down that a step failed, and tells of it.
    async fn failed(
        &mut self,
        lease: &mut Lease,
        seen: &State,
        step: Step,
        kind: Option<RotatorErrorKind>,
        source: Box<dyn StdError + Send + Sync>,
    ) -> Result<Then, LeaseError> {
        // As it is now: somebody may have asked for something meanwhile, and a part of the step may be done.
        let metadata = lease.look().await?;
        let state = State::of(&metadata).ok_or(LeaseError::UnknownNote)?;
        let now = self.of.clock.now();
        let attempt = state.failures.saturating_add(1);
        let pause = self.plan.rules.pause_after(attempt, &*self.of.entropy);
        let next_attempt = now.saturating_add(pause);
        let current = metadata.stage(Stage::Current);
        let version = match step {
            Step::Watch => current,
            Step::Retire => state.old,
            Step::Reconcile | Step::Create => None,
            Step::Set | Step::Test | Step::Promote => seen.candidate,
        };
        let is_no = matches!(kind, Some(RotatorErrorKind::Refused | RotatorErrorKind::NotYet));
        let invents = self.rotator.profile().invents;
        let mut next = State { failures: attempt, retry_at: next_attempt, ..state.clone() };
        next.phase = match step {
            _ if state.phase != seen.phase => state.phase,
            // Nothing was made, or what was made is refused: another one, from the beginning.
            Step::Create if invents && is_no => Phase::Idle,
            Step::Set if kind == Some(RotatorErrorKind::Refused) => Phase::Idle,
            Step::Test if is_no && invents && current != seen.candidate => Phase::Idle,
            // It was not accepted in time: the target is told again.
            Step::Test if is_no && !invents => Phase::Setting,
            _ => state.phase,
        };
        if step == Step::Create && next.phase == Phase::Idle {
            // The number was not given to anything of ours.
            next.candidate = None;
        }
        // A rotation that has begun goes on, whatever the schedule says by then.
        next.is_asked |= next.phase == Phase::Idle && state.phase != Phase::Idle;
        let update = MetadataUpdate::new().annexes(AnnexUpdate::new().set(ANNEX, next.encode()));
        // Where this is not written, the next runner tries again sooner: no harm, but for the target's
        // patience, and a store that does not work stops it anyway.
        let _ = self.of.session.update_metadata_with(self.path, update, lease.expected()).await;
        self.tell(step, version, attempt, kind, next_attempt, source);
        Ok(Then::Wait(pause))
    }

    pub(crate) fn tell(
        &mut self,
        step: Step,
        version: Option<Version>,
        attempt: u32,
        kind: Option<RotatorErrorKind>,
        next_attempt: Timestamp,
        source: Box<dyn StdError + Send + Sync>,
    ) {
        let (path, rotator) = (self.path.clone(), self.rotator.name().to_owned());
        let failure = Failure { path, version, step, attempt, rotator, kind, next_attempt, source };
        self.events.push(Event::Failed(failure));
    }

    /// Writes the state, if the head is still the one that was seen. Whether it is written.
    pub(crate) async fn save(&self, lease: &Lease, step: Step, next: State) -> Result<bool, Stop> {
        let update = MetadataUpdate::new().annexes(AnnexUpdate::new().set(ANNEX, next.encode()));
        let expected = lease.expected();
        let written = self.of.session.update_metadata_with(self.path, update, expected).await;
        self.written(step, written).await
    }

    /// Whether a write under the lease took effect. Where it is not known, the next renewal of the lease
    /// settles it.
    pub(crate) async fn written<T>(
        &self,
        step: Step,
        written: Result<T, Error>,
    ) -> Result<bool, Stop> {
        match written {
            Ok(_) => Ok(true),
            Err(Error::Conflict(_)) => Ok(false),
            Err(Error::Indeterminate(doubt)) => match self.of.session.resolve(&doubt).await {
                Ok(outcome) => Ok(matches!(outcome, WriteOutcome::TookEffect(_))),
                Err(error) => Err(Stop::store(step, error)),
            },
            Err(error) => Err(Stop::store(step, error)),
        }
    }

    /// How long a call may take.
    fn call_limit(&self) -> Duration {
        self.of.lasts() / CALLS_IN_A_LEASE
    }

    /// Calls the target, if the lease outlasts the call.
    pub(crate) async fn call<T>(
        &self,
        lease: &Lease,
        step: Step,
        call: impl Future<Output = Result<T, RotatorError>>,
    ) -> Result<T, Stop> {
        let limit = self.call_limit();
        if lease.remaining() < limit {
            return Err(Stop::Renew);
        }
        let waited = async {
            for _ in 0..PARTS {
                self.of.timer.sleep(limit / PARTS).await;
            }
        };
        match within(waited, call).await {
            Some(answer) => answer.map_err(|error| Stop::target(step, error)),
            None => {
                let kind = RotatorErrorKind::Unreachable;
                let late = format!("no answer within {} ms", limit.as_millis());
                Err(Stop::target(step, RotatorError::new(kind, late)))
            }
        }
    }

    /// The secret at a stage; `None` where there is none that can be read.
    pub(crate) async fn secret(
        &self,
        metadata: &SecretMetadata,
        stage: Stage,
        step: Step,
    ) -> Result<Option<R::Secret>, Stop> {
        let shown = metadata.stage(stage).and_then(|version| find(metadata, version));
        let Some(shown) = shown.filter(|shown| shown.state == VersionState::Enabled) else {
            return Ok(None);
        };
        self.version(shown.version, step).await.map(Some)
    }

    pub(crate) async fn version(&self, version: Version, step: Step) -> Result<R::Secret, Stop> {
        let read = self.of.session.get(self.path.at(version)).await;
        read.map_err(|error| Stop::store(step, error))
    }

    /// The secret in force, without which nothing can be said of what works.
    pub(crate) async fn in_force(
        &self,
        metadata: &SecretMetadata,
        step: Step,
    ) -> Result<R::Secret, Stop> {
        match self.secret(metadata, Stage::Current, step).await? {
            Some(current) => Ok(current),
            None => {
                let nothing = "nothing that can be read is in force: promote or enable a version";
                Err(Stop::Failed { step, kind: None, source: nothing.into() })
            }
        }
    }
}

pub(crate) fn find(metadata: &SecretMetadata, version: Version) -> Option<&VersionMetadata> {
    metadata.versions.iter().find(|shown| shown.version == version)
}
