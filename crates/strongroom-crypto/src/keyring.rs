//! The keyring: one record that holds all keys of a store but those of its namespaces.
//!
//! Its clear part names the store and holds the root key once for each seal, wrapped. Its body,
//! encrypted under the root key and bound to the clear part, holds the rest. An Ed25519 signature
//! covers both, and the store's id is a digest of the key that verifies it.

use strongroom_core::{Entropy, EntropyError, SealId, SecretValue, StoreId, WrappedKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::accepted::{self, Accepted, Format};
use crate::audit_keys::AuditKey;
use crate::codec::{NotCanonical, Reader, Writer};
use crate::identity::{Identity, store_id, verify_signature};
use crate::kdf::digest;
use crate::lineage::Lineage;
use crate::names::NameKey;
use crate::namespace::key_bytes;
use crate::padding::{is_zero, padded_len};
use crate::record::{Context, Purpose, RecordError, RecordKey, Suite, record_key_id};

const MAGIC: &[u8; 8] = b"strngrm\0";
const FORMAT: u8 = 1;
const CHECKSUM: usize = 8;
const SIGNATURE: usize = 64;
const MAX_SEALS: usize = 16;
const MAX_KIND: usize = 32;
const MAX_PARAMETERS: usize = 1024;
const MAX_WRAPPED: usize = 4096;
const MAX_KEYRING: usize = 64 * 1024;

/// Why a keyring was not opened.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum KeyringError {
    /// It does not begin as a keyring does.
    #[error("this record is no keyring: point to a strongroom store")]
    NotAKeyring,
    /// A newer version wrote it.
    #[error("the keyring has format {format}, which is newer: update this program")]
    TooNew {
        /// The format.
        format: u8,
    },
    /// Bits rotted. The passphrase is not at fault.
    #[error("the keyring is damaged (its checksum is wrong): restore it from a backup")]
    Checksum,
    /// It was changed by somebody without the store's identity key.
    #[error("the keyring was changed (its signature is wrong): restore it from a backup")]
    Signature,
    /// The root key is not the one that encrypts its body.
    #[error("the root key is not this keyring's: a seal was replaced meanwhile")]
    WrongRoot,
    /// A newer version wrote it: it accepts, or writes, what this build does not know.
    #[error(
        "the keyring names {what} {number}, which this build does not know: update this program"
    )]
    UnknownAccepted {
        /// `suite` or `format`.
        what: &'static str,
        /// Its number.
        number: u8,
    },
    /// The body does not open.
    #[error("the body of the keyring does not open")]
    Body(#[source] RecordError),
    /// It is not what this format writes.
    #[error(transparent)]
    Content(#[from] NotCanonical),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// One seal of a keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealEntry {
    /// Its id.
    pub id: SealId,
    /// Its kind.
    pub kind: String,
    /// The root key as it holds it.
    pub wrapped: WrappedKey,
}

/// An open keyring.
#[derive(Debug)]
pub struct Keyring {
    /// Which store.
    pub store: StoreId,
    /// Counts the replacements, from 1.
    pub generation: u64,
    /// The seals that open the store.
    pub seals: Vec<SealEntry>,
    /// What it replaced, and by which write.
    pub lineage: Lineage,
    /// Encrypts the body and the namespace records.
    pub root: RecordKey,
    /// The root key before, while records under it are left.
    pub leaving_root: Option<RecordKey>,
    /// Hides the names of namespaces.
    pub store_names: NameKey,
    /// Hides and reads names in the log.
    pub audit: AuditKey,
    /// Signs.
    pub identity: Identity,
    /// The cipher for new records.
    pub suite: Suite,
    /// The suites and formats that records may have. The keys of an opened keyring, and those in
    /// the namespace records that they open, refuse all others.
    pub accepted: Accepted,
}

impl Keyring {
    /// The keyring of a new store, without seals yet.
    ///
    /// # Errors
    /// Where randomness fails.
    pub fn generate(
        suite: Suite,
        lineage: Lineage,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        let identity = Identity::generate(entropy)?;
        Ok(Self {
            store: store_id(&identity.public_key()),
            generation: 1,
            seals: Vec::new(),
            lineage,
            root: RecordKey::generate(entropy)?,
            leaving_root: None,
            store_names: NameKey::generate(entropy)?,
            audit: AuditKey::generate(entropy)?,
            identity,
            suite,
            accepted: Accepted::ALL,
        })
    }

    /// The root key, for a seal to wrap.
    #[must_use]
    pub fn root_key_for_wrapping(&self) -> SecretValue {
        SecretValue::copied_from(self.root.prk().secret())
    }

    /// Encodes, encrypts the body and signs.
    ///
    /// # Errors
    /// `Content` beyond the limits; `Entropy`.
    pub fn encode(&self, entropy: &dyn Entropy) -> Result<Vec<u8>, KeyringError> {
        let mut clear = Writer::with_capacity(1024);
        clear.bytes(MAGIC);
        clear.u8(FORMAT);
        clear.bytes(self.store.as_bytes());
        clear.bytes(&self.identity.public_key());
        clear.u64(self.generation);
        // What could not be opened again is not written.
        if self.seals.len() > MAX_SEALS
            || self.generation == 0
            || self.store != store_id(&self.identity.public_key())
            || !writes_what_it_accepts(self.accepted, self.suite)
            || repeats_a_seal(&self.seals)
        {
            return Err(NotCanonical.into());
        }
        clear.u8(u8::try_from(self.seals.len()).map_err(|_| NotCanonical)?);
        for seal in &self.seals {
            if seal.kind.len() > MAX_KIND
                || seal.wrapped.parameters.len() > MAX_PARAMETERS
                || seal.wrapped.wrapped.len() > MAX_WRAPPED
            {
                return Err(NotCanonical.into());
            }
            clear.bytes(seal.id.as_bytes());
            clear.short(seal.kind.as_bytes())?;
            clear.short(&seal.wrapped.parameters)?;
            clear.short(&seal.wrapped.wrapped)?;
        }
        let clear = clear.finish();
        let sum = digest(&clear);
        let parts: &[&[u8]] = &[sum.as_bytes()];
        let context = Context { purpose: Purpose::KeyringBody, store: self.store, parts };
        let body = self
            .root
            .encrypt(self.suite, &context, &self.encode_body()?, entropy)
            .map_err(KeyringError::Body)?;
        let mut record = Writer::with_capacity(clear.len() + body.len() + 96);
        record.bytes(&clear);
        record.u32(u32::try_from(body.len()).map_err(|_| NotCanonical)?);
        record.bytes(&body);
        let mut record = record.finish().to_vec();
        record.extend_from_slice(&self.identity.sign(&record));
        let checksum = digest(&record);
        record.extend_from_slice(checksum.as_bytes().get(..CHECKSUM).unwrap_or_default());
        if record.len() > MAX_KEYRING {
            return Err(NotCanonical.into());
        }
        Ok(record)
    }

    fn encode_body(&self) -> Result<Zeroizing<Vec<u8>>, NotCanonical> {
        let mut body = Writer::with_capacity(1024);
        self.lineage.encode(&mut body);
        body.bytes(self.root.prk().secret());
        body.u8(u8::from(self.leaving_root.is_some()));
        if let Some(leaving) = &self.leaving_root {
            body.bytes(leaving.prk().secret());
        }
        body.bytes(self.store_names.secret());
        body.bytes(self.audit.secret());
        body.bytes(self.identity.seed());
        body.u8(self.suite.number());
        self.accepted.encode(&mut body)?;
        let padded = padded_len(body.len());
        let mut body = body.finish();
        // INVARIANT: the body is shorter than the buffer's first size, so this moves nothing.
        body.resize(padded, 0);
        Ok(body)
    }
}

/// A keyring whose clear part was read and verified. A root key opens it.
#[derive(Debug)]
pub struct SealedKeyring {
    store: StoreId,
    public_key: [u8; 32],
    generation: u64,
    seals: Vec<SealEntry>,
    clear: strongroom_core::Digest,
    body: Vec<u8>,
}

impl SealedKeyring {
    /// Reads a keyring, and verifies its checksum, signature and store id.
    ///
    /// # Errors
    /// See [`KeyringError`].
    pub fn parse(record: &[u8]) -> Result<Self, KeyringError> {
        let mut reader = Reader::new(record);
        if reader.array::<8>().ok().as_ref() != Some(MAGIC) {
            return Err(KeyringError::NotAKeyring);
        }
        let format = reader.u8().map_err(|_| KeyringError::Checksum)?;
        if format > FORMAT {
            return Err(KeyringError::TooNew { format });
        }
        let (signed, checksum) =
            record.split_last_chunk::<CHECKSUM>().ok_or(KeyringError::Checksum)?;
        if record.len() > MAX_KEYRING
            || digest(signed).as_bytes().first_chunk::<CHECKSUM>() != Some(checksum)
        {
            return Err(KeyringError::Checksum);
        }
        let (message, signature) =
            signed.split_last_chunk::<SIGNATURE>().ok_or(KeyringError::Signature)?;
        let mut reader = Reader::new(message);
        reader.bytes(MAGIC.len() + 1)?;
        let store = StoreId::from_bytes(reader.array()?);
        let public_key: [u8; 32] = reader.array()?;
        if store_id(&public_key) != store || !verify_signature(&public_key, message, signature) {
            return Err(KeyringError::Signature);
        }
        let generation = reader.u64()?;
        let count = reader.u8()?;
        if usize::from(count) > MAX_SEALS || generation == 0 || format != FORMAT {
            return Err(NotCanonical.into());
        }
        let seals = (0..count)
            .map(|_| seal_entry(&mut reader))
            .collect::<Result<Vec<_>, NotCanonical>>()?;
        if repeats_a_seal(&seals) {
            return Err(NotCanonical.into());
        }
        let clear = message.len() - reader.rest().len();
        let clear = digest(message.get(..clear).unwrap_or_default());
        let length = usize::try_from(reader.u32()?).map_err(|_| NotCanonical)?;
        let body = reader.bytes(length)?.to_vec();
        reader.end()?;
        Ok(Self { store, public_key, generation, seals, clear, body })
    }

    /// Which store.
    #[must_use]
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// The key that the store's signatures are verified with.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// Counts the replacements, from 1.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The seals that open the store.
    #[must_use]
    pub fn seals(&self) -> &[SealEntry] {
        &self.seals
    }

    /// Opens the body with the root key.
    ///
    /// # Errors
    /// `WrongRoot` where it is another key; see [`KeyringError`].
    pub fn open(&self, root: &SecretValue) -> Result<Keyring, KeyringError> {
        // EXPOSE: the root key becomes the key that opens the body.
        let root = root.expose(|bytes| <&[u8; 32]>::try_from(bytes).map(RecordKey::from_bytes));
        let root = root.map_err(|_| KeyringError::WrongRoot)?;
        if record_key_id(&self.body).map_err(KeyringError::Body)? != root.id() {
            return Err(KeyringError::WrongRoot);
        }
        let parts: &[&[u8]] = &[self.clear.as_bytes()];
        let context = Context { purpose: Purpose::KeyringBody, store: self.store, parts };
        let body = root.decrypt(&context, &self.body).map_err(KeyringError::Body)?;
        let mut reader = Reader::new(&body);
        let lineage = Lineage::decode(&mut reader)?;
        if !RecordKey::from_bytes(key_bytes(&mut reader)?).prk().ct_eq(root.prk()) {
            return Err(NotCanonical.into());
        }
        let leaving_root = match reader.u8()? {
            0 => None,
            1 => Some(RecordKey::from_bytes(key_bytes(&mut reader)?)),
            _ => return Err(NotCanonical.into()),
        };
        let store_names = NameKey::from_bytes(key_bytes(&mut reader)?);
        let audit = AuditKey::from_bytes(key_bytes(&mut reader)?);
        let identity = Identity::from_seed(key_bytes(&mut reader)?);
        let suite = accepted::suite(reader.u8()?)?;
        let accepted = Accepted::decode(&mut reader)?;
        // The body was decrypted before the lists in it were known: now they bind it too.
        let root = root.accepting(accepted);
        root.refuse_foreign(&self.body).map_err(KeyringError::Body)?;
        let encoded = body.len() - reader.rest().len();
        if identity.public_key() != self.public_key
            || !writes_what_it_accepts(accepted, suite)
            || self.body.get(1) != Some(&suite.number())
            || padded_len(encoded) != body.len()
            || !is_zero(reader.rest())
        {
            return Err(NotCanonical.into());
        }
        Ok(Keyring {
            store: self.store,
            generation: self.generation,
            seals: self.seals.clone(),
            lineage,
            root,
            leaving_root: leaving_root.map(|root| root.accepting(accepted)),
            store_names,
            audit: audit.accepting(accepted),
            identity,
            suite,
            accepted,
        })
    }
}

/// What a store writes, it must be able to read again.
fn writes_what_it_accepts(accepted: Accepted, suite: Suite) -> bool {
    accepted.suite(suite) && accepted.format(Format::V1)
}

fn repeats_a_seal(seals: &[SealEntry]) -> bool {
    let mut rest = seals;
    while let Some((first, others)) = rest.split_first() {
        if others.iter().any(|other| other.id == first.id) {
            return true;
        }
        rest = others;
    }
    false
}

fn seal_entry(reader: &mut Reader<'_>) -> Result<SealEntry, NotCanonical> {
    let id = SealId::from_bytes(reader.array()?);
    let kind = reader.text()?;
    let (parameters, wrapped) = (reader.short()?, reader.short()?);
    if kind.len() > MAX_KIND || parameters.len() > MAX_PARAMETERS || wrapped.len() > MAX_WRAPPED {
        return Err(NotCanonical);
    }
    let wrapped = WrappedKey { parameters: parameters.to_vec(), wrapped: wrapped.to_vec() };
    Ok(SealEntry { id, kind: kind.to_owned(), wrapped })
}
