//! Signed notes: a checkpoint as it stands in the hands of others, read strictly and believed only
//! with the log's signature.
//!
//! The formats are [C2SP signed-note](https://c2sp.org/signed-note) and
//! [C2SP tlog-checkpoint](https://c2sp.org/tlog-checkpoint).

use base64ct::{Base64, Encoding};
use strongroom_core::{Digest, TreeHead};
use thiserror::Error;

use crate::certificate::{origin, verifies};
use crate::checkpoint::{ED25519, checkpoint_text, key_hash};
use crate::line::OpenLine;

/// The longest note that is read, in bytes: room for the signatures of many witnesses.
pub const MAX_NOTE_BYTES: usize = 256 * 1024;

/// Why a note is not believed.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoteError {
    /// It is no checkpoint that a log of this format signs.
    #[error("the note is no checkpoint of a log: {detail}; get it again from where it is kept")]
    Malformed {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// It is a checkpoint of another log.
    #[error("the checkpoint is of another log: ask for one of the log that you expect")]
    OtherLog,
    /// No signature of it is by this key.
    #[error("the checkpoint is not signed by the log's key: check that the key is that log's")]
    NotSigned,
    /// A signature claims to be by this key, and is not.
    #[error("the signature of the checkpoint does not hold: believe neither it nor who showed it")]
    WrongSignature,
    /// Fewer witnesses than are asked for have co-signed it.
    #[error(
        "{found} of the {needed} witnesses that are asked for have co-signed the checkpoint: have \
         more of them co-sign it"
    )]
    TooFewWitnesses {
        /// How many are asked for.
        needed: usize,
        /// How many there are.
        found: usize,
    },
}

/// Reads a checkpoint of the log with this origin, and checks the signature by the log's Ed25519 key.
///
/// Signatures by others, of witnesses say, may stand beside it, and are passed over as the
/// specification asks for. Every signature that bears the name and id of this key must hold.
///
/// The key is the one that [`OpenLine`] tells and certifies.
///
/// ```
/// # use strongroom_audit::{CheckpointLine, OpenLine, signed_note};
/// # use strongroom_core::{Digest, DirectoryId, LogId, StoreId, Timestamp};
/// use strongroom_audit::{NoteError, open_note, origin};
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
/// let forged = signed_note(&open, &checkpoint);
/// let name = origin(open.store, open.log);
/// assert_eq!(open_note(&forged, &name, &open.log_key), Err(NoteError::WrongSignature));
/// assert_eq!(open_note(&forged, &name, &[9; 32]), Err(NoteError::NotSigned));
/// ```
///
/// # Errors
/// `Malformed`, `OtherLog`, `NotSigned` or `WrongSignature`; nothing of the note may be believed then.
pub fn open_note(note: &str, origin: &str, key: &[u8; 32]) -> Result<TreeHead, NoteError> {
    let note = Note::read(note)?;
    note.check_log(origin, key)?;
    Ok(note.head)
}

/// The key of a log as tools for signed notes take it: name, key id in hex and base64 of 1 (for
/// Ed25519) and the key, with plus signs between, as Go's
/// [`sumdb/note`](https://pkg.go.dev/golang.org/x/mod/sumdb/note) writes them.
///
/// ```
/// # use strongroom_audit::{OpenLine, verifier_key};
/// # use strongroom_core::{DirectoryId, LogId, StoreId, Timestamp};
/// # let open = OpenLine {
/// #     store: StoreId::from_bytes([0x40; 16]), log: LogId::from_bytes([0x30; 8]),
/// #     directory: DirectoryId::from_bytes([0x20; 8]),
/// #     store_key: [0; 32], log_key: [2; 32], certificate: [0; 64], at: Timestamp::default(),
/// # };
/// assert!(verifier_key(&open).starts_with(
///     "strongroom/40404040404040404040404040404040/3030303030303030+"
/// ));
/// ```
#[must_use]
pub fn verifier_key(open: &OpenLine) -> String {
    let name = origin(open.store, open.log);
    write_verifier_key(&name, ED25519, &open.log_key)
}

/// Name, key id and key, with plus signs between.
pub(crate) fn write_verifier_key(name: &str, kind: u8, key: &[u8; 32]) -> String {
    let id = u32::from_be_bytes(key_hash(name, kind, key));
    let key = [&[kind], key.as_slice()].concat();
    format!("{name}+{id:08x}+{}", Base64::encode_string(&key))
}

/// A note that is in order, and that nobody may believe yet.
pub(crate) struct Note<'a> {
    /// What is signed.
    pub(crate) text: &'a str,
    origin: &'a str,
    pub(crate) head: TreeHead,
    signatures: Vec<Signature<'a>>,
}

struct Signature<'a> {
    name: &'a str,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl<'a> Note<'a> {
    pub(crate) fn read(note: &'a str) -> Result<Self, NoteError> {
        let malformed = |detail| NoteError::Malformed { detail };
        if note.len() > MAX_NOTE_BYTES {
            return Err(malformed("it is longer than 256 KiB"));
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(malformed("it has control characters"));
        }
        // The last empty line separates the text from the signatures.
        let (text, signatures) =
            note.rsplit_once("\n\n").ok_or(malformed("no empty line ends its text"))?;
        let text = note.get(..=text.len()).unwrap_or_default();
        if signatures.is_empty() || !signatures.ends_with('\n') {
            return Err(malformed("it has no signature, or its last line has no end"));
        }
        let signatures = signatures
            .lines()
            .map(read_signature)
            .collect::<Option<_>>()
            .ok_or(malformed("a signature is not in order"))?;
        let (origin, head) =
            read_checkpoint(text).ok_or(malformed("its text is not origin, size and root"))?;
        Ok(Self { text, origin, head, signatures })
    }

    /// Whether it is of this log, which signed it: each signature by this key must hold.
    pub(crate) fn check_log(&self, origin: &str, key: &[u8; 32]) -> Result<(), NoteError> {
        if self.origin != origin {
            return Err(NoteError::OtherLog);
        }
        let mut is_signed = false;
        for signature in self.signed_by(origin, key_hash(origin, ED25519, key)) {
            let holds = <&[u8; 64]>::try_from(signature)
                .is_ok_and(|signature| verifies(key, self.text.as_bytes(), signature));
            if !holds {
                return Err(NoteError::WrongSignature);
            }
            is_signed = true;
        }
        if is_signed { Ok(()) } else { Err(NoteError::NotSigned) }
    }

    /// The signatures that claim to be by the key of this name and id.
    pub(crate) fn signed_by(&self, name: &str, key_id: [u8; 4]) -> impl Iterator<Item = &[u8]> {
        self.signatures
            .iter()
            .filter(move |signature| signature.name == name && signature.key_id == key_id)
            .map(|signature| signature.signature.as_slice())
    }
}

fn read_signature(line: &str) -> Option<Signature<'_>> {
    let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let signature = Base64::decode_vec(signature).ok()?;
    let (key_id, signature) = signature.split_first_chunk()?;
    let is_whole = is_key_name(name) && !signature.is_empty();
    is_whole.then(|| Signature { name, key_id: *key_id, signature: signature.to_vec() })
}

/// Whether a key may be called so.
pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c < ' ' || c.is_whitespace() || c == '+')
}

/// Origin, size and root in the one spelling that a log's writer signs.
fn read_checkpoint(text: &str) -> Option<(&str, TreeHead)> {
    let mut lines = text.lines();
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    let head = TreeHead { size: size.parse().ok()?, root: read_digest(root)? };
    let again = checkpoint_text(origin, head);
    (!origin.is_empty() && again == text).then_some((origin, head))
}

/// A digest in base64: with its padding, and no other spelling.
pub(crate) fn read_digest(text: &str) -> Option<Digest> {
    Base64::decode_vec(text).ok()?.try_into().ok().map(Digest::from_bytes)
}
