//! Reading a head in place.

use std::collections::BTreeMap;

use strongroom_core::{Metadata, Timestamp, Version, VersionState};

use super::{
    BlobRef, Head, HeadBase, HoldEntry, Identifiers, LIVE, LiveHead, MAX_HEAD_BYTES,
    MAX_HEAD_VERSIONS, Place, Stages, TOMBSTONE, ValueSlot, VersionEntry,
};
use crate::codec::{NotCanonical, Reader};
use crate::lineage::Lineage;
use crate::padding::{is_zero, padded_len};
use crate::record::Suite;
use crate::value::DataKey;

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
        if seq == 0 || padded_len(encoded) != plaintext.len() || !is_zero(padding) {
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
