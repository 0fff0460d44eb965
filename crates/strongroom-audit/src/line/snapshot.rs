//! The lines of a snapshot: what parts of logs that are to be pruned tell, kept small.

use strongroom_core::{Digest, LogId, Receipt, Timestamp};

use super::{Json, NameToken, push_number};
use crate::hex;

/// The most digests of one [`Older`](SnapshotLine::Older) line.
pub const MAX_OLDER: usize = 1000;

/// A line of a snapshot. A snapshot says of parts of logs all that [`Verifier`](crate::Verifier)
/// needs of them, so that they can be removed.
///
/// Its lines follow one another in one log; records may stand between them, and so may the beginning
/// of a segment. It counts once a later line signs its [`End`](Self::End). Of several the one with the
/// largest number counts: each tells again what those before it told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotLine {
    /// It begins.
    Begin(SnapshotBegin),
    /// A part that may be removed.
    Pruned(PrunedLine),
    /// Writes of one record that took effect, one on the other.
    Kept(KeptLine),
    /// What was stored by writes that took effect.
    Older(OlderLine),
    /// A write that did not take effect.
    Missed(MissedLine),
    /// A write of which the part does not tell the outcome.
    Unsettled(UnsettledLine),
    /// The prefix of keys that a write has ended.
    Erased(Vec<u8>),
    /// It is whole.
    End(SnapshotEnd),
}

/// The first line of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotBegin {
    /// Wall time.
    pub at: Timestamp,
    /// One more than that of the snapshot before it. The first has number 1.
    pub number: u64,
}

/// What is left of a log when its part is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rest {
    /// Later lines, from the beginning of a segment on.
    Open,
    /// Nothing: its writer ended it with the last line of the part.
    Ended,
    /// Nothing: its writer died, and another log settled it.
    Settled,
}

impl Rest {
    const ALL: [Self; 3] = [Self::Open, Self::Ended, Self::Settled];

    /// Whether the part is the whole log.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        !matches!(self, Self::Open)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Settled => "settled",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rest| rest.name() == name)
    }
}

/// A part of a log that may be removed: its first lines, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrunedLine {
    /// Which log.
    pub log: LogId,
    /// How many lines.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// The size that the part says the storage had registered of the log.
    pub registered: u64,
    /// What is left of the log.
    pub rest: Rest,
}

/// Writes of consecutive numbers that took effect, each on the record of the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLine {
    /// The storage key.
    pub key: Vec<u8>,
    /// The token of the path that it is about; `None` for what is about none.
    pub name: Option<NameToken>,
    /// The number of the first of them.
    pub first: u64,
    /// SHA-256 of the record that the first of them replaced.
    pub prev: Digest,
    /// The number of the last of them.
    pub seq: u64,
    /// SHA-256 of the record that the last of them stored.
    pub digest: Digest,
    /// Where the intent of the last of them was told.
    pub intent: Receipt,
}

/// What was stored under a key, one time or another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OlderLine {
    /// The storage key.
    pub key: Vec<u8>,
    /// The first four bytes of the digest of each record. At most [`MAX_OLDER`], and not none.
    pub digests: Vec<u32>,
}

/// A write that did not take effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedLine {
    /// The storage key.
    pub key: Vec<u8>,
    /// The token of the path that it is about; `None` for what is about none.
    pub name: Option<NameToken>,
    /// The number that it would have had.
    pub seq: u64,
    /// The first four bytes of the digest of what it would have stored.
    pub digest: u32,
}

/// A write of which the part does not tell the outcome. A later line may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsettledLine {
    /// The storage key.
    pub key: Vec<u8>,
    /// The token of the path that it is about; `None` for what is about none.
    pub name: Option<NameToken>,
    /// Its number.
    pub seq: u64,
    /// SHA-256 of the record that it replaces.
    pub prev: Digest,
    /// SHA-256 of the record that it stores.
    pub next: Digest,
    /// Where its intent was told.
    pub intent: Receipt,
    /// The prefixes of storage keys that are erased after it.
    pub erases: Vec<Vec<u8>>,
}

/// The last line of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// As in its first line.
    pub number: u64,
    /// How many lines of the snapshot stand between the two.
    pub lines: u64,
    /// Whether a write that is told in it replaced a record of a log that is kept elsewhere.
    pub elsewhere: bool,
}

impl SnapshotLine {
    pub(super) fn encode(&self, json: &mut Json<'_>) {
        match self {
            Self::Begin(line) => {
                json.begin("snapshot");
                json.number("at", line.at.as_millis());
                json.number("number", line.number);
            }
            Self::Pruned(line) => {
                json.begin("pruned");
                json.hex("log", line.log.as_bytes());
                json.number("size", line.size);
                json.hex("root", line.root.as_bytes());
                json.number("registered", line.registered);
                json.text("rest", line.rest.name());
            }
            Self::Kept(line) => {
                json.begin("kept");
                json.hex("key", &line.key);
                json.token("name", line.name);
                json.number("first", line.first);
                json.hex("prev", line.prev.as_bytes());
                json.number("seq", line.seq);
                json.hex("digest", line.digest.as_bytes());
                json.receipt(line.intent);
            }
            Self::Older(line) => {
                json.begin("older");
                json.hex("key", &line.key);
                json.key("digests");
                line.digests.iter().for_each(|short| hex::push(json.0, &short.to_be_bytes()));
                json.raw(b"\"");
            }
            Self::Missed(line) => {
                json.begin("missed");
                json.hex("key", &line.key);
                json.token("name", line.name);
                json.number("seq", line.seq);
                json.hex("digest", &line.digest.to_be_bytes());
            }
            Self::Unsettled(line) => {
                json.begin("unsettled");
                json.hex("key", &line.key);
                json.token("name", line.name);
                json.number("seq", line.seq);
                json.hex("prev", line.prev.as_bytes());
                json.hex("next", line.next.as_bytes());
                json.receipt(line.intent);
                json.list("erases", line.erases.iter().map(Vec::as_slice));
            }
            Self::Erased(key) => {
                json.begin("erased");
                json.hex("key", key);
            }
            Self::End(line) => {
                json.begin("snapshot-end");
                json.number("number", line.number);
                json.number("lines", line.lines);
                json.text("elsewhere", if line.elsewhere { "yes" } else { "no" });
            }
        }
    }
}

impl Json<'_> {
    fn receipt(&mut self, receipt: Receipt) {
        self.hex("log", receipt.log.as_bytes());
        self.key("intent");
        push_number(self.0, receipt.index);
        self.raw(b"\"");
    }
}
