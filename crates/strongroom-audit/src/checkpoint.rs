//! Checkpoints: what a log's writer signs of it on the way, so that lines before it are held together
//! though the log has no end yet.
//!
//! The text that is signed is a checkpoint of [C2SP tlog-checkpoint](https://c2sp.org/tlog-checkpoint):
//! origin, size and root, a line each. With its signature it makes a
//! [signed note](https://c2sp.org/signed-note), which tools and witnesses for transparency logs read.

use base64ct::{Base64, Encoding};
use sha2::{Digest as _, Sha256};
use strongroom_core::{Timestamp, TreeHead};

use crate::certificate::{origin, verifies};
use crate::line::{CheckpointLine, OpenLine, SegmentLine};

/// A record is led by a checkpoint where so many lines, or more, follow the last one,
const EVERY_LINES: u64 = 1024;
/// or where its time is so many milliseconds away from that one's, in either direction.
const EVERY_MILLIS: u64 = 60_000;

/// The kind of a signature by a log: Ed25519 over the text of the note.
pub(crate) const ED25519: u8 = 1;

/// The text of a checkpoint.
pub(crate) fn checkpoint_text(origin: &str, head: TreeHead) -> String {
    format!("{origin}\n{}\n{}\n", head.size, Base64::encode_string(head.root.as_bytes()))
}

/// Whether the log's key signed what a segment says of the lines before it.
pub(crate) fn signs_segment(segment: &SegmentLine) -> bool {
    let Some(head) = segment.head() else { return false };
    let log = &segment.log;
    let text = checkpoint_text(&origin(log.store, log.log), head);
    verifies(&log.log_key, text.as_bytes(), &segment.signature)
}

/// A checkpoint of a log as a signed note: the log's origin is the name of the key.
///
/// Give it to others once the lines that it signs are [`Synced`](strongroom_core::Durability): what
/// a power cut takes would look to them like a log that shrank.
///
/// ```
/// # use strongroom_audit::{CheckpointLine, OpenLine, signed_note};
/// # use strongroom_core::{Digest, DirectoryId, LogId, StoreId, Timestamp};
/// # let open = OpenLine {
/// #     store: StoreId::from_bytes([0x40; 16]), log: LogId::from_bytes([0x30; 8]),
/// #     directory: DirectoryId::from_bytes([0x20; 8]),
/// #     store_key: [0; 32], log_key: [2; 32], certificate: [0; 64], at: Timestamp::default(),
/// # };
/// # let checkpoint = CheckpointLine {
/// #     at: Timestamp::default(), size: 12, root: Digest::from_bytes([1; 32]), registered: 0,
/// #     signature: [3; 64],
/// # };
/// let note = signed_note(&open, &checkpoint);
/// let lines: Vec<&str> = note.lines().collect();
/// assert_eq!(lines[0], "strongroom/40404040404040404040404040404040/3030303030303030");
/// assert_eq!(lines[1], "12");
/// assert!(lines[3].is_empty() && lines[4].starts_with("— strongroom/"));
/// ```
#[must_use]
pub fn signed_note(open: &OpenLine, checkpoint: &CheckpointLine) -> String {
    let origin = origin(open.store, open.log);
    write_note(&origin, checkpoint.head(), &open.log_key, &checkpoint.signature)
}

/// The checkpoint of that origin, which is the name of the key too, with its signature.
pub(crate) fn write_note(
    origin: &str,
    head: TreeHead,
    key: &[u8; 32],
    signature: &[u8; 64],
) -> String {
    let text = checkpoint_text(origin, head);
    let signature = [key_hash(origin, ED25519, key).as_slice(), signature].concat();
    format!("{text}\n\u{2014} {origin} {}\n", Base64::encode_string(&signature))
}

/// SHA-256(name ‖ LF ‖ kind ‖ key), cut to four bytes; the kind is that of its signatures.
pub(crate) fn key_hash(name: &str, kind: u8, key: &[u8; 32]) -> [u8; 4] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', kind])
        .chain_update(key)
        .finalize()
        .into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

/// How far a log was signed, and when. The writer and the verifier hold it to the same rule, so that
/// a checkpoint that was taken out is missed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Signed {
    /// Its size with the checkpoint.
    pub(crate) size: u64,
    pub(crate) at: Timestamp,
}

impl Signed {
    /// Whether the lines since then are signed before a record of that time, in a log that has so
    /// many lines before those that tell the record's names.
    pub(crate) fn is_old(self, size: u64, now: Timestamp) -> bool {
        let age = now.as_millis().abs_diff(self.at.as_millis());
        size > self.size && (size - self.size >= EVERY_LINES || age >= EVERY_MILLIS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_by_lines_or_by_time_and_never_for_nothing() {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        let signed = Signed { size: 10, at: at(1_000_000) };
        assert!(!signed.is_old(10, at(9_000_000)), "nothing is new");
        assert!(!signed.is_old(11, at(1_059_999)));
        assert!(signed.is_old(11, at(1_060_000)));
        assert!(!signed.is_old(1_033, at(1_000_000)));
        assert!(signed.is_old(1_034, at(1_000_000)));
        assert!(signed.is_old(11, at(0)), "a clock that steps back");
    }
}
