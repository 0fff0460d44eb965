//! Namespace records: the keys of one namespace, encrypted under the root key.

use std::collections::BTreeSet;

use strongroom_core::{Entropy, Key, Namespace, StoreId, Timestamp};
use zeroize::Zeroizing;

use crate::accepted::Accepted;
use crate::codec::{NotCanonical, Reader, Writer};
use crate::lineage::Lineage;
use crate::names::{NameKey, NamespaceId};
use crate::padding::{is_zero, padded_len};
use crate::record::{Context, Purpose, RecordError, RecordKey, Suite};

/// The most epochs that wait to leave.
pub const MAX_LEAVING_EPOCHS: usize = 4;
/// The most destroyed namespaces of one name that wait to be erased.
pub const MAX_ERASING: usize = 64;

const LIVE: u8 = 1;
const DESTROYED: u8 = 2;

/// What is stored of a namespace. Replaced by compare-and-swap, never deleted.
#[derive(Debug)]
pub struct NamespaceRecord {
    /// The name, which must yield the storage key that the record was found under.
    pub name: Namespace,
    /// Counts the replacements, from 1.
    pub generation: u64,
    /// What it replaced, and by which write.
    pub lineage: Lineage,
    /// Its keys, or that there are none any more.
    pub state: NamespaceState,
}

/// Whether a namespace has keys.
#[derive(Debug)]
pub enum NamespaceState {
    /// It has.
    Live {
        /// Random, and new for each namespace of the name.
        id: NamespaceId,
        /// Hides the names of its secrets.
        names: NameKey,
        /// The epoch that encrypts new heads.
        active: Epoch,
        /// Epochs that no new head uses, oldest first.
        leaving: Vec<Epoch>,
        /// Earlier namespaces of the name whose records are still to be erased.
        erasing: BTreeSet<NamespaceId>,
    },
    /// It was destroyed, and its keys with it.
    Destroyed {
        /// The namespaces whose records are still to be erased.
        erasing: BTreeSet<NamespaceId>,
    },
}

/// A key that encrypts the heads of a namespace for a time.
#[derive(Debug)]
pub struct Epoch {
    /// Counts the epochs, from 1.
    pub number: u64,
    /// The key.
    pub key: RecordKey,
    /// When it became active.
    pub since: Timestamp,
}

impl NamespaceRecord {
    /// Encodes, pads and encrypts.
    ///
    /// # Errors
    /// `Content` where a list is too long; `Entropy`.
    pub fn encrypt(
        &self,
        root: &RecordKey,
        suite: Suite,
        store: StoreId,
        key: &Key,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, RecordError> {
        let parts: &[&[u8]] = &[key.as_bytes()];
        let context = Context { purpose: Purpose::Namespace, store, parts };
        root.encrypt(suite, &context, &self.encode()?, entropy)
    }

    /// Decrypts and decodes.
    ///
    /// # Errors
    /// As [`RecordKey::decrypt`], and `Content` where it is not what this format writes.
    pub fn decrypt(
        root: &RecordKey,
        store: StoreId,
        key: &Key,
        record: &[u8],
    ) -> Result<Self, RecordError> {
        let parts: &[&[u8]] = &[key.as_bytes()];
        let context = Context { purpose: Purpose::Namespace, store, parts };
        Ok(Self::decode_accepting(&root.decrypt(&context, record)?, root.accepted())?)
    }

    /// Encodes and pads, as it is before it is encrypted.
    ///
    /// # Errors
    /// Where a list is too long or out of order, or a number is zero: what [`Self::decode`] would
    /// refuse is not written.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, NotCanonical> {
        self.check()?;
        let mut writer = Writer::with_capacity(1024);
        writer.u8(match self.state {
            NamespaceState::Live { .. } => LIVE,
            NamespaceState::Destroyed { .. } => DESTROYED,
        });
        writer.short(self.name.as_str().as_bytes())?;
        writer.u64(self.generation);
        self.lineage.encode(&mut writer);
        let (NamespaceState::Live { erasing, .. } | NamespaceState::Destroyed { erasing }) =
            &self.state;
        writer.u8(count(erasing.len(), MAX_ERASING)?);
        for id in erasing {
            writer.bytes(id.as_bytes());
        }
        if let NamespaceState::Live { id, names, active, leaving, .. } = &self.state {
            writer.bytes(id.as_bytes());
            writer.bytes(names.secret());
            encode_epoch(active, &mut writer);
            writer.u8(count(leaving.len(), MAX_LEAVING_EPOCHS)?);
            for epoch in leaving {
                encode_epoch(epoch, &mut writer);
            }
        }
        let padded = padded_len(writer.len());
        let mut plaintext = writer.finish();
        if plaintext.capacity() < padded {
            let mut grown = Zeroizing::new(Vec::with_capacity(padded));
            grown.extend_from_slice(&plaintext);
            plaintext = grown;
        }
        plaintext.resize(padded, 0);
        Ok(plaintext)
    }

    /// Decodes a decrypted record.
    ///
    /// # Errors
    /// Where it is not exactly what this format writes.
    pub fn decode(plaintext: &[u8]) -> Result<Self, NotCanonical> {
        Self::decode_accepting(plaintext, Accepted::ALL)
    }

    /// The epoch keys accept what the root key does, which is what the keyring says.
    fn decode_accepting(plaintext: &[u8], accepted: Accepted) -> Result<Self, NotCanonical> {
        let mut reader = Reader::new(plaintext);
        let kind = reader.u8()?;
        let name = Namespace::try_from(reader.text()?).map_err(|_| NotCanonical)?;
        let generation = reader.u64()?;
        let lineage = Lineage::decode(&mut reader)?;
        let mut erasing = BTreeSet::new();
        for _ in 0..bounded(reader.u8()?, MAX_ERASING)? {
            let id = NamespaceId::from_bytes(reader.array()?);
            if erasing.last().is_some_and(|last| *last >= id) {
                return Err(NotCanonical);
            }
            erasing.insert(id);
        }
        let state = match kind {
            LIVE => {
                let id = NamespaceId::from_bytes(reader.array()?);
                let names = NameKey::from_bytes(key_bytes(&mut reader)?);
                let active = decode_epoch(&mut reader, accepted)?;
                let leaving = (0..bounded(reader.u8()?, MAX_LEAVING_EPOCHS)?)
                    .map(|_| decode_epoch(&mut reader, accepted))
                    .collect::<Result<Vec<_>, _>>()?;
                NamespaceState::Live { id, names, active, leaving, erasing }
            }
            DESTROYED => NamespaceState::Destroyed { erasing },
            _ => return Err(NotCanonical),
        };
        let encoded = plaintext.len() - reader.rest().len();
        if padded_len(encoded) != plaintext.len() || !is_zero(reader.rest()) {
            return Err(NotCanonical);
        }
        let record = Self { name, generation, lineage, state };
        record.check()?;
        Ok(record)
    }

    /// What reader and writer demand alike: numbers from 1, epochs in ascending order with the
    /// active one last, and a living namespace that is not to be erased.
    fn check(&self) -> Result<(), NotCanonical> {
        let sound = match &self.state {
            NamespaceState::Live { id, active, leaving, erasing, .. } => {
                let mut last = 0;
                leaving.iter().chain([active]).all(|epoch| {
                    let ascends = epoch.number > last;
                    last = epoch.number;
                    ascends
                }) && !erasing.contains(id)
            }
            NamespaceState::Destroyed { .. } => true,
        };
        if sound && self.generation > 0 { Ok(()) } else { Err(NotCanonical) }
    }
}

fn count(length: usize, most: usize) -> Result<u8, NotCanonical> {
    u8::try_from(length).ok().filter(|_| length <= most).ok_or(NotCanonical)
}

fn bounded(count: u8, most: usize) -> Result<u8, NotCanonical> {
    if usize::from(count) <= most { Ok(count) } else { Err(NotCanonical) }
}

pub(crate) fn key_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8; 32], NotCanonical> {
    reader.bytes(32)?.first_chunk().ok_or(NotCanonical)
}

fn encode_epoch(epoch: &Epoch, writer: &mut Writer) {
    writer.u64(epoch.number);
    writer.u64(epoch.since.as_millis());
    writer.bytes(epoch.key.prk().secret());
}

fn decode_epoch(reader: &mut Reader<'_>, accepted: Accepted) -> Result<Epoch, NotCanonical> {
    Ok(Epoch {
        number: reader.u64()?,
        since: Timestamp::from_millis(reader.u64()?).map_err(|_| NotCanonical)?,
        key: RecordKey::from_bytes(key_bytes(reader)?).accepting(accepted),
    })
}
