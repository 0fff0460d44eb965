//! The steps of a rotation: create, set, test, promote, watch, retire.
//!
//! Where the target accepts one credential at a time, the candidate is put in force *before* it is set:
//! from the one moment to the other what is in force does not log in, but what was before does, and
//! `previous` says what that is. In the other order there would be a moment in which neither does.
//!
//! Little is removed at a target: what the version before was, what was made and not stored, and one key
//! beyond those that were there when another one was asked for. What others make by hand at just that
//! time looks the same as the last.

use std::time::Duration;

use strongroom_core::{
    AnnexUpdate, Rotator, RotatorErrorKind, SecretKind, SecretMetadata, Stage, Timestamp, Version,
    VersionState,
};
use strongroom_engine::{Error, WriteOptions};

use crate::event::{Event, Step};
use crate::exchange::copy;
use crate::lease::Lease;
use crate::machine::{Machine, Stop, Then, find};
use crate::state::{ANNEX, Phase, State};

/// Until the next try of what somebody else's change was in the way of.
const A_MOMENT: Duration = Duration::from_secs(1);

impl<R: Rotator> Machine<'_, R> {
    /// A rotation begins. Where the target makes credentials, what it has is written down before it is
    /// asked for another one: one that is there beyond that was made for somebody who died.
    pub(crate) async fn begin(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let profile = self.rotator.profile();
        let mut next = State {
            candidate: Some(metadata.next_version),
            // Until something works, it is one failure after the other.
            failures: state.failures,
            is_asked: true,
            ..state.entering(Phase::Creating, now)
        };
        if profile.invents {
            let mut ids = self.call(lease, Step::Reconcile, self.rotator.ids()).await?;
            self.remove_failed_candidate(lease, metadata, state, &mut ids).await?;
            if !State::can_know(&ids) {
                let found = "the target has ids that cannot be kept: at most 16, of 1 to 128 bytes";
                return Err(Stop::refused(Step::Reconcile, found));
            }
            if ids.len() >= usize::from(profile.holds.get()) {
                let found = format!(
                    "the target has {} credentials and no room for another one: remove those that the \
                     store does not know",
                    ids.len()
                );
                return Err(Stop::refused(Step::Reconcile, found));
            }
            next.known = ids;
        }
        self.save(lease, Step::Create, next).await?;
        Ok(Then::Step)
    }

    /// One that the target made for the last attempt, and did not accept in time.
    async fn remove_failed_candidate(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        ids: &mut Vec<String>,
    ) -> Result<(), Stop> {
        let pending = metadata.stage(Stage::Pending);
        if pending.is_none() || pending != state.candidate {
            return Ok(());
        }
        let failed = self.secret(metadata, Stage::Pending, Step::Reconcile).await?;
        let Some(id) = failed.and_then(|failed| self.rotator.id_of(&failed)) else { return Ok(()) };
        for stage in [Stage::Current, Stage::Previous] {
            let used = self.secret(metadata, stage, Step::Reconcile).await?;
            if used.and_then(|used| self.rotator.id_of(&used)).as_deref() == Some(&*id) {
                return Ok(());
            }
        }
        if ids.contains(&id) {
            self.call(lease, Step::Reconcile, self.rotator.remove(&id)).await?;
            ids.retain(|other| *other != id);
        }
        Ok(())
    }

    pub(crate) async fn create(
        &mut self,
        lease: &mut Lease,
        metadata: &SecretMetadata,
        state: &State,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        if Some(metadata.next_version) != state.candidate {
            // Somebody put a version meanwhile: what the target had before says nothing of that one.
            let next = State { candidate: None, ..state.entering(Phase::Idle, now) };
            self.save(lease, Step::Create, next).await?;
            return Ok(Then::Step);
        }
        let invents = self.rotator.profile().invents;
        if invents {
            self.remove_orphan(lease, metadata, state).await?;
        }
        let current = self.secret(metadata, Stage::Current, Step::Create).await?;
        let create = self.rotator.create(current.as_ref());
        let secret = self.call(lease, Step::Create, create).await?;
        if invents {
            self.told.made = self.rotator.id_of(&secret);
        }
        let phase = if invents { Phase::Testing } else { Phase::Setting };
        let mut next = State { failures: state.failures, ..state.entering(phase, now) };
        let (identifiers, value) = secret.into_parts();
        loop {
            let secret = copy::<R::Secret>(&identifiers, &value)
                .map_err(|error| Stop::store(Step::Create, error))?;
            let options = WriteOptions::new()
                .expecting(lease.expected())
                .pending()
                .annexes(AnnexUpdate::new().set(ANNEX, next.encode()));
            let put = self.of.session.put_with(self.path, secret, options).await;
            if !matches!(put, Err(Error::Conflict(_))) {
                if self.written(Step::Create, put).await? {
                    self.told.made = None;
                }
                return Ok(Then::Step);
            }
            // What is made is kept through a change that has nothing to do with it.
            let metadata = lease.look().await.map_err(|error| Stop::lease(Step::Create, error))?;
            if Some(metadata.next_version) != next.candidate {
                return self.drop_made(lease).await;
            }
            let Some(fresh) = State::of(&metadata) else { return self.drop_made(lease).await };
            next.is_asked = fresh.is_asked;
            next.reported = fresh.reported;
        }
    }

    /// What was made has no place any more: it goes, and the rotation begins again.
    async fn drop_made(&mut self, lease: &Lease) -> Result<Then, Stop> {
        if let Some(made) = self.told.made.clone() {
            self.call(lease, Step::Reconcile, self.rotator.remove(&made)).await?;
            self.told.made = None;
        }
        Ok(Then::Step)
    }

    /// The one credential that the target has beyond those that it had before it was asked, if an answer
    /// was lost. Of two, one is somebody else's.
    async fn remove_orphan(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
    ) -> Result<(), Stop> {
        let ids = self.call(lease, Step::Reconcile, self.rotator.ids()).await?;
        let unknown: Vec<_> = ids.iter().filter(|id| !state.known.contains(id)).collect();
        match unknown[..] {
            [] => Ok(()),
            [orphan] if !self.has_stored(metadata, orphan).await? => {
                self.call(lease, Step::Reconcile, self.rotator.remove(orphan)).await
            }
            _ => Err(Stop::refused(
                Step::Reconcile,
                "the target has new credentials, of which one may have been made for a process that \
                 died: remove those that the store does not know",
            )),
        }
    }

    pub(crate) async fn set(
        &mut self,
        lease: &mut Lease,
        metadata: &SecretMetadata,
        state: &State,
        candidate: Version,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let is_single = self.rotator.profile().holds.get() == 1;
        let is_in_force = metadata.stage(Stage::Current) == Some(candidate);
        if is_single && !is_in_force {
            return self.make_way(lease, metadata, candidate).await;
        }
        let working = if is_in_force { Stage::Previous } else { Stage::Current };
        let working = self.secret(metadata, working, Step::Set).await?;
        let next = self.version(candidate, Step::Set).await?;
        self.told.set = true;
        match self.call(lease, Step::Set, self.rotator.set(&next, working.as_ref())).await {
            Ok(()) => {}
            Err(Stop::Failed { step, kind: Some(RotatorErrorKind::Refused), source }) => {
                // It may have taken it when it was told before.
                if !self.works(lease, &next).await? {
                    // `working` is what was in force before, if it can be read and so be in force again.
                    let before = metadata.stage(Stage::Previous).filter(|_| working.is_some());
                    if let Some(before) = before.filter(|_| is_in_force)
                        && !self.promote(lease, before).await?
                    {
                        return Ok(Then::Step);
                    }
                    return Err(Stop::Failed {
                        step,
                        kind: Some(RotatorErrorKind::Refused),
                        source,
                    });
                }
            }
            Err(stop) => return Err(stop),
        }
        // Until it logs in, it is one failure after the other.
        let next = State { failures: state.failures, ..state.entering(Phase::Testing, now) };
        self.save(lease, Step::Set, next).await?;
        Ok(Then::Step)
    }

    /// Puts the candidate in force ahead of the target, which holds one credential. What is in force then
    /// becomes `previous`, and has to work until the target is told.
    async fn make_way(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        candidate: Version,
    ) -> Result<Then, Stop> {
        let is_good = match self.secret(metadata, Stage::Current, Step::Set).await? {
            Some(current) => self.works(lease, &current).await?,
            None => false,
        };
        if !is_good {
            // It may be on its way to the target.
            let left = self.rotator.profile().settles.saturating_sub(self.seen_for());
            if !left.is_zero() {
                return Ok(Then::Wait(left));
            }
            // What was before may be what works, and would be nowhere then.
            let previous = metadata.stage(Stage::Previous);
            let before = self.secret(metadata, Stage::Previous, Step::Set).await?;
            if let (Some(version), Some(before)) = (previous, before)
                && self.works(lease, &before).await?
            {
                self.promote(lease, version).await?;
                return Ok(Then::Step);
            }
        }
        self.promote(lease, candidate).await?;
        Ok(Then::Step)
    }

    /// Whether the target accepts it, if that can be told now.
    async fn works(&self, lease: &Lease, secret: &R::Secret) -> Result<bool, Stop> {
        match self.call(lease, Step::Set, self.rotator.test(secret)).await {
            Ok(()) => Ok(true),
            Err(Stop::Failed { kind: Some(kind), .. }) if kind != RotatorErrorKind::Unreachable => {
                Ok(false)
            }
            Err(stop) => Err(stop),
        }
    }

    pub(crate) async fn test(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        candidate: Version,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let profile = self.rotator.profile();
        let secret = self.version(candidate, Step::Test).await?;
        match self.call(lease, Step::Test, self.rotator.test(&secret)).await {
            Ok(()) if metadata.stage(Stage::Current) == Some(candidate) => {
                let before = self.secret(metadata, Stage::Previous, Step::Test).await?;
                let known = before.and_then(|before| self.rotator.id_of(&before));
                let next = State {
                    old: metadata.stage(Stage::Previous),
                    candidate: None,
                    is_asked: false,
                    known: known.into_iter().collect(),
                    ..state.entering(Phase::Watching, now)
                };
                if self.save(lease, Step::Promote, next).await? {
                    let (path, version) = (self.path.clone(), candidate);
                    self.events.push(Event::InForce { path, version });
                }
                Ok(Then::Step)
            }
            Ok(()) => {
                self.promote(lease, candidate).await?;
                Ok(Then::Step)
            }
            Err(Stop::Failed { kind: Some(kind), source, .. })
                if kind != RotatorErrorKind::Unreachable =>
            {
                if self.seen_for() < profile.settles {
                    let pause = self.plan.rules.look_again(profile.settles);
                    // For the others, too: many logins with what is not accepted yet lock accounts.
                    let next = State { retry_at: now.saturating_add(pause), ..state.clone() };
                    self.save(lease, Step::Test, next).await?;
                    return Ok(Then::Wait(pause));
                }
                Err(Stop::Failed { step: Step::Test, kind: Some(kind), source })
            }
            Err(stop) => Err(stop),
        }
    }

    /// Whether it is in force now, by this call.
    async fn promote(&mut self, lease: &Lease, version: Version) -> Result<bool, Stop> {
        let which = self.path.at(version);
        let promoted = self.of.session.promote_with(which, lease.expected()).await;
        self.written(Step::Promote, promoted).await
    }

    /// What is in force is tested again, once a runner that woke late would have done its harm.
    pub(crate) async fn watch(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let left = self.plan.rules.grace.saturating_sub(self.seen_for());
        if !left.is_zero() {
            return Ok(Then::Wait(left));
        }
        if self.repair(lease, metadata, Step::Watch).await? {
            // What was set late may be set late once more.
            self.save(lease, Step::Watch, state.entering(Phase::Watching, now)).await?;
            return Ok(Then::Wait(A_MOMENT));
        }
        self.save(lease, Step::Watch, state.entering(Phase::Retiring, now)).await?;
        Ok(Then::Step)
    }

    pub(crate) async fn retire(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let idle = State { old: None, candidate: None, ..state.entering(Phase::Idle, now) };
        let stages = [Stage::Current, Stage::Pending].map(|stage| metadata.stage(stage));
        let Some(version) = state.old.filter(|old| !stages.contains(&Some(*old))) else {
            self.save(lease, Step::Retire, idle).await?;
            return Ok(Then::Step);
        };
        let shown = find(metadata, version);
        if shown.is_some_and(|shown| shown.holds.iter().any(|hold| hold.until > now)) {
            let held = "a hold keeps the version before: release it, or wait for its end";
            return Err(Stop::Failed { step: Step::Retire, kind: None, source: held.into() });
        }
        let is_enabled = shown.is_some_and(|shown| shown.state == VersionState::Enabled);
        if state.phase == Phase::Retiring {
            if self.rotator.profile().holds.get() > 1 {
                self.revoke(lease, metadata, state, version, is_enabled).await?;
            } else {
                // It is gone from the target; what is in force has to be readable all the same.
                self.in_force(metadata, Step::Retire).await?;
            }
            self.save(lease, Step::Retire, state.entering(Phase::Disabling, now)).await?;
            return Ok(Then::Step);
        }
        if is_enabled {
            let disabled = self.of.session.disable_with(self.path.at(version), lease.expected());
            self.written(Step::Retire, disabled.await).await?;
            return Ok(Then::Step);
        }
        let is_disabled = shown.is_some_and(|shown| shown.state == VersionState::Disabled);
        let dies = now.saturating_add(self.plan.rules.destroy_after);
        let next = State { dying: is_disabled.then_some((version, dies)), ..idle };
        if self.save(lease, Step::Retire, next).await? {
            self.events.push(Event::Retired { path: self.path.clone(), version });
        }
        Ok(Then::Step)
    }

    /// Makes the target forget the version that was in force before.
    async fn revoke(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        version: Version,
        is_enabled: bool,
    ) -> Result<(), Stop> {
        let current = self.in_force(metadata, Step::Retire).await?;
        if is_enabled {
            let old = self.version(version, Step::Retire).await?;
            // What does not log in any more is not revoked: its account may be in use again.
            if self.is_same(metadata, version).await? || !self.works(lease, &old).await? {
                return Ok(());
            }
            self.told.set = true;
            return self.call(lease, Step::Retire, self.rotator.revoke(&old, &current)).await;
        }
        // Somebody disabled, deleted or destroyed it: its id may be known, its value is not.
        match state.known.first() {
            Some(id) if self.rotator.id_of(&current).as_ref() != Some(id) => {
                self.call(lease, Step::Retire, self.rotator.remove(id)).await
            }
            _ => {
                let now = self.of.clock.now();
                let source = "the version before was disabled or destroyed by hand, so that it cannot be \
                              read and is not revoked: revoke it at the target";
                self.tell(Step::Retire, Some(version), 1, None, now, source.into());
                Ok(())
            }
        }
    }

    /// Whether what is in force is the same credential under another number: somebody put it once more.
    async fn is_same(&self, metadata: &SecretMetadata, old: Version) -> Result<bool, Stop> {
        let current = self.in_force(metadata, Step::Retire).await?;
        let old = self.version(old, Step::Retire).await?;
        let ids = (self.rotator.id_of(&old), self.rotator.id_of(&current));
        if let (Some(old), Some(current)) = ids {
            return Ok(old == current);
        }
        let ((old_ids, old), (current_ids, current)) = (old.into_parts(), current.into_parts());
        let json = |identifiers| serde_json::to_value(identifiers).ok();
        Ok(json(&old_ids) == json(&current_ids) && old.ct_eq(&current))
    }

    pub(crate) async fn destroy(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        version: Version,
    ) -> Result<Then, Stop> {
        let now = self.of.clock.now();
        let stages = [Stage::Current, Stage::Pending].map(|stage| metadata.stage(stage));
        let shown = find(metadata, version).filter(|shown| {
            // Otherwise somebody has use for it after all.
            shown.state == VersionState::Disabled && !stages.contains(&Some(version))
        });
        let later = now.saturating_add(self.plan.rules.longest_pause());
        let dying = match shown {
            None => None,
            Some(shown) if shown.holds.iter().any(|hold| hold.until > now) => {
                Some((version, later))
            }
            Some(_) => {
                let destroyed =
                    self.of.session.destroy_with(self.path.at(version), lease.expected());
                match self.written(Step::Retire, destroyed.await).await {
                    Ok(true) => {
                        self.events.push(Event::Destroyed { path: self.path.clone(), version });
                        return Ok(Then::Step);
                    }
                    // A hold by another clock, or somebody else's change.
                    Ok(false) => return Ok(Then::Wait(A_MOMENT)),
                    // It keeps nothing else from being done.
                    Err(Stop::Failed { step, kind, source }) => {
                        self.tell(step, Some(version), 1, kind, later, source);
                        Some((version, later))
                    }
                    Err(stop) => return Err(stop),
                }
            }
        };
        self.save(lease, Step::Retire, State { dying, ..state.clone() }).await?;
        Ok(Then::Step)
    }
}
