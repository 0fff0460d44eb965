//! What a lease cannot keep a runner from: telling the target something late. It is made good.

use strongroom_core::{Rotator, RotatorErrorKind, SecretMetadata, Stage, Timestamp, Version};

use crate::event::{Event, Step};
use crate::lease::Lease;
use crate::machine::{Machine, Stop, Then};
use crate::state::{Phase, State};

/// What a target was told since the lease was last seen to be held, and may do yet. It outlives the
/// rotation that it is of, until it is made good.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// It was told to accept something, or to forget something.
    pub(crate) set: bool,
    /// It made a credential, which nothing but this process knows of.
    pub(crate) made: Option<String>,
}

impl Told {
    pub(crate) fn is_nothing(&self) -> bool {
        !self.set && self.made.is_none()
    }
}

impl<R: Rotator> Machine<'_, R> {
    /// Somebody else may have had the lease since the target was told of something: what is in force is
    /// tested, and set again; and what was made for this runner alone is removed. Whether there was
    /// anything to be done.
    pub(crate) async fn make_good(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
    ) -> Result<bool, Stop> {
        if self.told.is_nothing() {
            return Ok(false);
        }
        let mut is_late_again = false;
        if self.told.set {
            is_late_again = self.repair(lease, metadata, Step::Watch).await?;
        }
        if let Some(made) = self.told.made.clone()
            && !self.has_stored(metadata, &made).await?
        {
            self.call(lease, Step::Reconcile, self.rotator.remove(&made)).await?;
        }
        // What was set just now is in time if the lease is renewed next.
        *self.told = Told { set: is_late_again, made: None };
        Ok(true)
    }

    /// Whether a version has that id, or may have it, since it cannot be read.
    pub(crate) async fn has_stored(
        &self,
        metadata: &SecretMetadata,
        id: &str,
    ) -> Result<bool, Stop> {
        for stage in [Stage::Current, Stage::Pending, Stage::Previous] {
            if metadata.stage(stage).is_none() {
                continue;
            }
            match self.secret(metadata, stage, Step::Reconcile).await? {
                Some(secret) if self.rotator.id_of(&secret).as_deref() == Some(id) => {
                    return Ok(true);
                }
                Some(_) => {}
                // Retired: nobody has use for it.
                None if stage == Stage::Previous => {}
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Tests what is in force, and sets it again where the target refuses it. Whether it did.
    pub(crate) async fn repair(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        step: Step,
    ) -> Result<bool, Stop> {
        let current = self.in_force(metadata, step).await?;
        match self.call(lease, step, self.rotator.test(&current)).await {
            Ok(()) => return Ok(false),
            Err(Stop::Failed { kind: Some(RotatorErrorKind::Refused), .. })
                if !self.rotator.profile().invents => {}
            Err(stop) => return Err(stop),
        }
        let before = self.secret(metadata, Stage::Previous, step).await?;
        self.told.set = true;
        self.call(lease, step, self.rotator.set(&current, before.as_ref())).await?;
        if let Some(version) = metadata.stage(Stage::Current) {
            self.events.push(Event::Repaired { path: self.path.clone(), version });
        }
        Ok(true)
    }

    /// Somebody says that a version does not work. Where it is the one in force, and the target refuses it,
    /// the next one is made; one that just came into force is set again.
    pub(crate) async fn look_into(
        &mut self,
        lease: &Lease,
        metadata: &SecretMetadata,
        state: &State,
        reported: Version,
        now: Timestamp,
    ) -> Result<Then, Stop> {
        let mut next = State { reported: None, checked: now, failures: 0, ..state.clone() };
        if metadata.stage(Stage::Current) == Some(reported) {
            match state.phase {
                Phase::Idle => {
                    next.is_asked |= match self
                        .secret(metadata, Stage::Current, Step::Watch)
                        .await?
                    {
                        // Nobody has use for one that cannot be read.
                        None => true,
                        Some(current) => {
                            match self.call(lease, Step::Watch, self.rotator.test(&current)).await {
                                Ok(()) => false,
                                Err(Stop::Failed {
                                    kind: Some(RotatorErrorKind::Refused), ..
                                }) => true,
                                Err(stop) => return Err(stop),
                            }
                        }
                    };
                }
                Phase::Watching | Phase::Retiring | Phase::Disabling => {
                    self.repair(lease, metadata, Step::Watch).await?;
                    next.failures = state.failures;
                }
                // Another one is on its way.
                Phase::Creating | Phase::Setting | Phase::Testing => {
                    next.failures = state.failures;
                }
            }
        }
        self.save(lease, Step::Watch, next).await?;
        Ok(Then::Step)
    }
}
