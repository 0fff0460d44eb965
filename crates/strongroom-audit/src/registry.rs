//! Registry records: what the storage keeps of each log, so that a log that was cut, replaced or
//! taken away is missed by the storage, and a storage that was set back by the log.
//!
//! A record names a log, the directory that keeps it, and the head of its tree. It is signed by the
//! store's identity key and says with which, so that a verifier needs nothing but the store's id.

use std::sync::OnceLock;

use strongroom_core::{Digest, DirectoryId, Key, LogId, StoreId, TreeHead};
use thiserror::Error;

use crate::certificate::{store_id, verifies};

/// The first byte of the key of a registry record; the log's id follows.
pub(crate) const KEY_CLASS: u8 = 5;
const FORMAT: u8 = 1;
const BODY: usize = 1 + 32 + 8 + 8 + 1 + 8 + 32;

/// How a log stands that a registry record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogStage {
    /// 1: lines may follow those that were registered.
    Open,
    /// 2: its writer ended it. The registered lines are all but the last.
    Ended,
    /// 3: its writer died, and another log settled it. The registered lines are all of them.
    Settled,
    /// 4: lines of it that were registered are gone, and whoever opened the store accepted that.
    Lost,
    /// 5: it may be removed. A snapshot in another log tells what is needed of it.
    Pruned,
}

impl LogStage {
    const fn number(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Ended => 2,
            Self::Settled => 3,
            Self::Lost => 4,
            Self::Pruned => 5,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Open,
            2 => Self::Ended,
            3 => Self::Settled,
            4 => Self::Lost,
            5 => Self::Pruned,
            _ => return None,
        })
    }
}

/// A stored record that is no registry record of this store and key.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// Another length, version, stage or log than it should have.
    #[error("a registry record is not of this format: run `verify`, and restore from a backup")]
    Malformed,
    /// Not signed by this store.
    #[error(
        "a registry record does not carry this store's signature: run `verify`, and restore from a \
         backup"
    )]
    Signature,
}

/// What the storage says of a log.
///
/// ```
/// use strongroom_audit::{LogStage, RegistryRecord};
/// use strongroom_core::{Digest, DirectoryId, LogId, TreeHead};
///
/// let record = RegistryRecord {
///     log: LogId::from_bytes([7; 8]),
///     directory: DirectoryId::from_bytes([8; 8]),
///     stage: LogStage::Open,
///     head: TreeHead { size: 1, root: Digest::from_bytes([9; 32]) },
/// };
/// assert_eq!(record.key().as_bytes(), [5, 7, 7, 7, 7, 7, 7, 7, 7]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryRecord {
    /// Which log.
    pub log: LogId,
    /// Who keeps it.
    pub directory: DirectoryId,
    /// How it stands.
    pub stage: LogStage,
    /// So many lines were synced before this record was written.
    pub head: TreeHead,
}

impl RegistryRecord {
    /// The storage key: 5 ‖ log id.
    #[must_use]
    pub fn key(&self) -> Key {
        registry_key(self.log)
    }

    /// The bytes to store; `sign` is the store's identity key (Ed25519), `public_key` what verifies
    /// it.
    #[must_use]
    pub fn encode(&self, public_key: &[u8; 32], sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Vec<u8> {
        let mut record = Vec::with_capacity(BODY + 64);
        record.push(FORMAT);
        record.extend_from_slice(public_key);
        record.extend_from_slice(self.log.as_bytes());
        record.extend_from_slice(self.directory.as_bytes());
        record.push(self.stage.number());
        record.extend_from_slice(&self.head.size.to_be_bytes());
        record.extend_from_slice(self.head.root.as_bytes());
        let signature = sign(&message(&record));
        record.extend_from_slice(&signature);
        record
    }

    /// Takes a stored record apart, and verifies that the store with that id signed it for its key.
    ///
    /// # Errors
    /// Where it did not.
    pub fn verify(store: StoreId, key: &Key, record: &[u8]) -> Result<Self, RegistryError> {
        let (parsed, public_key) = Self::parse(key, record)?;
        let (body, signature) = record.split_at_checked(BODY).ok_or(RegistryError::Malformed)?;
        let signature = signature.try_into().map_err(|_| RegistryError::Malformed)?;
        if store_id(&public_key) != store || !verifies(&public_key, &message(body), signature) {
            return Err(RegistryError::Signature);
        }
        Ok(parsed)
    }

    /// Takes a stored record apart, whoever made it: for what need not be believed.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn peek(key: &Key, record: &[u8]) -> Result<Self, RegistryError> {
        Self::parse(key, record).map(|(parsed, _)| parsed)
    }

    fn parse(key: &Key, record: &[u8]) -> Result<(Self, [u8; 32]), RegistryError> {
        let malformed = RegistryError::Malformed;
        let (body, signature) = record.split_at_checked(BODY).ok_or(malformed)?;
        if signature.len() != 64 {
            return Err(malformed);
        }
        let mut fields = Fields(body);
        let format = fields.take::<1>().ok_or(malformed)?;
        let public_key = fields.take::<32>().ok_or(malformed)?;
        let log = LogId::from_bytes(fields.take().ok_or(malformed)?);
        let directory = DirectoryId::from_bytes(fields.take().ok_or(malformed)?);
        let [stage] = fields.take::<1>().ok_or(malformed)?;
        let stage = LogStage::from_number(stage).ok_or(malformed)?;
        let size = u64::from_be_bytes(fields.take().ok_or(malformed)?);
        let root = Digest::from_bytes(fields.take().ok_or(malformed)?);
        if format != [FORMAT] || *key != registry_key(log) {
            return Err(malformed);
        }
        Ok((Self { log, directory, stage, head: TreeHead { size, root } }, public_key))
    }
}

/// A registry record as it is stored, whose signature is verified at most once: whoever opens a store
/// asks for each of many records several times.
#[derive(Debug)]
pub struct StoredRegistryRecord {
    key: Key,
    bytes: Vec<u8>,
    /// For whom it was verified, and what came of it.
    verified: OnceLock<(StoreId, Result<RegistryRecord, RegistryError>)>,
}

impl StoredRegistryRecord {
    /// What is stored under that key, unread.
    #[must_use]
    pub const fn new(key: Key, bytes: Vec<u8>) -> Self {
        Self { key, bytes, verified: OnceLock::new() }
    }

    /// As [`RegistryRecord::verify`].
    ///
    /// # Errors
    /// Where the store with that id did not sign it for its key.
    pub fn verify(&self, store: StoreId) -> Result<RegistryRecord, RegistryError> {
        let verify = || RegistryRecord::verify(store, &self.key, &self.bytes);
        match self.verified.get_or_init(|| (store, verify())) {
            (of, verified) if *of == store => *verified,
            _ => verify(),
        }
    }

    /// As [`RegistryRecord::peek`].
    ///
    /// # Errors
    /// `Malformed`.
    pub fn peek(&self) -> Result<RegistryRecord, RegistryError> {
        RegistryRecord::peek(&self.key, &self.bytes)
    }
}

fn registry_key(log: LogId) -> Key {
    Key::new([&[KEY_CLASS], log.as_bytes().as_slice()].concat())
}

/// `"strongroom/log-registry/v1" 00 ‖ body`.
fn message(body: &[u8]) -> Vec<u8> {
    [b"strongroom/log-registry/v1\0", body].concat()
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    fn signed() -> (StoreId, RegistryRecord, Vec<u8>) {
        let signer = SigningKey::from_bytes(&[3; 32]);
        let public_key = signer.verifying_key().to_bytes();
        let record = RegistryRecord {
            log: LogId::from_bytes([7; 8]),
            directory: DirectoryId::from_bytes([8; 8]),
            stage: LogStage::Ended,
            head: TreeHead { size: 300, root: Digest::from_bytes([9; 32]) },
        };
        let bytes = record.encode(&public_key, |message| signer.sign(message).to_bytes());
        (store_id(&public_key), record, bytes)
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let (store, record, bytes) = signed();
        assert_eq!(RegistryRecord::verify(store, &record.key(), &bytes), Ok(record));
        let stored = StoredRegistryRecord::new(record.key(), bytes.clone());
        assert_eq!(stored.verify(store), Ok(record));
        assert_eq!(stored.verify(store), Ok(record), "the second time, too");
    }

    #[test]
    fn every_flip_and_every_length_is_refused() {
        let (store, record, bytes) = signed();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(RegistryRecord::verify(store, &record.key(), &flipped).is_err(), "{at}");
            }
            assert!(RegistryRecord::verify(store, &record.key(), &bytes[..at]).is_err());
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(RegistryRecord::verify(store, &record.key(), &longer).is_err());
    }

    #[test]
    fn a_record_of_another_store_or_log_is_refused() {
        let (store, record, bytes) = signed();
        let other = RegistryRecord { log: LogId::from_bytes([6; 8]), ..record };
        let refused = RegistryRecord::verify(store, &other.key(), &bytes);
        assert_eq!(refused, Err(RegistryError::Malformed));
        let elsewhere = StoreId::from_bytes([1; 16]);
        let stored = StoredRegistryRecord::new(record.key(), bytes.clone());
        assert_eq!(stored.verify(store), Ok(record));
        assert_eq!(stored.verify(elsewhere), Err(RegistryError::Signature), "of nobody else");
        let refused = RegistryRecord::verify(elsewhere, &record.key(), &bytes);
        assert_eq!(refused, Err(RegistryError::Signature));
    }
}
