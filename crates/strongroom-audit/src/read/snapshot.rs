//! The strict reader, for the lines of a snapshot.

use strongroom_core::Receipt;

use super::{Raw, optional, parse, time, token};
use crate::hex;
use crate::line::{
    KeptLine, MAX_OLDER, MissedLine, OlderLine, PrunedLine, Rest, SnapshotBegin, SnapshotEnd,
    SnapshotLine, UnsettledLine,
};

impl Raw<'_> {
    pub(super) fn snapshot(&self) -> Option<SnapshotLine> {
        Some(match self.t {
            "snapshot" => SnapshotLine::Begin(SnapshotBegin {
                at: time(self.at?)?,
                number: parse(self.number?)?,
            }),
            "pruned" => SnapshotLine::Pruned(PrunedLine {
                log: parse(self.log?)?,
                size: parse(self.size?)?,
                root: parse(self.root?)?,
                registered: parse(self.registered?)?,
                rest: Rest::from_name(self.rest?)?,
            }),
            "kept" => SnapshotLine::Kept(KeptLine {
                key: hex::decode(self.key?)?,
                name: optional(self.name, token)?,
                first: parse(self.first?)?,
                prev: parse(self.prev?)?,
                seq: parse(self.seq?)?,
                digest: parse(self.digest?)?,
                intent: self.told_at()?,
            })
            .in_order()?,
            "older" => SnapshotLine::Older(OlderLine {
                key: hex::decode(self.key?)?,
                digests: shorts(self.digests?)?,
            }),
            "missed" => SnapshotLine::Missed(MissedLine {
                key: hex::decode(self.key?)?,
                name: optional(self.name, token)?,
                seq: parse(self.seq?)?,
                digest: u32::from_be_bytes(hex::decode_array(self.digest?)?),
            }),
            "unsettled" => SnapshotLine::Unsettled(UnsettledLine {
                key: hex::decode(self.key?)?,
                name: optional(self.name, token)?,
                seq: parse(self.seq?)?,
                prev: parse(self.prev?)?,
                next: parse(self.next?)?,
                intent: self.told_at()?,
                erases: self.erases.iter().map(|text| hex::decode(text)).collect::<Option<_>>()?,
            }),
            "erased" => SnapshotLine::Erased(hex::decode(self.key?)?),
            "snapshot-end" => SnapshotLine::End(SnapshotEnd {
                number: parse(self.number?)?,
                lines: parse(self.lines?)?,
                elsewhere: match self.elsewhere? {
                    "yes" => true,
                    "no" => false,
                    _ => return None,
                },
            }),
            _ => return None,
        })
    }

    fn told_at(&self) -> Option<Receipt> {
        Some(Receipt { log: parse(self.log?)?, index: parse(self.intent?)? })
    }
}

impl SnapshotLine {
    /// The line, where the numbers in it go up.
    fn in_order(self) -> Option<Self> {
        match &self {
            Self::Kept(line) if line.first > line.seq => None,
            _ => Some(self),
        }
    }
}

/// Four bytes each.
fn shorts(text: &str) -> Option<Vec<u32>> {
    let bytes = hex::decode(text)?;
    let (chunks, rest) = bytes.as_chunks::<4>();
    let fits = rest.is_empty() && !chunks.is_empty() && chunks.len() <= MAX_OLDER;
    fits.then(|| chunks.iter().map(|chunk| u32::from_be_bytes(*chunk)).collect())
}
