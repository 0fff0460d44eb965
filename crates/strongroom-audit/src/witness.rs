//! Witnesses: who remembers of each log the newest checkpoint, and co-signs only what goes on from it.
//!
//! What a host says to one is [C2SP tlog-witness](https://c2sp.org/tlog-witness).

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use thiserror::Error;

use crate::checkpoint::key_hash;
use crate::note::{is_key_name, write_verifier_key};
use crate::proof::ConsistencyProof;

/// The kind of a witness's signature: Ed25519 over the time and the text of the note.
const COSIGNATURE: u8 = 4;

/// Why a witness, or several, are not taken.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WitnessError {
    /// It is not the verifier key of a witness.
    #[error(
        "this is no verifier key of a witness: {detail}; get it again from who runs the witness"
    )]
    Malformed {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// A key of signed notes is not called so.
    #[error("the name of a key is empty, or has white space or a plus sign: choose another")]
    Name,
    /// Two of them have one name or one key, and would count twice.
    #[error("the witness {name} is there twice, by its name or by its key: name each once")]
    Repeated {
        /// The name of the second.
        name: Box<str>,
    },
    /// None are asked for, or more than there are.
    #[error(
        "{needed} of {given} witnesses cannot be asked for: ask for one at least, and at most all"
    )]
    OutOfReach {
        /// How many are asked for.
        needed: usize,
        /// How many there are.
        given: usize,
    },
}

/// Who co-signs checkpoints: a name and an Ed25519 key, as whoever runs the witness tells them.
///
/// Read from, and printed as, a verifier key: name, key id in hex and base64 of 4 (for cosignatures)
/// and the key, with plus signs between.
///
/// ```
/// use strongroom_audit::Witness;
///
/// let witness = Witness::new("witness.example/w1", [2; 32])?;
/// assert_eq!(witness.to_string().parse(), Ok(witness));
/// # Ok::<(), strongroom_audit::WitnessError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Witness {
    name: Box<str>,
    key: [u8; 32],
}

impl Witness {
    /// The witness with this name and key.
    ///
    /// # Errors
    /// `Name` where the name is empty, or has white space, control characters or a plus sign.
    pub fn new(name: impl Into<Box<str>>, key: [u8; 32]) -> Result<Self, WitnessError> {
        let name = name.into();
        if is_key_name(&name) { Ok(Self { name, key }) } else { Err(WitnessError::Name) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its Ed25519 key.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    pub(crate) fn key_id(&self) -> [u8; 4] {
        key_hash(&self.name, COSIGNATURE, &self.key)
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_verifier_key(&self.name, COSIGNATURE, &self.key))
    }
}

impl FromStr for Witness {
    type Err = WitnessError;

    fn from_str(text: &str) -> Result<Self, WitnessError> {
        let malformed = |detail| WitnessError::Malformed { detail };
        // Base64 has plus signs too; a name and a key id have none.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("it is not name, key id and key"));
        };
        let key = Base64::decode_vec(key).map_err(|_| malformed("its key is not base64"))?;
        let key = match key.split_first() {
            Some((&COSIGNATURE, key)) => key.try_into(),
            _ => return Err(malformed("its key is not one for cosignatures, of type 4")),
        };
        let key = key.map_err(|_| malformed("its key is not 32 bytes long"))?;
        let witness = Self::new(name, key)?;
        if witness.to_string() == text {
            Ok(witness)
        } else {
            Err(malformed("its key id is that of another key"))
        }
    }
}

/// How many of which witnesses must have co-signed a checkpoint: so many that not all of them would
/// deceive together.
///
/// ```
/// use strongroom_audit::{Witness, WitnessQuorum};
///
/// let witnesses = [Witness::new("w1", [1; 32])?, Witness::new("w2", [2; 32])?];
/// let both = WitnessQuorum::new(2, witnesses.clone())?;
/// assert_eq!(both.needed(), 2);
/// assert!(WitnessQuorum::new(3, witnesses).is_err());
/// # Ok::<(), strongroom_audit::WitnessError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessQuorum {
    witnesses: Vec<Witness>,
    needed: usize,
}

impl WitnessQuorum {
    /// So many of these witnesses.
    ///
    /// # Errors
    /// `Repeated` where two have one name or one key, `OutOfReach` where none are needed or more than
    /// there are.
    pub fn new(
        needed: usize,
        witnesses: impl IntoIterator<Item = Witness>,
    ) -> Result<Self, WitnessError> {
        let witnesses: Vec<Witness> = witnesses.into_iter().collect();
        let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for witness in &witnesses {
            if !names.insert(witness.name()) || !keys.insert(witness.key()) {
                return Err(WitnessError::Repeated { name: witness.name.clone() });
            }
        }
        if needed == 0 || needed > witnesses.len() {
            return Err(WitnessError::OutOfReach { needed, given: witnesses.len() });
        }
        Ok(Self { witnesses, needed })
    }

    /// This one alone.
    pub(crate) fn of(witness: Witness) -> Self {
        Self { witnesses: vec![witness], needed: 1 }
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// How many of them are needed.
    #[must_use]
    pub const fn needed(&self) -> usize {
        self.needed
    }
}

/// What a witness is asked with to co-sign a checkpoint: the body of `POST …/add-checkpoint`.
///
/// The proof begins at the size that the witness has co-signed last, 0 where it knows none. If it has
/// another, it answers with status 409 and that size as the body. With 200 it answers with lines to
/// append to the note: [`open_cosigned_note`](crate::open_cosigned_note) says what they are worth.
///
/// ```
/// use strongroom_audit::{ConsistencyProof, add_checkpoint_request};
///
/// let proof = ConsistencyProof { old: 0, new: 12, path: Vec::new() };
/// let request = add_checkpoint_request(&proof, "example.com/log\n12\n…");
/// assert_eq!(request, "old 0\n\nexample.com/log\n12\n…");
/// ```
#[must_use]
pub fn add_checkpoint_request(proof: &ConsistencyProof, note: &str) -> String {
    let mut request = format!("old {}\n", proof.old);
    for digest in &proof.path {
        // Writing to a string cannot fail.
        let _ = writeln!(request, "{}", Base64::encode_string(digest.as_bytes()));
    }
    request.push('\n');
    request.push_str(note);
    request
}
