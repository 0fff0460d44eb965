//! What a put may say beside path and secret.

use strongroom_core::{AnnexUpdate, Expected, Stage, Version};

/// How a put goes.
#[non_exhaustive]
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// What must be there.
    pub expected: Expected,
    /// Where the version goes: `current`, in force at once, or `pending`.
    pub stage: Stage,
    /// Whether an empty value is meant, for a kind that does not take one by itself.
    pub allow_empty: bool,
    /// What becomes of the annexes in the same step.
    pub annexes: AnnexUpdate,
}

impl WriteOptions {
    /// A put in force, whatever is there.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With what must be there.
    #[must_use]
    pub fn expecting(mut self, expected: impl Into<Expected>) -> Self {
        self.expected = expected.into();
        self
    }

    /// Stored ahead of its time: in force only by `promote`.
    #[must_use]
    pub fn pending(mut self) -> Self {
        self.stage = Stage::Pending;
        self
    }

    /// With a change of annexes in the same step.
    #[must_use]
    pub fn annexes(mut self, update: AnnexUpdate) -> Self {
        self.annexes = update;
        self
    }

    /// With an empty value, if the value is empty.
    #[must_use]
    pub fn allow_empty(mut self) -> Self {
        self.allow_empty = true;
        self
    }
}

impl From<Expected> for WriteOptions {
    fn from(expected: Expected) -> Self {
        Self::new().expecting(expected)
    }
}

impl From<Version> for WriteOptions {
    fn from(version: Version) -> Self {
        Self::new().expecting(version)
    }
}
