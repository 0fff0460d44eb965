//! Proofs from a directory of logs.

use std::fs::File;
use std::path::Path;

use strongroom_core::{AuditError, LogId, Receipt};
use thiserror::Error;

use crate::certificate::{origin, verifies};
use crate::checkpoint::{checkpoint_text, signed_note, signs_segment};
use crate::dead::{Lines, owner};
use crate::dir::{LogFile, first_line, logs};
use crate::line::{CheckpointLine, Line, OpenLine};
use crate::medium::failed;
use crate::proof::prover::Way;
use crate::proof::{
    ConsistencyProof, ConsistencyProver, InclusionProof, InclusionProver, ProofError,
};
use crate::read::read_line;
use crate::tlog::TlogProof;
use crate::tree::MerkleTree;

/// How a line begins that may be a checkpoint. Others are hashed without being read.
const CHECKPOINT: &[u8] = br#"{"t":"checkpoint","#;

/// Why there is no proof from a directory of logs.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum ProveError {
    /// The sizes are out of order, or the log is too short.
    #[error("there is no such proof")]
    Proof(#[from] ProofError),
    /// A log cannot be read, or does not begin as one.
    #[error("the log cannot be read")]
    Log(#[from] AuditError),
    /// The directory has no such log.
    #[error("there is no log {log} in {dir}: name the directory that the store writes its logs to")]
    NoLog {
        /// Which log.
        log: LogId,
        /// Where it was looked for.
        dir: Box<str>,
    },
    /// The first lines of the log are gone, and the proof is about them.
    #[error(
        "the first {lines} lines of log {log} are not there any more: they were pruned, and only a \
         copy from before that proves what they told"
    )]
    Pruned {
        /// Which log.
        log: LogId,
        /// How many lines are gone.
        lines: u64,
    },
    /// No checkpoint signs the record.
    #[error(
        "no checkpoint signs record {receipt}: a log is signed every 1,024 lines, and before the \
         first record a minute later"
    )]
    NotSigned {
        /// The record.
        receipt: Receipt,
    },
    /// The lines are not those that the log's writer signed.
    #[error(
        "the first {size} lines of log {log} are not those that its writer signed: keep a copy of \
         it, and let `verify` say what was done to it"
    )]
    Altered {
        /// Which log.
        log: LogId,
        /// How many lines the checkpoint is about.
        size: u64,
    },
}

/// A record, and what shows to others that it was logged.
///
/// Its first line tells whose log it is, or that of its first segment where that line was pruned: that `open` names the store whose records these are, others
/// must know from elsewhere.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRecord {
    /// The first line of the log, whose certificate holds. Where it was pruned, the same as a later
    /// segment tells it again, at the time of that.
    pub open: OpenLine,
    /// The line of the record, without its line end.
    pub line: Vec<u8>,
    /// What shows that the log has it.
    pub proof: TlogProof,
}

/// Shows that a log of a directory has this record among its first `size` lines.
///
/// Reads these lines once and keeps none of them. The log may be written meanwhile. Each checkpoint
/// that the log's writer signed has a size for which others hold a root.
///
/// # Errors
/// Where the log is not there, cannot be read or is too short, or the record is not below the size.
pub fn prove_inclusion(
    dir: impl AsRef<Path>,
    record: Receipt,
    size: u64,
) -> Result<InclusionProof, ProveError> {
    let mut prover = InclusionProver::new(record.index, size)?;
    let file = find(dir.as_ref(), record.log)?;
    prover.begin_behind(behind(&file, record.index)?);
    read_lines(&file, |line| {
        prover.line(line);
        Ok(!prover.has_all())
    })?;
    Ok(prover.finish()?)
}

/// Shows that the first `new` lines of a log of a directory begin with the `old` ones that somebody
/// holds the root of.
///
/// Reads the lines once and keeps none of them. The log may be written meanwhile.
///
/// # Errors
/// Where the log is not there, cannot be read or is too short, or the older size is the larger one.
pub fn prove_consistency(
    dir: impl AsRef<Path>,
    log: LogId,
    old: u64,
    new: u64,
) -> Result<ConsistencyProof, ProveError> {
    let mut prover = ConsistencyProver::new(old, new)?;
    let file = find(dir.as_ref(), log)?;
    if new > 0 {
        // From nothing there is nothing to prove, whatever the newer one has.
        prover.begin_behind(behind(&file, if old == 0 { new } else { old })?);
        read_lines(&file, |line| {
            prover.line(line);
            Ok(!prover.has_all())
        })?;
    }
    Ok(prover.finish()?)
}

/// A record with the proof that the first checkpoint behind it signs it: all that somebody needs who
/// knows the log's key.
///
/// Reads the log once, up to that checkpoint. The log may be written meanwhile. What stands behind
/// the last checkpoint of a log is signed by its end, or by the log that settled it, and has no such
/// proof.
///
/// # Errors
/// `NotSigned` where no checkpoint follows the record, `Altered` where it does not hold; else where
/// the log is not there or cannot be read.
pub fn prove_record(dir: impl AsRef<Path>, record: Receipt) -> Result<ProvenRecord, ProveError> {
    let file = find(dir.as_ref(), record.log)?;
    let not_signed = ProveError::NotSigned { receipt: record };
    let first = file.segments.first().map(owner).transpose()?.flatten();
    let Some(open) = first else { return Err(not_signed) };
    let mut way = Way::from_leaf(record.index);
    way.begin_behind(behind(&file, record.index)?);
    let mut proven = None;
    let mut note = None;
    read_lines(&file, |line| {
        let size = way.tree.size();
        if size > record.index
            && line.starts_with(CHECKPOINT)
            && let Ok(Line::Checkpoint(checkpoint)) = read_line(line)
        {
            if !is_signed(&open, &checkpoint, &way) {
                return Err(ProveError::Altered { log: record.log, size });
            }
            note = Some(signed_note(&open, &checkpoint));
            return Ok(false);
        }
        if size == record.index {
            proven = Some(line.to_vec());
        }
        way.push(line);
        Ok(true)
    })?;
    match (proven, note) {
        (Some(line), Some(note)) => {
            let proof = TlogProof { index: record.index, path: way.path(), note };
            Ok(ProvenRecord { open, line, proof })
        }
        _ => Err(not_signed),
    }
}

fn is_signed(open: &OpenLine, checkpoint: &CheckpointLine, way: &Way) -> bool {
    let head = way.tree.head();
    let text = checkpoint_text(&origin(open.store, open.log), head);
    checkpoint.head() == head && verifies(&open.log_key, text.as_bytes(), &checkpoint.signature)
}

fn find(dir: &Path, log: LogId) -> Result<LogFile, ProveError> {
    logs(dir)?
        .into_iter()
        .find(|file| file.log == log)
        .ok_or_else(|| ProveError::NoLog { log, dir: dir.display().to_string().into() })
}

/// The tree of the lines that are gone in front of a log, which has to go on from this one at the
/// latest.
fn behind(file: &LogFile, from: u64) -> Result<MerkleTree, ProveError> {
    let first = file.segments.first().filter(|first| first.number > 0);
    let line = first.map(|first| first_line(&first.path)).transpose()?.flatten();
    let Some(Line::Segment(segment)) = line.and_then(|line| read_line(&line).ok()) else {
        return Ok(MerkleTree::new());
    };
    // What its writer did not sign proves nothing, as if it were not there.
    let tree = segment.tree().filter(|_| signs_segment(&segment)).unwrap_or_default();
    if tree.size() > from {
        return Err(ProveError::Pruned { log: file.log, lines: tree.size() });
    }
    Ok(tree)
}

/// Hands out lines until one is the last that is wanted.
fn read_lines(
    file: &LogFile,
    mut take: impl FnMut(&[u8]) -> Result<bool, ProveError>,
) -> Result<(), ProveError> {
    let unreadable = |error| failed("a log cannot be read: check its permissions", error);
    for (segment, is_last) in file.in_order() {
        let handle = File::open(&segment.path).map_err(unreadable)?;
        let mut lines = Lines::new(&handle, is_last).map_err(unreadable)?;
        while let Some(line) = lines.next().map_err(unreadable)? {
            if !take(line)? {
                return Ok(());
            }
        }
    }
    Ok(())
}
