//! What a rotation has to tell: nothing of it is secret, and all of it says which secret it is about.

use std::error::Error as StdError;
use std::fmt;

use strongroom_core::{RotatorErrorKind, SecretPath, Timestamp, Version};

/// The step of a rotation.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// What the target has is held against what the store knows.
    Reconcile,
    /// The next credential is made and stored.
    Create,
    /// The target is told of it.
    Set,
    /// It logs in.
    Test,
    /// It is put in force.
    Promote,
    /// It is in force, and logs in again.
    Watch,
    /// The one before is revoked, disabled, destroyed.
    Retire,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reconcile => "reconcile",
            Self::Create => "create",
            Self::Set => "set",
            Self::Test => "test",
            Self::Promote => "promote",
            Self::Watch => "watch",
            Self::Retire => "retire",
        })
    }
}

/// What happened to a secret.
#[non_exhaustive]
#[derive(Debug)]
pub enum Event {
    /// A new version is in force.
    InForce {
        /// The secret.
        path: SecretPath,
        /// The version.
        version: Version,
    },
    /// The version before is revoked at the target, and disabled.
    Retired {
        /// The secret.
        path: SecretPath,
        /// The version.
        version: Version,
    },
    /// A retired version is destroyed.
    Destroyed {
        /// The secret.
        path: SecretPath,
        /// The version.
        version: Version,
    },
    /// The version in force did not log in any more, since somebody who woke late had set another one; it
    /// is set again.
    Repaired {
        /// The secret.
        path: SecretPath,
        /// The version.
        version: Version,
    },
    /// A step did not work. Whatever worked before goes on working.
    Failed(Failure),
}

/// A step that did not work, and what comes next.
#[non_exhaustive]
#[derive(Debug)]
pub struct Failure {
    /// The secret.
    pub path: SecretPath,
    /// The version that the step was about, where there is one.
    pub version: Option<Version>,
    /// The step.
    pub step: Step,
    /// How often it failed, one after the other.
    pub attempt: u32,
    /// The [name](strongroom_core::Rotator::name) of the rotator.
    pub rotator: String,
    /// What the target's answer means; `None` where it was not the target that failed.
    pub kind: Option<RotatorErrorKind>,
    /// Not before this is the next attempt, by the wall clock.
    pub next_attempt: Timestamp,
    /// What went wrong.
    pub source: Box<dyn StdError + Send + Sync>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, step, attempt, rotator, next_attempt, .. } = self;
        write!(f, "{path}")?;
        if let Some(version) = self.version {
            write!(f, "@{version}")?;
        }
        write!(
            f,
            ": {step} by {rotator} failed for the {attempt}. time, again at {next_attempt}: {}",
            self.source
        )
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The text ends with that of the cause itself.
        self.source.source()
    }
}
