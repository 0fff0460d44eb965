//! The head of a secret: the one small record that says everything about it.
//!
//! A head is replaced by compare-and-swap and never deleted. Reading borrows from the decrypted
//! record and allocates nothing ([`HeadRef`]); a write makes an owned [`Head`], changes it, and
//! encodes it again. `FORMAT.md` has the layout.

use std::collections::BTreeMap;

use strongroom_core::{Metadata, SecretPath, Timestamp, Version, VersionState};
use zeroize::Zeroizing;

use crate::codec::{NotCanonical, Reader, Writer};
use crate::lineage::Lineage;
use crate::padding::padded_len;
use crate::record::Suite;
use crate::value::DataKey;

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

impl Head {
    /// Encodes and pads.
    ///
    /// # Errors
    /// Where a part is too long for its field, or the whole for a head: the caller has checked
    /// each limit that a user can meet.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, NotCanonical> {
        let mut writer = Writer::with_capacity(1024);
        writer.u8(if self.live.is_some() { LIVE } else { TOMBSTONE });
        writer.short(self.path.as_str().as_bytes())?;
        writer.u64(self.base.seq);
        self.base.lineage.encode(&mut writer);
        writer.u64(self.base.keyring_generation);
        writer.u64(self.base.namespace_generation);
        writer.u64(self.base.next_version.number());
        writer.u64(self.base.updated.as_millis());
        if let Some(live) = &self.live {
            live.encode(&mut writer)?;
        }
        let padded = padded_len(writer.len());
        let mut bytes = writer.finish();
        if padded > MAX_HEAD_BYTES {
            return Err(NotCanonical);
        }
        if bytes.capacity() < padded {
            let mut grown = Zeroizing::new(Vec::with_capacity(padded));
            grown.extend_from_slice(&bytes);
            bytes = grown;
        }
        bytes.resize(padded, 0);
        Ok(bytes)
    }
}

impl LiveHead {
    fn encode(&self, writer: &mut Writer) -> Result<(), NotCanonical> {
        writer.short(self.kind.as_bytes())?;
        writer.u64(self.created.as_millis());
        encode_metadata(&self.metadata, writer)?;
        writer.u8(u8::try_from(self.annexes.len()).map_err(|_| NotCanonical)?);
        for (name, bytes) in &self.annexes {
            writer.short(name.as_bytes())?;
            writer.short(bytes)?;
        }
        for stage in [self.stages.current, self.stages.pending, self.stages.previous] {
            writer.u64(stage.map_or(0, Version::number));
        }
        if self.versions.len() > MAX_HEAD_VERSIONS {
            return Err(NotCanonical);
        }
        writer.u8(u8::try_from(self.versions.len()).map_err(|_| NotCanonical)?);
        for entry in &self.versions {
            encode_version(entry, writer)?;
        }
        Ok(())
    }
}

fn encode_metadata(metadata: &Metadata, writer: &mut Writer) -> Result<(), NotCanonical> {
    writer.u16(u16::try_from(metadata.labels.len()).map_err(|_| NotCanonical)?);
    for (name, value) in &metadata.labels {
        writer.short(name.as_bytes())?;
        writer.short(value.as_bytes())?;
    }
    for text in [&metadata.owner, &metadata.description] {
        writer.u8(u8::from(text.is_some()));
        if let Some(text) = text {
            writer.short(text.as_bytes())?;
        }
    }
    writer.u64(metadata.expires.map_or(0, Timestamp::as_millis));
    writer.u8(metadata.max_versions);
    writer.u8(u8::from(metadata.cas_required));
    Ok(())
}

fn encode_version(entry: &VersionEntry, writer: &mut Writer) -> Result<(), NotCanonical> {
    writer.u64(entry.version.number());
    writer.u8(match entry.state {
        VersionState::Enabled => 1,
        VersionState::Disabled => 2,
        VersionState::Deleted => 3,
        VersionState::Destroyed => 4,
    });
    writer.u64(entry.created.as_millis());
    writer.u64(entry.changed.as_millis());
    writer.u8(u8::try_from(entry.holds.len()).map_err(|_| NotCanonical)?);
    for hold in &entry.holds {
        writer.short(hold.id.as_bytes())?;
        writer.u64(hold.until.as_millis());
    }
    match (&entry.state, &entry.identifiers, &entry.value) {
        (VersionState::Destroyed, None, None) => Ok(()),
        (VersionState::Destroyed, _, _) | (_, None, _) | (_, _, None) => Err(NotCanonical),
        (_, Some(identifiers), Some(value)) => {
            match identifiers {
                Identifiers::Inline(json) => {
                    writer.u8(1);
                    writer.short(json)?;
                }
                Identifiers::Blob(slot) => {
                    writer.u8(2);
                    encode_slot(slot, writer)?;
                }
            }
            encode_slot(value, writer)
        }
    }
}

fn encode_slot(
    slot: &ValueSlot<DataKey, Vec<u8>>,
    writer: &mut Writer,
) -> Result<(), NotCanonical> {
    writer.u8(slot.suite.number());
    // EXPOSE: the data key goes into the plaintext of the head and nowhere else.
    slot.key.expose(|key| writer.bytes(key));
    writer.bytes(&slot.nonce);
    writer.u32(slot.length);
    match &slot.place {
        Place::Inline(ciphertext) => {
            writer.u8(1);
            writer.short(ciphertext)
        }
        Place::Blob(blob) => {
            writer.u8(2);
            blob.encode(writer);
            Ok(())
        }
    }
}

/// A head, borrowed from the decrypted record: checked whole, and nothing allocated.
#[derive(Debug, Clone)]
pub struct HeadRef<'a> {
    /// The path.
    pub path: &'a str,
    /// What every head has.
    pub base: HeadBase,
    /// The secret; `None` for a tombstone.
    pub live: Option<LiveRef<'a>>,
}

/// The part of a borrowed head that a tombstone does not have.
#[derive(Debug, Clone)]
pub struct LiveRef<'a> {
    /// The name of the kind.
    pub kind: &'a str,
    /// When the secret was first put.
    pub created: Timestamp,
    /// From when on reads are refused.
    pub expires: Option<Timestamp>,
    /// The stages.
    pub stages: Stages,
    metadata: Reader<'a>,
    annexes: Reader<'a>,
    versions: Reader<'a>,
    count: u8,
}

/// One version, borrowed.
#[derive(Debug)]
pub struct VersionRef<'a> {
    /// Its number.
    pub version: Version,
    /// Its state.
    pub state: VersionState,
    /// When it was put.
    pub created: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
    /// Its identifiers; none once destroyed.
    pub identifiers: Option<Identifiers<&'a [u8; 32], &'a [u8]>>,
    /// Its value; none once destroyed.
    pub value: Option<ValueSlot<&'a [u8; 32], &'a [u8]>>,
    holds: Reader<'a>,
    hold_count: u8,
}

impl<'a> HeadRef<'a> {
    /// Parses a decrypted head, and refuses one that is not exactly what [`Head::encode`] writes.
    ///
    /// # Errors
    /// `NotCanonical`, which tells nothing of the content.
    pub fn parse(plaintext: &'a [u8]) -> Result<Self, NotCanonical> {
        if plaintext.len() > MAX_HEAD_BYTES {
            return Err(NotCanonical);
        }
        let mut reader = Reader::new(plaintext);
        let kind = reader.u8()?;
        let path = reader.text()?;
        let seq = reader.u64()?;
        let lineage = Lineage::decode(&mut reader)?;
        let base = HeadBase {
            seq,
            lineage,
            keyring_generation: reader.u64()?,
            namespace_generation: reader.u64()?,
            next_version: version(&mut reader)?.ok_or(NotCanonical)?,
            updated: timestamp(&mut reader)?,
        };
        let live = match kind {
            LIVE => Some(LiveRef::parse(&mut reader, base.next_version)?),
            TOMBSTONE => None,
            _ => return Err(NotCanonical),
        };
        let padding = reader.rest();
        let encoded = plaintext.len() - padding.len();
        if seq == 0
            || padded_len(encoded) != plaintext.len()
            || padding.iter().any(|&byte| byte != 0)
        {
            return Err(NotCanonical);
        }
        Ok(Self { path, base, live })
    }

    /// An owned copy, to be changed.
    ///
    /// # Errors
    /// Where the path is none; nothing that strongroom wrote.
    pub fn to_head(&self) -> Result<Head, NotCanonical> {
        Ok(Head {
            path: self.path.parse().map_err(|_| NotCanonical)?,
            base: self.base.clone(),
            live: self.live.as_ref().map(LiveRef::to_live).transpose()?,
        })
    }
}

impl<'a> LiveRef<'a> {
    fn parse(reader: &mut Reader<'a>, next: Version) -> Result<Self, NotCanonical> {
        let kind = reader.text()?;
        let created = timestamp(reader)?;
        let metadata = reader.clone();
        let expires = skip_metadata(reader)?;
        let annexes = reader.clone();
        each_annex(reader, |_, _| ())?;
        let stages = Stages {
            current: version(reader)?,
            pending: version(reader)?,
            previous: version(reader)?,
        };
        let count = reader.u8()?;
        if usize::from(count) > MAX_HEAD_VERSIONS {
            return Err(NotCanonical);
        }
        let versions = reader.clone();
        let mut last = 0;
        let mut pointed = [stages.current, stages.pending, stages.previous];
        for _ in 0..count {
            let entry = VersionRef::parse(reader)?;
            if entry.version.number() <= last || entry.version >= next {
                return Err(NotCanonical);
            }
            last = entry.version.number();
            for stage in &mut pointed {
                if *stage == Some(entry.version) {
                    *stage = None;
                }
            }
        }
        if pointed != [None; 3] {
            return Err(NotCanonical);
        }
        Ok(Self { kind, created, expires, stages, metadata, annexes, versions, count })
    }

    /// The versions, oldest first.
    pub fn versions(&self) -> impl Iterator<Item = VersionRef<'a>> {
        let mut reader = self.versions.clone();
        // INVARIANT: all were parsed once when the head was, so none is lost here.
        (0..self.count).map_while(move |_| VersionRef::parse(&mut reader).ok())
    }

    /// The version of that number.
    #[must_use]
    pub fn version(&self, version: Version) -> Option<VersionRef<'a>> {
        self.versions().find(|entry| entry.version == version)
    }

    /// Labels, owner, rules.
    ///
    /// # Errors
    /// None for a head that was parsed.
    pub fn metadata(&self) -> Result<Metadata, NotCanonical> {
        decode_metadata(&mut self.metadata.clone())
    }

    /// The annexes.
    ///
    /// # Errors
    /// None for a head that was parsed.
    pub fn annexes(&self) -> Result<BTreeMap<String, Vec<u8>>, NotCanonical> {
        let mut annexes = BTreeMap::new();
        each_annex(&mut self.annexes.clone(), |name, bytes| {
            annexes.insert(name.to_owned(), bytes.to_vec());
        })?;
        Ok(annexes)
    }

    fn to_live(&self) -> Result<LiveHead, NotCanonical> {
        Ok(LiveHead {
            kind: self.kind.to_owned(),
            created: self.created,
            metadata: self.metadata()?,
            annexes: self.annexes()?,
            stages: self.stages,
            versions: self.versions().map(|entry| entry.to_entry()).collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> VersionRef<'a> {
    fn parse(reader: &mut Reader<'a>) -> Result<Self, NotCanonical> {
        let number = version(reader)?.ok_or(NotCanonical)?;
        let state = match reader.u8()? {
            1 => VersionState::Enabled,
            2 => VersionState::Disabled,
            3 => VersionState::Deleted,
            4 => VersionState::Destroyed,
            _ => return Err(NotCanonical),
        };
        let created = timestamp(reader)?;
        let changed = timestamp(reader)?;
        let hold_count = reader.u8()?;
        let holds = reader.clone();
        for _ in 0..hold_count {
            reader.text()?;
            timestamp(reader)?;
        }
        let (identifiers, value) = if state == VersionState::Destroyed {
            (None, None)
        } else {
            let identifiers = match reader.u8()? {
                1 => Identifiers::Inline(reader.short()?),
                2 => Identifiers::Blob(decode_slot(reader)?),
                _ => return Err(NotCanonical),
            };
            (Some(identifiers), Some(decode_slot(reader)?))
        };
        Ok(Self { version: number, state, created, changed, identifiers, value, holds, hold_count })
    }

    /// What keeps the version from being destroyed.
    #[must_use]
    pub fn holds(&self) -> Vec<HoldEntry> {
        let mut reader = self.holds.clone();
        (0..self.hold_count)
            .map_while(|_| {
                let id = reader.text().ok()?.to_owned();
                Some(HoldEntry { id, until: timestamp(&mut reader).ok()? })
            })
            .collect()
    }

    fn to_entry(&self) -> Result<VersionEntry, NotCanonical> {
        Ok(VersionEntry {
            version: self.version,
            state: self.state,
            created: self.created,
            changed: self.changed,
            holds: self.holds(),
            identifiers: self.identifiers.as_ref().map(|identifiers| match identifiers {
                Identifiers::Inline(json) => Identifiers::Inline(json.to_vec()),
                Identifiers::Blob(slot) => Identifiers::Blob(slot.to_owned_slot()),
            }),
            value: self.value.as_ref().map(ValueSlot::to_owned_slot),
        })
    }
}

impl ValueSlot<&[u8; 32], &[u8]> {
    fn to_owned_slot(&self) -> ValueSlot<DataKey, Vec<u8>> {
        ValueSlot {
            suite: self.suite,
            key: DataKey::from_bytes(self.key),
            nonce: self.nonce,
            length: self.length,
            place: match &self.place {
                Place::Inline(ciphertext) => Place::Inline(ciphertext.to_vec()),
                Place::Blob(blob) => Place::Blob(*blob),
            },
        }
    }
}

fn decode_slot<'a>(
    reader: &mut Reader<'a>,
) -> Result<ValueSlot<&'a [u8; 32], &'a [u8]>, NotCanonical> {
    Ok(ValueSlot {
        suite: Suite::from_number(reader.u8()?).ok_or(NotCanonical)?,
        key: reader.bytes(32)?.first_chunk().ok_or(NotCanonical)?,
        nonce: reader.array()?,
        length: reader.u32()?,
        place: match reader.u8()? {
            1 => Place::Inline(reader.short()?),
            2 => Place::Blob(BlobRef::decode(reader)?),
            _ => return Err(NotCanonical),
        },
    })
}

fn version(reader: &mut Reader<'_>) -> Result<Option<Version>, NotCanonical> {
    reader.u64().map(Version::new)
}

fn timestamp(reader: &mut Reader<'_>) -> Result<Timestamp, NotCanonical> {
    Timestamp::from_millis(reader.u64()?).map_err(|_| NotCanonical)
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, NotCanonical> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(NotCanonical),
    }
}

/// Walks the annexes in the order of their names, which is the only one.
fn each_annex<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&'a str, &'a [u8]),
) -> Result<(), NotCanonical> {
    let mut last = None;
    for _ in 0..reader.u8()? {
        let name = reader.text()?;
        if last.is_some_and(|last| last >= name) {
            return Err(NotCanonical);
        }
        last = Some(name);
        each(name, reader.short()?);
    }
    Ok(())
}

fn each_label<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&'a str, &'a str),
) -> Result<(), NotCanonical> {
    let mut last = None;
    for _ in 0..reader.u16()? {
        let name = reader.text()?;
        if last.is_some_and(|last| last >= name) {
            return Err(NotCanonical);
        }
        last = Some(name);
        each(name, reader.text()?);
    }
    Ok(())
}

fn optional_text<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, NotCanonical> {
    Ok(if flag(reader)? { Some(reader.text()?) } else { None })
}

fn expiry(reader: &mut Reader<'_>) -> Result<Option<Timestamp>, NotCanonical> {
    let expires = timestamp(reader)?;
    Ok((expires.as_millis() != 0).then_some(expires))
}

/// Checks the metadata without keeping them, and gives the one thing that a read needs.
fn skip_metadata(reader: &mut Reader<'_>) -> Result<Option<Timestamp>, NotCanonical> {
    each_label(reader, |_, _| ())?;
    optional_text(reader)?;
    optional_text(reader)?;
    let expires = expiry(reader)?;
    reader.u8()?;
    flag(reader)?;
    Ok(expires)
}

fn decode_metadata(reader: &mut Reader<'_>) -> Result<Metadata, NotCanonical> {
    let mut metadata = Metadata::default();
    each_label(reader, |name, value| {
        metadata.labels.insert(name.to_owned(), value.to_owned());
    })?;
    metadata.owner = optional_text(reader)?.map(str::to_owned);
    metadata.description = optional_text(reader)?.map(str::to_owned);
    metadata.expires = expiry(reader)?;
    metadata.max_versions = reader.u8()?;
    metadata.cas_required = flag(reader)?;
    Ok(metadata)
}
