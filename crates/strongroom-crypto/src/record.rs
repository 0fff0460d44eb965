//! The one construction that encrypts every record.
//!
//! ```text
//! record = 0x01 | suite u8 | key id 8 | salt 24 | nonce 12 | commitment 32 | ciphertext | tag 16
//! k ‖ c  = HKDF-Expand-SHA256(K, "strongroom/record/v1" 00 ‖ record[0..34] ‖ SHA-256(context), 64)
//! ```
//!
//! The commitment `c` is compared before the cipher runs, so that "wrong key or moved record" and
//! "damaged" are different answers, and no record opens under two keys.

use std::fmt;

use sha2::{Digest as _, Sha256};
use strongroom_core::{Entropy, EntropyError, StoreId};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::accepted::{Accepted, Format};
use crate::aead;
use crate::codec::NotCanonical;
use crate::kdf::Prk;

/// How much longer a record is than its plaintext, in bytes.
pub const RECORD_OVERHEAD: usize = HEADER + NONCE + COMMITMENT + aead::TAG;

/// Format, suite, key id and salt: what the derived key depends on.
const HEADER: usize = 34;
const SALT: usize = 24;
const NONCE: usize = 12;
const COMMITMENT: usize = 32;
const KEY_ID_LABEL: &[u8] = b"strongroom/key-id/v1\0";
const RECORD_LABEL: &[u8] = b"strongroom/record/v1\0";

/// A cipher, by its number in the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// AES-256-GCM: the faster one where the processor has AES instructions.
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305: the faster one elsewhere.
    ChaCha20Poly1305 = 2,
}

impl Suite {
    /// All suites, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::ChaCha20Poly1305];

    /// The number in the format.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }

    /// The suite of that number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }
}

/// Which key encrypted a record: derived from the key, and tells nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The id made of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a record is for, so that none passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The head of a secret; part: its storage key.
    Head = 1,
    /// A namespace record; part: its storage key.
    Namespace = 2,
    /// The body of the keyring; part: SHA-256 of its clear part.
    KeyringBody = 3,
    /// A root key wrapped by a seal; parts: seal id, kind, parameters.
    SealWrap = 4,
    /// The registry record of an audit log; part: the log's id.
    LogRegistry = 5,
    /// A name in the audit log; part: the log's id.
    AuditName = 6,
}

impl Purpose {
    const fn number(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Namespace => 2,
            Self::KeyringBody => 3,
            Self::SealWrap => 4,
            Self::LogRegistry => 5,
            Self::AuditName => 6,
        }
    }
}

/// Where a record belongs: it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// The store.
    pub store: StoreId,
    /// What else it is bound to, as [`Purpose`] says. At most 65,535 bytes each.
    pub parts: &'a [&'a [u8]],
}

impl Context<'_> {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update([self.purpose.number()]);
        hash.update(self.store.as_bytes());
        for part in self.parts {
            // INVARIANT: parts are storage keys, ids, digests and seal parameters, all far below
            // the limit, so that no length is cut.
            hash.update(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// Why a record was not opened or made.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum RecordError {
    /// The first two bytes are no format and suite that this build knows and the keyring accepts.
    #[error(
        "the record is in a format that this build does not know or the store does not accept (first byte {first}, suite {suite}): use a newer strongroom, or restore the record"
    )]
    UnknownFormat {
        /// The first byte; this build writes 1.
        first: u8,
        /// The second byte, which names the suite.
        suite: u8,
    },
    /// It names another key than the one that it was to be opened with.
    #[error("the record is encrypted under key {0}, which is not at hand: reload the keys")]
    UnknownKey(KeyId),
    /// The commitment is not this key's in this place: the record was moved, or is another key's.
    #[error("the record does not belong here: it was moved, or another key made it")]
    NotYours,
    /// The ciphertext, nonce or tag was changed, or the record was cut.
    #[error("the record is damaged: restore it from a backup")]
    Damaged,
    /// It opened, and its content is not what this format writes.
    #[error(transparent)]
    Content(#[from] NotCanonical),
    /// The plaintext is longer than its field or the cipher takes.
    #[error("the content is too long for one record")]
    TooLong,
    /// There was no randomness for a salt and nonce.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// A 32-byte key that encrypts records.
///
/// Holds the keyed hash state and its own id ready, so that opening a record hashes no more than
/// the format asks for. Clones share one copy in memory, wiped with the last of them.
#[derive(Clone)]
pub struct RecordKey {
    prk: Prk,
    id: KeyId,
    accepted: Accepted,
}

impl RecordKey {
    /// A new key.
    ///
    /// # Errors
    /// Where randomness fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Prk::generate(entropy).map(Self::from_prk)
    }

    /// The key made of these bytes. The caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self::from_prk(Prk::from_bytes(bytes))
    }

    pub(crate) fn from_prk(prk: Prk) -> Self {
        let mut id = [0; 8];
        prk.expand(&[KEY_ID_LABEL], &mut id);
        Self { prk, id: KeyId(id), accepted: Accepted::ALL }
    }

    /// The same key, opening only records of these suites and formats. A key that was made here
    /// accepts all that this build knows; the keys in a keyring, and in the namespace records that
    /// they open, accept what the keyring does.
    #[must_use]
    pub fn accepting(mut self, accepted: Accepted) -> Self {
        self.accepted = accepted;
        self
    }

    /// Which suites and formats it opens.
    #[must_use]
    pub fn accepted(&self) -> Accepted {
        self.accepted
    }

    /// The key's id, which stands in each record that it encrypts.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn prk(&self) -> &Prk {
        &self.prk
    }

    /// Encrypts a record, with a random salt and nonce.
    ///
    /// # Errors
    /// `Entropy`, and `TooLong` beyond some 2^36 bytes.
    pub fn encrypt(
        &self,
        suite: Suite,
        context: &Context<'_>,
        plaintext: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, RecordError> {
        let mut salt_and_nonce = [0; SALT + NONCE];
        entropy.fill(&mut salt_and_nonce)?;

        let mut record = Vec::with_capacity(RECORD_OVERHEAD + plaintext.len());
        record.extend_from_slice(&[Format::V1.number(), suite.number()]);
        record.extend_from_slice(&self.id.0);
        record.extend_from_slice(&salt_and_nonce);
        let header = record.first_chunk().ok_or(RecordError::Damaged)?;
        let derived = Derived::new(&self.prk, header, context);
        record.extend_from_slice(derived.commitment()?);
        record.extend_from_slice(plaintext);

        let nonce = salt_and_nonce.last_chunk().ok_or(RecordError::Damaged)?;
        let body = record.get_mut(HEADER + NONCE + COMMITMENT..).ok_or(RecordError::Damaged)?;
        match aead::encrypt(suite, derived.key()?, nonce, body) {
            Ok(tag) => record.extend_from_slice(&tag),
            Err(aead::Refused) => {
                record.zeroize();
                return Err(RecordError::TooLong);
            }
        }
        Ok(record)
    }

    /// Opens a record: one allocation, decrypted in place, wiped on drop.
    ///
    /// # Errors
    /// In this order: `Damaged` below [`RECORD_OVERHEAD`] bytes, `UnknownFormat`, `UnknownKey`,
    /// `NotYours`, `Damaged`.
    pub fn decrypt(
        &self,
        context: &Context<'_>,
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, RecordError> {
        let parts = Parts::split(record)?;
        let derived = self.derive(context, &parts)?;
        let mut plaintext = Zeroizing::new(parts.ciphertext.to_vec());
        aead::decrypt(parts.suite, derived.key()?, parts.nonce, &mut plaintext, parts.tag)
            .map_err(|aead::Refused| RecordError::Damaged)?;
        Ok(plaintext)
    }

    /// Derives and checks the key of one record, for a caller that opens it more than once. That
    /// it belongs here is known then; whether it is damaged is not.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt), but for what only the tag tells.
    pub fn opener(
        &self,
        context: &Context<'_>,
        record: &[u8],
    ) -> Result<RecordOpener, RecordError> {
        let parts = Parts::split(record)?;
        let derived = self.derive(context, &parts)?;
        let cipher = aead::Cipher::boxed(parts.suite, derived.key()?);
        Ok(RecordOpener { cipher, header: *parts.header, commitment: *parts.commitment })
    }

    /// The key and commitment of a record that belongs here.
    fn derive(&self, context: &Context<'_>, parts: &Parts<'_>) -> Result<Derived, RecordError> {
        self.accepts(parts)?;
        if parts.key_id != self.id {
            return Err(RecordError::UnknownKey(parts.key_id));
        }
        let derived = Derived::new(&self.prk, parts.header, context);
        if !bool::from(derived.commitment()?.ct_eq(parts.commitment)) {
            return Err(RecordError::NotYours);
        }
        Ok(derived)
    }

    /// Whether the record is in a format and suite that this key opens.
    pub(crate) fn refuse_foreign(&self, record: &[u8]) -> Result<(), RecordError> {
        self.accepts(&Parts::split(record)?)
    }

    fn accepts(&self, parts: &Parts<'_>) -> Result<(), RecordError> {
        if self.accepted.suite(parts.suite) && self.accepted.format(parts.format) {
            return Ok(());
        }
        let (first, suite) = (parts.format.number(), parts.suite.number());
        Err(RecordError::UnknownFormat { first, suite })
    }
}

/// The key of one record, ready to open it again and wiped on drop. It opens no other one.
pub struct RecordOpener {
    cipher: Box<aead::Cipher>,
    /// What the key was derived from and checked by: the cipher does not see it.
    header: [u8; HEADER],
    commitment: [u8; COMMITMENT],
}

impl RecordOpener {
    /// Opens the record that it was made for: one allocation, decrypted in place, wiped on drop.
    ///
    /// # Errors
    /// `Damaged` for a record that was changed, and for any other.
    pub fn decrypt(&self, record: &[u8]) -> Result<Zeroizing<Vec<u8>>, RecordError> {
        let parts = Parts::split(record)?;
        if (parts.header, parts.commitment) != (&self.header, &self.commitment) {
            return Err(RecordError::Damaged);
        }
        let mut plaintext = Zeroizing::new(parts.ciphertext.to_vec());
        self.cipher
            .decrypt(parts.nonce, &mut plaintext, parts.tag)
            .map_err(|aead::Refused| RecordError::Damaged)?;
        Ok(plaintext)
    }
}

impl fmt::Debug for RecordOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordOpener")
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({})", self.id)
    }
}

/// Which key a record asks for, so that a caller can pick it among several.
///
/// # Errors
/// `Damaged` below [`RECORD_OVERHEAD`] bytes, `UnknownFormat`.
pub fn record_key_id(record: &[u8]) -> Result<KeyId, RecordError> {
    Parts::split(record).map(|parts| parts.key_id)
}

/// The key of the cipher and the commitment, wiped on drop.
struct Derived(Zeroizing<[u8; 64]>);

impl Derived {
    fn new(prk: &Prk, header: &[u8; HEADER], context: &Context<'_>) -> Self {
        let mut output = Zeroizing::new([0; 64]);
        prk.expand(&[RECORD_LABEL, header, &context.digest()], &mut *output);
        Self(output)
    }

    // INVARIANT: both halves of 64 bytes are there; the error is never reached.
    fn key(&self) -> Result<&[u8; 32], RecordError> {
        self.0.first_chunk().ok_or(RecordError::Damaged)
    }

    fn commitment(&self) -> Result<&[u8; 32], RecordError> {
        self.0.last_chunk().ok_or(RecordError::Damaged)
    }
}

/// The fields of a record.
struct Parts<'a> {
    header: &'a [u8; HEADER],
    format: Format,
    suite: Suite,
    key_id: KeyId,
    nonce: &'a [u8; NONCE],
    commitment: &'a [u8; COMMITMENT],
    ciphertext: &'a [u8],
    tag: &'a [u8; aead::TAG],
}

impl<'a> Parts<'a> {
    fn split(record: &'a [u8]) -> Result<Self, RecordError> {
        let (header, rest) = record.split_first_chunk::<HEADER>().ok_or(RecordError::Damaged)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(RecordError::Damaged)?;
        let (commitment, rest) = rest.split_first_chunk().ok_or(RecordError::Damaged)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(RecordError::Damaged)?;
        let &[first, suite, a, b, c, d, e, f, g, h, ..] = header;
        let (Some(format), Some(suite)) = (Format::from_number(first), Suite::from_number(suite))
        else {
            return Err(RecordError::UnknownFormat { first, suite });
        };
        let key_id = KeyId([a, b, c, d, e, f, g, h]);
        Ok(Self { header, format, suite, key_id, nonce, commitment, ciphertext, tag })
    }
}

#[cfg(test)]
mod tests {
    use strongroom_core::path;

    use super::*;
    use crate::names::{NameKey, NamespaceId, head_key};

    /// Salt 10…27 and nonce 30…3b, as the format's vectors have them.
    #[derive(Debug)]
    struct Fixed;

    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
            for (byte, value) in buffer.iter_mut().zip((0x10..0x28).chain(0x30..0x3c)) {
                *byte = value;
            }
            Ok(())
        }
    }

    #[test]
    fn an_opener_opens_the_record_that_it_was_made_for_and_no_other() {
        let key = RecordKey::from_bytes(&[7; 32]);
        let parts: &[&[u8]] = &[b"here"];
        let store = StoreId::from_bytes([1; 16]);
        let context = Context { purpose: Purpose::Head, store, parts };
        let record = key.encrypt(Suite::Aes256Gcm, &context, b"text", &Fixed).unwrap();
        let opener = key.opener(&context, &record).unwrap();
        assert_eq!(*opener.decrypt(&record).unwrap(), b"text");
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut changed = record.clone();
                changed[at] ^= 1 << bit;
                assert!(opener.decrypt(&changed).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn records_agree_with_the_formats_vectors() {
        let count = |from: u8| std::array::from_fn(|at| from + u8::try_from(at).unwrap());
        let key = RecordKey::from_bytes(&count(0));
        assert_eq!(key.id().to_string(), "922965a2a27aca77");
        let names = NameKey::from_bytes(&count(0x80));
        let mut id = [0; 8];
        id.iter_mut().zip(0x70..).for_each(|(byte, value)| *byte = value);
        let place = head_key(NamespaceId::from_bytes(id), &names, &path!("prod/billing/db"));
        let mut store = [0; 16];
        store.iter_mut().zip(0x40..).for_each(|(byte, value)| *byte = value);
        let parts: &[&[u8]] = &[place.as_bytes()];
        let store = StoreId::from_bytes(store);
        let context = Context { purpose: Purpose::Head, store, parts };
        for (suite, expected) in [
            (Suite::Aes256Gcm, "0a9b8df6bb69d1aa01d01b477e426be23842f8f262b376bce04f20e934cc10d6"),
            (
                Suite::ChaCha20Poly1305,
                "38920801b86b2130240ac2d2e122e0cab4ed0dab43134fb025142124cc190a56",
            ),
        ] {
            let record = key.encrypt(suite, &context, b"strongroom", &Fixed).unwrap();
            assert_eq!(record.len(), 104);
            assert_eq!(crate::kdf::digest(&record).to_string(), expected);
            assert_eq!(*key.decrypt(&context, &record).unwrap(), b"strongroom");
        }
    }
}
