//! Versions, stages and the states between put and destruction.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Serialize, Serializer};

/// The number of a version: 1, 2, 3, …, never used again in the life of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(NonZeroU64);

impl Version {
    /// The first version of a secret.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The version with this number; there is no version 0.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.number())
    }
}

/// A pointer to a version. It is moved by an act, and is never "the newest".
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Stage {
    /// In force: what a read gets that asks for nothing else.
    #[default]
    Current,
    /// Stored ahead of its time; in force only by `promote`.
    Pending,
    /// In force before the current one.
    Previous,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "current",
            Self::Pending => "pending",
            Self::Previous => "previous",
        })
    }
}

/// Which version of a secret: by number, or the one that a stage points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionSelector {
    /// The version that the stage points at.
    Stage(Stage),
    /// The version with this number.
    Version(Version),
}

impl VersionSelector {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "current" => Self::Stage(Stage::Current),
            "pending" => Self::Stage(Stage::Pending),
            "previous" => Self::Stage(Stage::Previous),
            digits if digits.starts_with(|c: char| c.is_ascii_digit() && c != '0') => {
                Self::Version(Version::new(digits.parse().ok()?)?)
            }
            _ => return None,
        })
    }
}

impl Default for VersionSelector {
    fn default() -> Self {
        Self::Stage(Stage::Current)
    }
}

impl From<Stage> for VersionSelector {
    fn from(stage: Stage) -> Self {
        Self::Stage(stage)
    }
}

impl From<Version> for VersionSelector {
    fn from(version: Version) -> Self {
        Self::Version(version)
    }
}

/// What a write expects to find; where it finds something else, it answers `Conflict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Anything. Refused where the secret's metadata say `cas_required`.
    #[default]
    Any,
    /// No version that is in force and no deleted one that could come back.
    Absent,
    /// This version is `current`.
    Version(Version),
    /// The head has this sequence number: nothing about the secret has changed since.
    Head(u64),
}

impl From<Version> for Expected {
    fn from(version: Version) -> Self {
        Self::Version(version)
    }
}

/// Whether a version can be read, and whether it could come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionState {
    /// It can be read.
    Enabled,
    /// It cannot be read until it is enabled.
    Disabled,
    /// Deleted softly: `undelete` brings it back.
    Deleted,
    /// Gone: its data key no longer exists in the head.
    Destroyed,
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
        })
    }
}
