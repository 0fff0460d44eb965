//! What verification found.

use std::fmt;

use serde::Serialize;
use strongroom_core::{Digest, Key, LogId};

use crate::line::NameToken;

/// What is said of a stored record or a log.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The stored record is what its last write left.
    Current,
    /// Only unresolved intents are newer than the stored record: a write is under way, or its
    /// process died.
    Open,
    /// What happened is not in the logs, and a writer that did not end its log explains it.
    Gap,
    /// A later record was written, and an older one is stored.
    RolledBack,
    /// A record was written, and none is stored.
    Dropped,
    /// Two different records were written in the same place of one history.
    Forked,
    /// A log has fewer lines than another log, or its own end, says.
    LogLostItsTail,
    /// A log was edited, or does not belong to the store.
    LogAltered,
    /// The stored record has bytes that no intent names.
    Altered,
    /// No intent ever named the key of the stored record.
    Unlogged,
    /// The stored record does not open with the store's keys. Only told where there are keys.
    Alien,
    /// A blob that a record names is missing or damaged. Only told where there are keys.
    Incomplete,
}

impl Verdict {
    /// Whether it says that somebody tampered, or a medium lost what it had confirmed.
    #[must_use]
    pub const fn accuses(self) -> bool {
        !matches!(self, Self::Current | Self::Open | Self::Gap)
    }

    /// The verdict in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Open => "open",
            Self::Gap => "gap",
            Self::RolledBack => "rolled back",
            Self::Dropped => "dropped",
            Self::Forked => "forked",
            Self::LogLostItsTail => "log lost its tail",
            Self::LogAltered => "log altered",
            Self::Altered => "altered",
            Self::Unlogged => "unlogged",
            Self::Alien => "alien",
            Self::Incomplete => "incomplete",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is not plainly in order.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub verdict: Verdict,
    /// The log that it is about, or that tells it.
    pub log: Option<LogId>,
    /// The index of the line there.
    pub index: Option<u64>,
    /// The storage key that it is about, in hex when printed.
    #[serde(serialize_with = "key_in_hex")]
    pub key: Option<Key>,
    /// The token of the path that it is about, as the log shows it: whoever reads names finds it there.
    #[serde(serialize_with = "token_in_hex")]
    pub path: Option<NameToken>,
    /// The sequence number that should be stored.
    pub seq: Option<u64>,
    /// The digest that was expected.
    pub expected: Option<Digest>,
    /// The digest that was found.
    pub found: Option<Digest>,
    /// The rest, in words.
    pub detail: Box<str>,
}

fn key_in_hex<S: serde::Serializer>(key: &Option<Key>, serializer: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serializer.collect_str(key),
        None => serializer.serialize_none(),
    }
}

fn token_in_hex<S: serde::Serializer>(
    token: &Option<NameToken>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match token {
        Some(token) => serializer.collect_str(token),
        None => serializer.serialize_none(),
    }
}

impl Finding {
    /// A finding about nothing in particular yet.
    #[must_use]
    pub fn new(verdict: Verdict, detail: impl Into<Box<str>>) -> Self {
        Self {
            verdict,
            log: None,
            index: None,
            key: None,
            path: None,
            seq: None,
            expected: None,
            found: None,
            detail: detail.into(),
        }
    }

    /// The same about a log.
    #[must_use]
    pub fn of_log(mut self, log: LogId, index: Option<u64>) -> Self {
        self.log = Some(log);
        self.index = index;
        self
    }

    /// The same about a stored record.
    #[must_use]
    pub fn of_key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    pub(crate) fn of_path(mut self, path: Option<NameToken>) -> Self {
        self.path = path;
        self
    }

    pub(crate) fn digests(mut self, expected: Option<Digest>, found: Option<Digest>) -> Self {
        self.expected = expected;
        self.found = found;
        self
    }

    pub(crate) fn at_seq(mut self, seq: u64) -> Self {
        self.seq = Some(seq);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        if let Some(key) = &self.key {
            write!(f, ", record {key}")?;
        }
        if let Some(path) = &self.path {
            write!(f, " of path {path}")?;
        }
        if let Some(log) = self.log {
            write!(f, ", log {log}")?;
        }
        if let Some(index) = self.index {
            write!(f, " at {index}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// How much was verified.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Logs.
    pub logs: u64,
    /// Lines of all logs.
    pub lines: u64,
    /// Decisions among them.
    pub decisions: u64,
    /// Intents among them.
    pub intents: u64,
    /// Stored records that were held against them.
    pub stored: u64,
    /// Stored records that are current.
    pub current: u64,
}

/// The result of a verification.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// All that is not plainly in order. What is `current` is only counted.
    pub findings: Vec<Finding>,
    /// How much was verified.
    pub counts: Counts,
}

impl Report {
    /// Whether any finding accuses.
    #[must_use]
    pub fn accuses(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict.accuses())
    }

    /// The findings that accuse.
    pub fn accusations(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.verdict.accuses())
    }
}
