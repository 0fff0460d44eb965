//! One rotation, step by step: create, set, test, promote, watch, retire.
//!
//! Each step begins with the renewal of the lease and a fresh look at the secret, and ends with at most one
//! write, which is bound to what was seen. So whoever dies between two steps leaves what the next one goes
//! on from, and whoever wakes late finds that its write does not count. What such a one did at the target
//! meanwhile is made good: the version in force is tested, and set again.
//!
//! Where the target accepts one credential at a time, the candidate is put in force *before* it is set:
//! from the one moment to the other what is in force does not log in, but what was before does, and
//! `previous` says what that is. In the other order there would be a moment in which neither does.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use strongroom_core::{
    AnnexUpdate, MetadataUpdate, Rotator, RotatorError, RotatorErrorKind, SecretMetadata,
    SecretPath, Stage, Timestamp, Version, VersionMetadata, VersionState,
};
use strongroom_engine::{Error, WriteOptions, WriteOutcome};

use crate::coordinator::Coordinator;
use crate::event::{Event, Failure, Step};
use crate::exchange::copy;
use crate::lease::{Lease, LeaseError};
use crate::plan::Rules;
use crate::race::within;
use crate::state::{ANNEX, Phase, State};

/// One rotation of one secret, by one runner.
pub(crate) struct Machine<'a, R: Rotator> {
    pub(crate) of: &'a Coordinator,
    pub(crate) path: &'a SecretPath,
    pub(crate) rotator: &'a R,
    pub(crate) rules: &'a Rules,
    pub(crate) events: Vec<Event>,
    /// What the target was told since the lease was last seen to be held.
    told: Told,
}

/// What a target may have done, or may do yet, for a runner that has lost its lease.
#[derive(Debug, Default)]
struct Told {
    /// It was told of a credential.
    set: bool,
    /// It was asked to make one, when it had those.
    create: Option<Vec<String>>,
}

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

/// Why a rotation stands still.
#[derive(Debug)]
enum Stop {
    /// Somebody else works on it.
    Lost,
    /// The step failed.
    Failed { step: Step, kind: Option<RotatorErrorKind>, source: Box<dyn StdError + Send + Sync> },
}

impl Stop {
    fn store(step: Step, error: Error) -> Self {
        Self::Failed { step, kind: None, source: Box::new(error) }
    }

    fn target(step: Step, error: RotatorError) -> Self {
        Self::Failed { step, kind: Some(error.kind()), source: Box::new(error) }
    }
}

impl<'a, R: Rotator> Machine<'a, R> {
    pub(crate) fn new(
        of: &'a Coordinator,
        path: &'a SecretPath,
        rotator: &'a R,
        rules: &'a Rules,
    ) -> Self {
        Self { of, path, rotator, rules, events: Vec::new(), told: Told::default() }
    }

    /// Does what can be done now, and gives the lease back.
    pub(crate) async fn run(
        &mut self,
        mut lease: Lease,
        due: &Due<'_>,
    ) -> Result<Then, LeaseError> {
        loop {
            let metadata = match lease.renew().await {
                Ok(metadata) => metadata,
                Err(LeaseError::Lost) => return self.lost().await,
                Err(error) => return Err(error),
            };
            self.told = Told::default();
            let state = State::of(&metadata).ok_or(LeaseError::UnknownNote)?;
            let next = match self.step(&mut lease, &metadata, &state, due).await {
                Ok(next) => next,
                Err(Stop::Lost) => return self.lost().await,
                Err(Stop::Failed { step, kind, source }) => {
                    self.failed(&lease, &state, step, kind, source).await
                }
            };
            if next != Then::Step {
                return match lease.release().await {
                    Ok(()) => Ok(next),
                    Err(LeaseError::Lost) => self.lost().await,
                    Err(error) => Err(error),
                };
            }
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
        if let Some((version, at)) = state.dying
            && now >= at
        {
            return self.destroy(lease, metadata, state, version).await;
        }
        // A time beyond the longest pause was written under a clock that ran ahead.
        let left = state.retry_at.saturating_since(now);
        if !left.is_zero() && left <= self.rules.longest_pause() {
            return Ok(Then::Wait(left));
        }
        if let Some(reported) = state.reported {
            return self.look_into(lease, metadata, state, reported, now).await;
        }
        match state.phase {
            Phase::Idle if state.failures > 0 || state.is_asked || due(metadata, now) => {
                self.begin(lease, metadata, state, now).await
            }
            Phase::Idle => Ok(Then::Idle),
            Phase::Creating => self.create(lease, metadata, state, now).await,
            Phase::Setting | Phase::Testing => {
                let pending = metadata.stage(Stage::Pending);
                let current = metadata.stage(Stage::Current);
                match state.candidate.filter(|version| [pending, current].contains(&Some(*version)))
                {
                    Some(candidate) if state.phase == Phase::Setting => {
                        self.set(lease, metadata, state, candidate, now).await
                    }
                    Some(candidate) => self.test(lease, metadata, state, candidate, now).await,
                    // Somebody put another one in its place, or purged it.
                    None => {
                        self.save(lease, Step::Set, state.entering(Phase::Idle, now)).await?;
                        Ok(Then::Step)
                    }
                }
            }
            Phase::Watching => self.watch(lease, metadata, state, now).await,
            Phase::Retiring => self.retire(lease, metadata, state, now).await,
        }
    }

    /// Somebody says that a version does not work. Where it is the one in force, and the target refuses it,
    /// the next one is made; one that just came into force is set again.
    async fn look_into(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        reported: Version,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let mut next = State { reported: None, checked: now, ..state.clone() };
        if metadata.stage(Stage::Current) == Some(reported) {
            match state.phase {
                Phase::Idle => {
                    let current = self.secret(metadata, Stage::Current, Step::Watch).await?;
                    next.is_asked |= match current {
                        None => true,
                        Some(current) => {
                            match self.call(Step::Watch, self.rotator.test(&current)).await {
                                Ok(()) => false,
                                Err(Stop::Failed {
                                    kind: Some(RotatorErrorKind::Refused), ..
                                }) => true,
                                Err(stop) => return Err(stop),
                            }
                        }
                    };
                }
                Phase::Watching | Phase::Retiring => {
                    self.repair(metadata, Step::Watch).await?;
                }
                // Another one is on its way.
                Phase::Creating | Phase::Setting | Phase::Testing => {}
            }
        }
        self.save(lease, Step::Watch, next).await?;
        Ok(Then::Step)
    }

    /// A rotation begins. Where the target makes credentials, what it has is written down before it is
    /// asked for another one: whatever is there beyond that was made for somebody who died.
    async fn begin(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let profile = self.rotator.profile();
        let mut next = state.entering(Phase::Creating, now);
        // Until something works, it is one failure after the other.
        next.failures = state.failures;
        if profile.invents {
            let mut ids = self.call(Step::Reconcile, self.rotator.ids()).await?;
            // One that the target made and did not accept in time.
            let pending = self.secret(metadata, Stage::Pending, Step::Reconcile).await?;
            if let Some(id) = pending.and_then(|pending| self.rotator.id_of(&pending))
                && ids.contains(&id)
            {
                self.call(Step::Reconcile, self.rotator.remove(&id)).await?;
                ids.retain(|other| *other != id);
            }
            if !State::can_know(&ids) || ids.len() >= usize::from(profile.holds.get()) {
                let found = format!(
                    "the target has {} credentials and no room for another one: remove those that the \
                     store does not know",
                    ids.len()
                );
                let error = RotatorError::new(RotatorErrorKind::Refused, found);
                return Err(Stop::target(Step::Reconcile, error));
            }
            next.known = ids;
        }
        self.save(lease, Step::Create, next).await?;
        Ok(Then::Step)
    }

    async fn create(
        &mut self,
        lease: &mut Lease,
        metadata: &SecretMetadata,
        state: &State,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let invents = self.rotator.profile().invents;
        if invents {
            let ids = self.call(Step::Reconcile, self.rotator.ids()).await?;
            for orphan in ids.iter().filter(|id| !state.known.contains(id)) {
                self.call(Step::Reconcile, self.rotator.remove(orphan)).await?;
            }
        }
        let current = self.secret(metadata, Stage::Current, Step::Create).await?;
        self.told.create = invents.then(|| state.known.clone());
        let secret = self.call(Step::Create, self.rotator.create(current.as_ref())).await?;
        let phase = if invents { Phase::Testing } else { Phase::Setting };
        let next = State {
            candidate: Some(metadata.next_version),
            failures: state.failures,
            ..state.entering(phase, now)
        };
        let (identifiers, value) = strongroom_core::SecretKind::into_parts(secret);
        loop {
            let secret = copy::<R::Secret>(&identifiers, &value)
                .map_err(|error| Stop::store(Step::Create, error))?;
            let options = WriteOptions::new()
                .expecting(lease.expected())
                .pending()
                .annexes(AnnexUpdate::new().set(ANNEX, next.encode()));
            match self.of.session.put_with(self.path, secret, options).await {
                // What the target made is kept through a change that has nothing to do with it.
                Err(Error::Conflict(_)) if invents => {
                    let metadata = lease.look().await.map_err(|error| lost(Step::Create, error))?;
                    if Some(metadata.next_version) != next.candidate {
                        return Ok(Then::Step);
                    }
                }
                put => {
                    self.written(Step::Create, put).await?;
                    return Ok(Then::Step);
                }
            }
        }
    }

    async fn set(
        &mut self,
        lease: &mut Lease,
        metadata: &SecretMetadata,
        state: &State,
        candidate: Version,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let is_single = self.rotator.profile().holds.get() == 1;
        let is_in_force = metadata.stage(Stage::Current) == Some(candidate);
        let working = if is_in_force { Stage::Previous } else { Stage::Current };
        let working = self.secret(metadata, working, Step::Set).await?;
        if is_single && !is_in_force {
            // Not ahead of a target that cannot be told of it now.
            if let Some(working) = &working
                && let Err(Stop::Failed {
                    kind: Some(RotatorErrorKind::Unreachable), source, ..
                }) = self.call(Step::Set, self.rotator.test(working)).await
            {
                let kind = Some(RotatorErrorKind::Unreachable);
                return Err(Stop::Failed { step: Step::Set, kind, source });
            }
            return self.promote(lease, candidate).await;
        }
        let next = self.version(candidate, Step::Set).await?;
        self.told.set = true;
        match self.call(Step::Set, self.rotator.set(&next, working.as_ref())).await {
            Ok(()) => {
                // Until it logs in, it is one failure after the other.
                let next =
                    State { failures: state.failures, ..state.entering(Phase::Testing, now) };
                self.save(lease, Step::Set, next).await?;
                Ok(Then::Step)
            }
            Err(Stop::Failed { step, kind: Some(RotatorErrorKind::Refused), source }) => {
                // What was in force before is again. The candidate will not be.
                if let Some(before) = metadata.stage(Stage::Previous).filter(|_| is_in_force) {
                    self.promote(lease, before).await?;
                    lease.look().await.map_err(|error| lost(step, error))?;
                }
                Err(Stop::Failed { step, kind: Some(RotatorErrorKind::Refused), source })
            }
            Err(stop) => Err(stop),
        }
    }

    async fn test(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        candidate: Version,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let profile = self.rotator.profile();
        let secret = self.version(candidate, Step::Test).await?;
        match self.call(Step::Test, self.rotator.test(&secret)).await {
            Ok(()) if metadata.stage(Stage::Current) == Some(candidate) => {
                let old = metadata.stage(Stage::Previous);
                let next = State {
                    old,
                    candidate: None,
                    is_asked: false,
                    ..state.entering(Phase::Watching, now)
                };
                if self.save(lease, Step::Promote, next).await? {
                    let (path, version) = (self.path.clone(), candidate);
                    self.events.push(Event::InForce { path, version });
                }
                Ok(Then::Step)
            }
            Ok(()) => self.promote(lease, candidate).await,
            Err(Stop::Failed { kind: Some(kind), source, .. })
                if kind != RotatorErrorKind::Unreachable =>
            {
                if now.saturating_since(state.since) < profile.settles {
                    return Ok(Then::Wait(self.rules.look_again(profile.settles)));
                }
                Err(Stop::Failed { step: Step::Test, kind: Some(kind), source })
            }
            Err(stop) => Err(stop),
        }
    }

    async fn promote(&mut self, lease: &Lease, candidate: Version) -> Result<Then, Stop> {
        let which = self.path.at(candidate);
        let promoted = self.of.session.promote_with(which, lease.expected()).await;
        self.written(Step::Promote, promoted).await?;
        Ok(Then::Step)
    }

    /// What is in force is tested again, once a runner that woke late would have done its harm.
    async fn watch(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let left = self.rules.grace.saturating_sub(now.saturating_since(state.since));
        if !left.is_zero() {
            return Ok(Then::Wait(left));
        }
        if self.repair(metadata, Step::Watch).await? {
            // What was set late may be set late once more.
            self.save(lease, Step::Watch, state.entering(Phase::Watching, now)).await?;
        } else {
            self.save(lease, Step::Watch, state.entering(Phase::Retiring, now)).await?;
        }
        Ok(Then::Step)
    }

    async fn retire(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let idle = State { old: None, candidate: None, ..state.entering(Phase::Idle, now) };
        let stages = [Stage::Current, Stage::Pending].map(|stage| metadata.stage(stage));
        let old = state.old.filter(|old| !stages.contains(&Some(*old)));
        let Some(old) = old.and_then(|old| find(metadata, old)) else {
            self.save(lease, Step::Retire, idle).await?;
            return Ok(Then::Step);
        };
        match old.state {
            VersionState::Enabled if old.holds.iter().any(|hold| hold.until > now) => {
                Ok(Then::Wait(self.rules.longest_pause()))
            }
            VersionState::Enabled => {
                if self.rotator.profile().holds.get() > 1 {
                    let revoked = self.version(old.version, Step::Retire).await?;
                    let current = self.secret(metadata, Stage::Current, Step::Retire).await?;
                    let Some(current) = current else { return Ok(Then::Idle) };
                    self.call(Step::Retire, self.rotator.revoke(&revoked, &current)).await?;
                }
                let which = self.path.at(old.version);
                let disabled = self.of.session.disable_with(which, lease.expected()).await;
                self.written(Step::Retire, disabled).await?;
                Ok(Then::Step)
            }
            VersionState::Disabled => {
                let (path, version) = (self.path.clone(), old.version);
                let dies = now.saturating_add(self.rules.destroy_after);
                let next = State { dying: Some((version, dies)), ..idle };
                if self.save(lease, Step::Retire, next).await? {
                    self.events.push(Event::Retired { path, version });
                }
                Ok(Then::Step)
            }
            VersionState::Deleted | VersionState::Destroyed => {
                self.save(lease, Step::Retire, idle).await?;
                Ok(Then::Step)
            }
        }
    }

    async fn destroy(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        version: Version,
    ) -> Result<Then, Stop> {
        let now = self.of.clock.now();
        let shown = find(metadata, version);
        // Somebody has use for it after all.
        let is_wanted = shown.is_none_or(|shown| shown.state != VersionState::Disabled);
        let next = match shown {
            _ if is_wanted => State { dying: None, ..state.clone() },
            Some(shown) if shown.holds.iter().any(|hold| hold.until > now) => {
                let later = now.saturating_add(self.rules.longest_pause());
                State { dying: Some((version, later)), ..state.clone() }
            }
            _ => {
                let which = self.path.at(version);
                let destroyed = self.of.session.destroy_with(which, lease.expected()).await;
                if self.written(Step::Retire, destroyed).await? {
                    self.events.push(Event::Destroyed { path: self.path.clone(), version });
                }
                return Ok(Then::Step);
            }
        };
        self.save(lease, Step::Retire, next).await?;
        Ok(Then::Step)
    }

    /// Tests what is in force, and sets it again where the target refuses it. Whether it did.
    async fn repair(&mut self, metadata: &SecretMetadata, step: Step) -> Result<bool, Stop> {
        let Some(version) = metadata.stage(Stage::Current) else { return Ok(false) };
        let Some(current) = self.secret(metadata, Stage::Current, step).await? else {
            return Ok(false);
        };
        match self.call(step, self.rotator.test(&current)).await {
            Ok(()) => return Ok(false),
            Err(Stop::Failed { kind: Some(RotatorErrorKind::Refused), .. })
                if !self.rotator.profile().invents => {}
            Err(stop) => return Err(stop),
        }
        self.call(step, self.rotator.set(&current, None)).await?;
        self.events.push(Event::Repaired { path: self.path.clone(), version });
        Ok(true)
    }

    /// Somebody else has the lease, or had it. Where the target was told of something meanwhile, that may
    /// have come after what the other one told it: what is in force is tested, and set again; and what
    /// was made for this runner alone is removed.
    async fn lost(&mut self) -> Result<Then, LeaseError> {
        let told = std::mem::take(&mut self.told);
        if !told.set && told.create.is_none() {
            return Ok(Then::Wait(Duration::ZERO));
        }
        loop {
            let mut lease = self.of.lease(self.path).await?;
            let metadata = match lease.renew().await {
                Err(LeaseError::Lost) => continue,
                renewed => renewed?,
            };
            let made_good = self.make_good(&metadata, &told).await;
            match lease.renew().await {
                Err(LeaseError::Lost) => continue,
                renewed => renewed?,
            };
            let then = match made_good {
                Ok(()) | Err(Stop::Lost) => Then::Wait(Duration::ZERO),
                Err(Stop::Failed { step, kind, source }) => {
                    let state = State::of(&metadata).ok_or(LeaseError::UnknownNote)?;
                    self.failed(&lease, &state, step, kind, source).await
                }
            };
            lease.release().await?;
            return Ok(then);
        }
    }

    async fn make_good(&mut self, metadata: &SecretMetadata, told: &Told) -> Result<(), Stop> {
        if told.set {
            self.repair(metadata, Step::Watch).await?;
        }
        let Some(known) = &told.create else { return Ok(()) };
        // Nobody else is being made one now. What the target has beyond what it had before, and what is
        // stored, came late for this runner.
        let mut stored = known.clone();
        for stage in [Stage::Current, Stage::Pending, Stage::Previous] {
            let secret = self.secret(metadata, stage, Step::Reconcile).await?;
            stored.extend(secret.and_then(|secret| self.rotator.id_of(&secret)));
        }
        for id in self.call(Step::Reconcile, self.rotator.ids()).await? {
            if !stored.contains(&id) {
                self.call(Step::Reconcile, self.rotator.remove(&id)).await?;
            }
        }
        Ok(())
    }

    /// Writes down that a step failed, and tells of it.
    async fn failed(
        &mut self,
        lease: &Lease,
        state: &State,
        step: Step,
        kind: Option<RotatorErrorKind>,
        source: Box<dyn StdError + Send + Sync>,
    ) -> Then {
        let now = self.of.clock.now();
        let attempt = state.failures.saturating_add(1);
        let pause = self.rules.pause_after(attempt, &*self.of.entropy);
        let next_attempt = now.saturating_add(pause);
        // What the target refused is made anew; what it did not accept in time, it is told again.
        let phase = match (step, kind) {
            (Step::Set, Some(RotatorErrorKind::Refused)) => Phase::Idle,
            (Step::Test, Some(RotatorErrorKind::Refused | RotatorErrorKind::NotYet)) => {
                if self.rotator.profile().invents { Phase::Idle } else { Phase::Setting }
            }
            _ => state.phase,
        };
        let next = State { failures: attempt, retry_at: next_attempt, phase, ..state.clone() };
        let update = MetadataUpdate::new().annexes(AnnexUpdate::new().set(ANNEX, next.encode()));
        // Where this is not written, the next runner tries again sooner: no harm, but for the target's
        // patience, and a store that does not work stops it anyway.
        let _ = self.of.session.update_metadata_with(self.path, update, lease.expected()).await;
        self.events.push(Event::Failed(Failure {
            path: self.path.clone(),
            version: state.candidate,
            step,
            attempt,
            rotator: self.rotator.name().to_owned(),
            kind,
            next_attempt,
            source,
        }));
        Then::Wait(pause)
    }

    /// Writes the state, if the head is still the one that was seen. Whether it is written.
    async fn save(&self, lease: &Lease, step: Step, next: State) -> Result<bool, Stop> {
        let update = MetadataUpdate::new().annexes(AnnexUpdate::new().set(ANNEX, next.encode()));
        let written =
            self.of.session.update_metadata_with(self.path, update, lease.expected()).await;
        self.written(step, written).await
    }

    /// Whether a write under the lease took effect. Where it is not known, the next renewal of the lease
    /// settles it.
    async fn written<T>(&self, step: Step, written: Result<T, Error>) -> Result<bool, Stop> {
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

    /// Calls the target, for a third of a lease at most: the lease outlasts the calls of a step.
    async fn call<T>(
        &self,
        step: Step,
        call: impl Future<Output = Result<T, RotatorError>>,
    ) -> Result<T, Stop> {
        let limit = self.of.timer.sleep(self.of.lasts() / 3);
        match within(limit, call).await {
            Some(answer) => answer.map_err(|error| Stop::target(step, error)),
            None => {
                let kind = RotatorErrorKind::Unreachable;
                let late = RotatorError::new(kind, "no answer within a third of the lease");
                Err(Stop::target(step, late))
            }
        }
    }

    /// The secret at a stage; `None` where there is none that can be read.
    async fn secret(
        &self,
        metadata: &SecretMetadata,
        stage: Stage,
        step: Step,
    ) -> Result<Option<R::Secret>, Stop> {
        let readable = metadata.stage(stage).and_then(|version| find(metadata, version));
        let Some(version) = readable.filter(|shown| shown.state == VersionState::Enabled) else {
            return Ok(None);
        };
        self.version(version.version, step).await.map(Some)
    }

    async fn version(&self, version: Version, step: Step) -> Result<R::Secret, Stop> {
        let read = self.of.session.get(self.path.at(version)).await;
        read.map_err(|error| Stop::store(step, error))
    }
}

fn find(metadata: &SecretMetadata, version: Version) -> Option<&VersionMetadata> {
    metadata.versions.iter().find(|shown| shown.version == version)
}

fn lost(step: Step, error: LeaseError) -> Stop {
    match error {
        LeaseError::Lost => Stop::Lost,
        error => Stop::Failed { step, kind: None, source: Box::new(error) },
    }
}
