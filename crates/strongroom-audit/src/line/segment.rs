//! The lines with which a log goes on in another file.

use std::borrow::Cow;

use strongroom_core::{Digest, RecordKind, TreeHead, WriteId};

use super::{Json, OpenLine, TargetLine, kind_name};
use crate::tree::MerkleTree;

/// The first line of a segment: which log goes on here, and what all lines before it come to.
///
/// With it a segment can be read alone: it tells the log's key and certificate again, the tree to go
/// on with, and how many intents it carries over, each in a [`CarriedLine`] right after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentLine {
    /// Which log, as its first line says it; the time is the segment's own.
    pub log: OpenLine,
    /// The number of the segment. The one that begins with `open` has number 0.
    pub number: u64,
    /// The number of lines before this one.
    pub size: u64,
    /// The roots of the perfect subtrees over them, the largest first.
    pub frontier: Vec<Digest>,
    /// How many intents are carried over.
    pub carried: u64,
    /// The size that the storage's registry record of this log is known to have.
    pub registered: u64,
    /// The log key's signature over the text of a checkpoint of that size and root.
    pub signature: [u8; 64],
}

impl SegmentLine {
    /// The tree of the lines before it; `None` where the frontier does not belong to the size.
    #[must_use]
    pub fn tree(&self) -> Option<MerkleTree> {
        MerkleTree::from_frontier(self.size, &self.frontier)
    }

    /// What is signed.
    #[must_use]
    pub fn head(&self) -> Option<TreeHead> {
        self.tree().map(|tree| tree.head())
    }
}

/// An intent of an earlier segment that had no outcome yet when this one began. It is no other
/// intent: its place is where it was told first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedLine<'a> {
    /// The index of the intent in this log.
    pub intent: u64,
    /// Which kind of record.
    pub kind: RecordKind,
    /// Its storage key.
    pub key: Cow<'a, [u8]>,
    /// Its sequence number after the write.
    pub seq: u64,
    /// The id of the write.
    pub write: WriteId,
    /// What it is about.
    pub target: TargetLine,
}

impl SegmentLine {
    pub(super) fn encode(&self, json: &mut Json<'_>) {
        json.begin("segment");
        self.log.encode_fields(json);
        json.number("number", self.number);
        json.number("size", self.size);
        json.list("frontier", self.frontier.iter().map(|digest| digest.as_bytes().as_slice()));
        json.number("carried", self.carried);
        json.number("registered", self.registered);
        json.hex("signature", &self.signature);
    }
}

impl CarriedLine<'_> {
    pub(super) fn encode(&self, json: &mut Json<'_>) {
        json.begin("carried");
        json.number("intent", self.intent);
        json.text("kind", kind_name(self.kind));
        json.hex("key", &self.key);
        json.number("seq", self.seq);
        json.hex("write", self.write.as_bytes());
        json.target(&self.target);
    }
}
