//! The tamper-evident audit log of strongroom.
//!
//! A log is a sequence of lines, in one file or in segments, hashed exactly as they stand into one
//! Merkle tree (RFC 6962). Each open of a store begins a log of its own, under a key of its own
//! that the store's identity key certifies. Names appear as tokens, and encrypted once a file, so
//! that a copy of the directory tells none. [`FileLog`] keeps a directory of such logs,
//! [`LineWriter`] makes the lines for other sinks, [`read_line`] takes them in one spelling only,
//! and [`Verifier`] holds stored records against all logs without any key.
//!
//! Who holds a signed checkpoint of a log needs no copy of it: [`prove_record`] shows them that a
//! record is in it, and [`prove_consistency`] that it only grew. Both are the proofs of RFC 6962, and
//! [`TlogProof`] and [`signed_note`] write them as tools for transparency logs read them.
//!
//! ```
//! use strongroom_audit::{FileLog, verify_logs};
//!
//! let log = FileLog::open("no/such/audit")?; // touches nothing
//! let report = verify_logs(log.dir(), None)?;
//! assert!(!report.accuses());
//! # Ok::<(), strongroom_core::AuditError>(())
//! ```

mod carried;
mod certificate;
mod checkpoint;
mod clear;
mod cosignature;
mod cut;
mod dead;
mod dir;
mod file_anchor;
mod file_log;
mod folder;
mod hex;
mod line;
mod medium;
mod names;
mod note;
mod proof;
mod prune;
mod read;
mod reader;
mod registry;
mod report;
mod settled;
mod sync;
mod tail;
mod tlog;
mod tree;
mod verify;
mod witness;
mod witness_anchor;
mod writer;

pub use certificate::{certificate_message, origin, store_id};
pub use checkpoint::signed_note;
pub use clear::{ExportError, Exported, export_in_clear};
pub use cosignature::{Cosignature, Cosigned, open_cosigned_note};
pub use dead::DeadLogReader;
pub use file_anchor::FileAnchor;
pub use file_log::FileLog;
pub use line::{
    CarriedLine, CheckpointLine, CitedLine, CloseLine, ClosedLine, DecisionLine, FORMAT_VERSION,
    HeadLine, IntentLine, KeptLine, Line, MAX_OLDER, MissedLine, NameClass, NameLine, NameToken,
    OlderLine, OpenLine, OutcomeLine, PrunedLine, Rest, SegmentLine, SnapshotBegin, SnapshotEnd,
    SnapshotLine, TargetLine, UnsettledLine,
};
pub use note::{MAX_NOTE_BYTES, NoteError, open_note, verifier_key};
pub use proof::{
    ConsistencyProof, ConsistencyProver, InclusionProof, InclusionProver, ProofError, ProveError,
    ProvenRecord, prove_consistency, prove_inclusion, prove_record,
};
pub use prune::{PrunableLogs, SegmentEnd};
pub use read::{MAX_LINE_BYTES, read_line};
pub use registry::{LogStage, RegistryError, RegistryRecord, StoredRegistryRecord};
pub use report::{Counts, Finding, Report, Verdict};
pub use strongroom_core::TreeHead;
pub use tlog::{TlogProof, TlogProofError};
pub use tree::MerkleTree;
pub use verify::{Verifier, verify_dir, verify_logs};
pub use witness::{Witness, WitnessError, WitnessQuorum, add_checkpoint_request};
pub use witness_anchor::{PinSigner, WitnessAnchor, WitnessAnswer, WitnessTransport};
pub use writer::{LineWriter, MAX_NAME_BYTES, MAX_REQUEST_ID_BYTES};
