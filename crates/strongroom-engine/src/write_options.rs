//! What a put may say beside path and secret.

use strongroom_core::{Expected, Stage, Version};

/// How a put goes.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteOptions {
    /// What must be there.
    pub expected: Expected,
    /// Where the version goes: `current`, in force at once, or `pending`.
    pub stage: Stage,
    /// Whether an empty value is meant, for a kind that does not take one by itself.
    pub allow_empty: bool,
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
