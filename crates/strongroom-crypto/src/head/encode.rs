//! Writing a head.

use strongroom_core::{Metadata, Timestamp, Version, VersionState};
use zeroize::Zeroizing;

use super::{
    Head, HeadRef, Identifiers, LIVE, LiveHead, MAX_HEAD_BYTES, MAX_HEAD_VERSIONS, Place,
    TOMBSTONE, ValueSlot, VersionEntry,
};
use crate::codec::{NotCanonical, Writer};
use crate::padding::padded_len;
use crate::value::DataKey;

impl Head {
    /// Encodes and pads.
    ///
    /// # Errors
    /// Where a part is too long for its field, or the whole for a head, or what it says is no head
    /// that [`HeadRef::parse`] takes: the caller has checked each limit that a user can meet.
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
        // Nothing is stored that could not be read again.
        HeadRef::parse(&bytes)?;
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
