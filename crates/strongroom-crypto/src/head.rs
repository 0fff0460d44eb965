//! The head of a secret: the one small record that says everything about it.
//!
//! A head is replaced by compare-and-swap and never deleted. Reading borrows from the decrypted
//! record and allocates nothing ([`HeadRef`]); a write makes an owned [`Head`], changes it, and
//! encodes it again. `FORMAT.md` has the layout.

use std::collections::BTreeMap;

use strongroom_core::{Metadata, SecretPath, Timestamp, Version, VersionState};

use crate::codec::{NotCanonical, Reader, Writer};
use crate::lineage::Lineage;
use crate::record::Suite;
use crate::value::DataKey;

mod encode;
mod view;

pub use view::{HeadRef, LiveRef, VersionRef};

/// The longest head, decrypted and padded, in bytes.
pub const MAX_HEAD_BYTES: usize = 48 * 1024;
/// The longest value whose ciphertext is kept inside the head, in bytes.
pub const MAX_INLINE_BYTES: usize = 1024;
/// The longest identifiers kept inside the head, in bytes.
pub const MAX_INLINE_IDENTIFIERS: usize = 256;
/// The most versions in a head.
pub const MAX_HEAD_VERSIONS: usize = 100;
/// The most bytes that annexes have together, names included.
pub const MAX_ANNEX_BYTES: usize = 4096;

const LIVE: u8 = 1;
const TOMBSTONE: u8 = 2;

/// Where the parts of a blob are: they are tagged with the seq of the head that may name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRef {
    /// The seq of the head that added it.
    pub seq: u64,
    /// Random, so that no two attempts share a key.
    pub random: [u8; 16],
    /// How many parts it has, from 1.
    pub parts: u8,
}

impl BlobRef {
    fn encode(self, writer: &mut Writer) {
        writer.u64(self.seq);
        writer.bytes(&self.random);
        writer.u8(self.parts);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        let blob = Self { seq: reader.u64()?, random: reader.array()?, parts: reader.u8()? };
        if blob.parts == 0 { Err(NotCanonical) } else { Ok(blob) }
    }
}

/// Where a ciphertext is. `C` is how it is held: borrowed or owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<C> {
    /// In the head.
    Inline(C),
    /// In a blob.
    Blob(BlobRef),
}

/// The value of a version: under which key and nonce, how long, and where.
#[derive(Debug)]
pub struct ValueSlot<K, C> {
    /// The cipher.
    pub suite: Suite,
    /// The data key.
    pub key: K,
    /// The nonce.
    pub nonce: [u8; 12],
    /// The exact length of the plaintext, in bytes.
    pub length: u32,
    /// Where the ciphertext is.
    pub place: Place<C>,
}

/// The identifiers of a version, as JSON.
#[derive(Debug)]
pub enum Identifiers<K, C> {
    /// In the head, in clear there.
    Inline(C),
    /// In a blob, under a data key of their own.
    Blob(ValueSlot<K, C>),
}

/// Keeps a version from being destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldEntry {
    /// Who holds it.
    pub id: String,
    /// Until when.
    pub until: Timestamp,
}

/// One version, owned.
#[derive(Debug)]
pub struct VersionEntry {
    /// Its number.
    pub version: Version,
    /// Its state. `Destroyed` exactly where there is no value.
    pub state: VersionState,
    /// When it was put.
    pub created: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
    /// What keeps it.
    pub holds: Vec<HoldEntry>,
    /// Its identifiers; none once destroyed.
    pub identifiers: Option<Identifiers<DataKey, Vec<u8>>>,
    /// Its value; none once destroyed.
    pub value: Option<ValueSlot<DataKey, Vec<u8>>>,
}

/// Which versions the stages point at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stages {
    /// In force.
    pub current: Option<Version>,
    /// Stored ahead of its time.
    pub pending: Option<Version>,
    /// In force before.
    pub previous: Option<Version>,
}

impl Stages {
    /// Whether a stage points at the version.
    #[must_use]
    pub fn points_at(&self, version: Version) -> bool {
        [self.current, self.pending, self.previous].contains(&Some(version))
    }
}

/// What every head has, tombstone or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadBase {
    /// Counts the replacements, from 1.
    pub seq: u64,
    /// What it replaced, and by which write.
    pub lineage: Lineage,
    /// The generation of the keyring that its writer saw.
    pub keyring_generation: u64,
    /// The generation of the namespace record that its writer saw.
    pub namespace_generation: u64,
    /// The number that the next version gets; never falls, purge included.
    pub next_version: Version,
    /// When it was written.
    pub updated: Timestamp,
}

/// A head, owned: what a write changes and encodes.
#[derive(Debug)]
pub struct Head {
    /// The path.
    pub path: SecretPath,
    /// What every head has.
    pub base: HeadBase,
    /// The secret; `None` for a tombstone, which is what a purge leaves.
    pub live: Option<LiveHead>,
}

/// The part of a head that a tombstone does not have.
#[derive(Debug)]
pub struct LiveHead {
    /// The name of the kind.
    pub kind: String,
    /// When the secret was first put.
    pub created: Timestamp,
    /// Labels, owner, rules.
    pub metadata: Metadata,
    /// Opaque data of other components, kept by every replacement.
    pub annexes: BTreeMap<String, Vec<u8>>,
    /// The stages.
    pub stages: Stages,
    /// The versions, oldest first.
    pub versions: Vec<VersionEntry>,
}

impl LiveHead {
    /// The version of that number.
    #[must_use]
    pub fn version(&self, version: Version) -> Option<&VersionEntry> {
        self.versions.iter().find(|entry| entry.version == version)
    }

    /// The version of that number, to change it.
    pub fn version_mut(&mut self, version: Version) -> Option<&mut VersionEntry> {
        self.versions.iter_mut().find(|entry| entry.version == version)
    }
}
