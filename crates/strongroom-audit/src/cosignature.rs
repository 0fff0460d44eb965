//! Cosignatures: what witnesses have added to a checkpoint, and what it is worth.
//!
//! The format is `cosignature/v1` of [C2SP tlog-cosignature](https://c2sp.org/tlog-cosignature).

use strongroom_core::{Timestamp, TreeHead};

use crate::certificate::verifies;
use crate::note::{Note, NoteError};
use crate::witness::{Witness, WitnessQuorum};

/// That a witness has seen no larger checkpoint of the log by some time, and none that does not go on
/// to this one.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cosignature {
    /// The name of the witness.
    pub witness: Box<str>,
    /// When it says that was, to the second.
    pub at: Timestamp,
}

/// A checkpoint that enough witnesses have co-signed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cosigned {
    /// What the checkpoint says.
    pub head: TreeHead,
    /// Who has co-signed it, in the order of the quorum: the newest of each witness.
    pub cosignatures: Vec<Cosignature>,
}

/// Reads a checkpoint as [`open_note`](crate::open_note) does, and asks for cosignatures too: so many
/// witnesses say that they were shown no other history of this log. What a witness answered is
/// appended to the note.
///
/// A cosignature does not grow old by itself: how new a checkpoint must be, hold
/// [`Cosignature::at`] against.
///
/// ```
/// # use strongroom_audit::{CheckpointLine, OpenLine, signed_note};
/// # use strongroom_core::{Digest, DirectoryId, LogId, StoreId, Timestamp};
/// use strongroom_audit::{NoteError, Witness, WitnessQuorum, open_cosigned_note, origin};
///
/// # let open = OpenLine {
/// #     store: StoreId::from_bytes([0x40; 16]), log: LogId::from_bytes([0x30; 8]),
/// #     directory: DirectoryId::from_bytes([0x20; 8]),
/// #     store_key: [0; 32], log_key: [2; 32], certificate: [0; 64], at: Timestamp::default(),
/// # };
/// # let checkpoint = CheckpointLine {
/// #     at: Timestamp::default(), size: 12, root: Digest::from_bytes([1; 32]), registered: 0,
/// #     signature: [3; 64],
/// # };
/// # let answer = "— w1 AAAAAAA=\n";
/// let note = format!("{}{answer}", signed_note(&open, &checkpoint));
/// let name = origin(open.store, open.log);
/// let quorum = WitnessQuorum::new(1, [Witness::new("w1", [1; 32])?])?;
/// let forged = open_cosigned_note(&note, &name, &open.log_key, &quorum);
/// assert_eq!(forged, Err(NoteError::WrongSignature));
/// # Ok::<(), strongroom_audit::WitnessError>(())
/// ```
///
/// # Errors
/// `TooFewWitnesses` where it is the log's own, and fewer have co-signed it; `WrongSignature` where
/// one of the log or of a witness of the quorum does not hold; else as `open_note`.
pub fn open_cosigned_note(
    note: &str,
    origin: &str,
    key: &[u8; 32],
    quorum: &WitnessQuorum,
) -> Result<Cosigned, NoteError> {
    let note = Note::read(note)?;
    note.check_log(origin, key)?;
    let mut cosignatures = Vec::new();
    for witness in quorum.witnesses() {
        let newest = newest_by(&note, witness)?;
        let by = |at| Cosignature { witness: witness.name().into(), at };
        cosignatures.extend(newest.map(by));
    }
    let (needed, found) = (quorum.needed(), cosignatures.len());
    if found < needed {
        return Err(NoteError::TooFewWitnesses { needed, found });
    }
    Ok(Cosigned { head: note.head, cosignatures })
}

/// The time of the newest cosignature by this witness. Each that claims to be its must hold.
fn newest_by(note: &Note<'_>, witness: &Witness) -> Result<Option<Timestamp>, NoteError> {
    let mut newest = None;
    for signature in note.signed_by(witness.name(), witness.key_id()) {
        let at = read(signature, note.text, witness.key()).ok_or(NoteError::WrongSignature)?;
        newest = newest.max(Some(at));
    }
    Ok(newest)
}

/// When it was signed; `None` where it does not hold, or after the year 9999.
fn read(signature: &[u8], text: &str, key: &[u8; 32]) -> Option<Timestamp> {
    let (seconds, signature) = signature.split_first_chunk()?;
    let seconds = u64::from_be_bytes(*seconds);
    let message = format!("cosignature/v1\ntime {seconds}\n{text}");
    if !verifies(key, message.as_bytes(), signature.try_into().ok()?) {
        return None;
    }
    Timestamp::from_millis(seconds.checked_mul(1000)?).ok()
}
