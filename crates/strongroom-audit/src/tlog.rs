//! An inclusion proof with its checkpoint as text, as [C2SP tlog-proof](https://c2sp.org/tlog-proof)
//! has it: all that shows a record to somebody who knows the log's key, in one file.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use strongroom_core::{Digest, TreeHead};
use thiserror::Error;

use crate::note::{MAX_NOTE_BYTES, Note, NoteError, open_note, read_digest};
use crate::proof::{InclusionProof, ProofError};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1\n";
/// No tree has leaves that are deeper.
const MAX_PATH: usize = 64;

/// Why a proof in text form is not taken.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TlogProofError {
    /// It is not spelled as such a proof is.
    #[error("this is no tlog-proof: {detail}; get it again from where it is kept")]
    Malformed {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// Its checkpoint is not to be believed.
    #[error("the checkpoint of the proof does not hold")]
    Note(#[from] NoteError),
    /// The proof does not lead from the record to the checkpoint.
    #[error("the proof does not hold under its checkpoint")]
    Proof(#[from] ProofError),
}

/// Shows that a checkpoint signs a record. [`prove_record`](crate::prove_record) makes it from a log.
///
/// Its text is that of C2SP tlog-proof, version 1, without the optional extra data: `to_string` writes
/// it, and `parse` takes it in that spelling only. The usual extension of its file is `.tlog-proof`.
///
/// ```
/// use strongroom_audit::TlogProof;
///
/// let text = "c2sp.org/tlog-proof@v1\n\
///             index 1\n\
///             gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n\
///             \n\
///             strongroom/40404040404040404040404040404040/3030303030303030\n\
///             2\n\
///             sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\
///             \n\
///             \u{2014} witness.example AAAAAAA=\n";
/// let proof: TlogProof = text.parse()?;
/// assert_eq!((proof.index, proof.path.len()), (1, 1));
/// assert_eq!(proof.to_string(), text);
/// // Nobody whom we know has signed it.
/// let origin = "strongroom/40404040404040404040404040404040/3030303030303030";
/// assert!(proof.verify(b"a line", origin, &[2; 32]).is_err());
/// # Ok::<(), strongroom_audit::TlogProofError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlogProof {
    /// The index of the record, from 0.
    pub index: u64,
    /// The audit path, as in [`InclusionProof`].
    pub path: Vec<Digest>,
    /// The checkpoint as a [signed note](crate::signed_note), and the cosignatures that were added.
    pub note: String,
}

impl TlogProof {
    /// Checks that the log with this origin and Ed25519 key signed a checkpoint with this record (its
    /// line without the line end), and returns what the checkpoint says.
    ///
    /// # Errors
    /// `Note` where the checkpoint does not hold, `Proof` where it does not have the record.
    pub fn verify(
        &self,
        line: &[u8],
        origin: &str,
        key: &[u8; 32],
    ) -> Result<TreeHead, TlogProofError> {
        let head = open_note(&self.note, origin, key)?;
        let Self { index, path, .. } = self;
        let proof = InclusionProof { index: *index, size: head.size, path: path.clone() };
        proof.verify(line, &head)?;
        Ok(head)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}index {}", self.index)?;
        for digest in &self.path {
            writeln!(f, "{}", Base64::encode_string(digest.as_bytes()))?;
        }
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(text: &str) -> Result<Self, TlogProofError> {
        let malformed = |detail| TlogProofError::Malformed { detail };
        let text = text
            .strip_prefix(FIRST_LINE)
            .ok_or(malformed("its first line does not say so, or names another version"))?;
        let (proof, note) = text
            .split_once("\n\n")
            .ok_or(malformed("no empty line stands between proof and checkpoint"))?;
        if proof.len() > MAX_NOTE_BYTES {
            return Err(malformed("it is longer than any proof"));
        }
        let mut lines = proof.split('\n');
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(|number| Some((number, number.parse::<u64>().ok()?)))
            .filter(|(text, number)| number.to_string() == *text)
            .map(|(_, number)| number)
            .ok_or(malformed("its second line is not the index of a record"))?;
        let path = lines
            .map(read_digest)
            .take(MAX_PATH + 1)
            .collect::<Option<Vec<_>>>()
            .ok_or(malformed("a line of the proof is not the base64 of a digest"))?;
        if path.len() > MAX_PATH {
            return Err(malformed("it has more than 64 digests"));
        }
        Note::read(note)?;
        Ok(Self { index, path, note: note.to_owned() })
    }
}
