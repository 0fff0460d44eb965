//! Targets that credentials are for, and how each is told of a new one.

use std::error::Error as StdError;
use std::fmt::{self, Debug};
use std::num::NonZeroU8;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::kind::SecretKind;

/// What a target is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetProfile {
    /// How many credentials of one secret it accepts at the same time. Where it is one, setting the
    /// next one ends the one before.
    pub holds: NonZeroU8,
    /// How long it may take until a new credential is accepted everywhere.
    pub settles: Duration,
    /// Whether it makes the credentials itself, as an issuer of API keys does.
    pub invents: bool,
}

impl TargetProfile {
    /// A target that accepts one credential at a time, at once: the password of one user.
    #[must_use]
    pub const fn single() -> Self {
        Self { holds: NonZeroU8::MIN, settles: Duration::ZERO, invents: false }
    }

    /// A target that accepts so many at the same time, at once.
    #[must_use]
    pub const fn holding(holds: NonZeroU8) -> Self {
        Self { holds, ..Self::single() }
    }

    /// With the time that a new credential may take.
    #[must_use]
    pub const fn settling_in(mut self, settles: Duration) -> Self {
        self.settles = settles;
        self
    }

    /// The target makes the credentials.
    #[must_use]
    pub const fn inventing(mut self) -> Self {
        self.invents = true;
        self
    }
}

/// What an answer of a target means for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RotatorErrorKind {
    /// It may be accepted later: the change is on its way.
    NotYet,
    /// The target says no, and will say it again.
    Refused,
    /// No answer, or one that does not say what happened: it may have been done.
    Unreachable,
}

impl fmt::Display for RotatorErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotYet => "not yet",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        })
    }
}

/// A target did not do what a rotator asked for.
///
/// # Contract
/// Neither `detail` nor the source carries a credential: the texts of many drivers quote the statement
/// that failed, or the address with its password. Pass on the code of such an error, not the error.
#[derive(Debug, Error)]
#[error("{kind}: {detail}")]
pub struct RotatorError {
    kind: RotatorErrorKind,
    detail: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl RotatorError {
    /// An answer and what it was about.
    #[must_use]
    pub fn new(kind: RotatorErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    /// With what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What it means for what comes next.
    #[must_use]
    pub fn kind(&self) -> RotatorErrorKind {
        self.kind
    }
}

/// Makes a target accept new credentials.
///
/// # Contract
/// Each call can be made again after it failed, was dropped, or worked and its answer was lost, by
/// another process, too; a call that was given up may still take effect. So `set` with the credential
/// that is set already, and `revoke` of one that is gone, are successes. A call ends in a reasonable
/// time, and makes progress under any executor.
#[async_trait]
pub trait Rotator: Debug + Send + Sync + 'static {
    /// The kind of the secrets.
    type Secret: SecretKind + Sync;

    /// What it is called in reports, such as `postgres`.
    fn name(&self) -> &str;

    /// What the target is like. The same at each call.
    fn profile(&self) -> TargetProfile;

    /// Makes the next credential. A target that [invents](TargetProfile::invents) makes one and accepts
    /// it; otherwise it is drawn here, and the target is not touched: `set` tells it.
    ///
    /// # Errors
    /// Where none is made. With `Unreachable`, a target that invents may have made one.
    async fn create(&self, current: Option<&Self::Secret>) -> Result<Self::Secret, RotatorError>;

    /// Makes the target accept `next`, by the right that `current` gives where it needs that. Not called
    /// where the target invents.
    ///
    /// # Errors
    /// With `Refused` the target does not accept it; otherwise it may.
    async fn set(
        &self,
        next: &Self::Secret,
        current: Option<&Self::Secret>,
    ) -> Result<(), RotatorError>;

    /// Logs in with it, as an application does.
    ///
    /// # Errors
    /// `Refused` or `NotYet` where the target does not accept it.
    async fn test(&self, secret: &Self::Secret) -> Result<(), RotatorError>;

    /// Makes the target no longer accept `old`, now that `current` is in use. Nothing to do where the
    /// target holds one.
    ///
    /// # Errors
    /// Otherwise than with `Refused`, it may be gone.
    async fn revoke(&self, old: &Self::Secret, current: &Self::Secret) -> Result<(), RotatorError>;

    /// The public ids of the credentials that the target has for this secret, where it invents them and
    /// can list them.
    ///
    /// # Errors
    /// Where the target does not answer.
    async fn ids(&self) -> Result<Vec<String>, RotatorError> {
        Ok(Vec::new())
    }

    /// The public id that the target knows a credential by; `None` where it has none.
    fn id_of(&self, secret: &Self::Secret) -> Option<String> {
        let _ = secret;
        None
    }

    /// Removes a credential of which only the id is known: one that was made for a process which died
    /// before it could store it.
    ///
    /// # Errors
    /// Otherwise than with `Refused`, it may be gone.
    async fn remove(&self, id: &str) -> Result<(), RotatorError> {
        let _ = id;
        Err(RotatorError::new(RotatorErrorKind::Refused, "this target removes nothing by its id"))
    }
}
