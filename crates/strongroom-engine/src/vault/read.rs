//! Decrypting values and showing metadata, under a permit.

use std::time::Duration;

use strongroom_core::{
    HoldMetadata, Key, KindError, Read, ReadMetadata, SecretKind, SecretMetadata, SecretValue,
    Stage, Version, VersionMetadata, VersionSelector,
};
use strongroom_crypto::{
    BlobRef, Identifiers, LiveRef, Place, ValueSlot, VersionRef, decrypt_value, decrypt_value_parts,
};

use super::Vault;
use super::load::{LoadedSecret, readable, select};
use crate::error::{Error, NotFound, Tampered, Unavailable};
use crate::permit::Redeemed;

/// A secret and the version that it is.
#[non_exhaustive]
#[derive(Debug)]
pub struct Versioned<K> {
    /// The version.
    pub version: Version,
    /// The secret.
    pub secret: K,
    /// How long ago the storage was last known to hold this. Zero for
    /// [`Freshness::Current`](crate::Freshness::Current).
    pub age: Duration,
}

/// A part of a version: in the head, or in a blob that is still to be fetched.
enum Held<T> {
    Here(T),
    Blob(BlobRef),
}

impl Vault {
    /// Reads the version of the permit, from the very head that its record names.
    pub(crate) async fn read<K: SecretKind>(
        &self,
        grant: &mut Redeemed<Read>,
    ) -> Result<Versioned<K>, Error> {
        let loaded = grant.take_loaded().ok_or(Unavailable::StalePermit)?;
        // The head is parsed once; an await point keeps nothing that borrows from it.
        let (version, identifiers, value) = {
            let entry = self.readable_version::<K>(&loaded, grant.target().which())?;
            (entry.version, identifiers_in::<K>(&entry)?, value_in(&entry)?)
        };
        let age = loaded.age(grant.at());
        let identifiers = match identifiers {
            Held::Here(identifiers) => identifiers,
            Held::Blob(blob) => self.identifiers_from::<K>(&loaded, version, blob).await?,
        };
        let value = match value {
            Held::Here(value) => value,
            Held::Blob(blob) => {
                let parts = self.fetch(&loaded, blob).await?;
                let entry = version_of(&loaded, version)?;
                open_parts(entry.value.as_ref().ok_or(NotFound::Destroyed(version))?, &parts)?
            }
        };
        Ok(Versioned { version, secret: K::from_parts(identifiers, value)?, age })
    }

    /// Reads the identifiers of the version in force.
    pub(crate) async fn identifiers<K: SecretKind>(
        &self,
        grant: &mut Redeemed<ReadMetadata>,
    ) -> Result<K::Identifiers, Error> {
        let loaded = grant.take_loaded().ok_or(Unavailable::StalePermit)?;
        let (version, identifiers) = {
            let entry = self.readable_version::<K>(&loaded, Stage::Current.into())?;
            (entry.version, identifiers_in::<K>(&entry)?)
        };
        match identifiers {
            Held::Here(identifiers) => Ok(identifiers),
            Held::Blob(blob) => self.identifiers_from::<K>(&loaded, version, blob).await,
        }
    }

    /// Shows all that is known without a value.
    pub(crate) fn metadata(
        &self,
        grant: &mut Redeemed<ReadMetadata>,
    ) -> Result<SecretMetadata, Error> {
        let loaded = grant.take_loaded().ok_or(Unavailable::StalePermit)?;
        let path = grant.target().clone();
        let live = live_of(&loaded)?;
        let base = loaded.head.as_ref().ok_or(NotFound::Secret)?.view()?.base;
        let mut shown = SecretMetadata::new(path, base.next_version);
        shown.kind = live.kind.to_owned();
        shown.seq = base.seq;
        shown.created = live.created;
        shown.updated = base.updated;
        shown.metadata = live.metadata().map_err(|_| Tampered::Content("metadata"))?;
        shown.annexes = live.annexes().map_err(|_| Tampered::Content("annexes"))?;
        shown.versions = live.versions().map(|entry| show_version(&live, &entry)).collect();
        Ok(shown)
    }

    fn readable_version<'a, K: SecretKind>(
        &self,
        loaded: &'a LoadedSecret,
        which: VersionSelector,
    ) -> Result<VersionRef<'a>, Error> {
        let live = live_of(loaded)?;
        let entry = select(&live, which)?;
        readable(&live, &entry, &*self.clock)?;
        if live.kind != K::KIND.as_str() {
            let stored = live.kind.into();
            return Err(KindError::OtherKind { stored, asked: K::KIND }.into());
        }
        Ok(entry)
    }

    async fn identifiers_from<K: SecretKind>(
        &self,
        loaded: &LoadedSecret,
        version: Version,
        blob: BlobRef,
    ) -> Result<K::Identifiers, Error> {
        let parts = self.fetch(loaded, blob).await?;
        let json = match version_of(loaded, version)?.identifiers {
            Some(Identifiers::Blob(slot)) => open_parts(&slot, &parts)?,
            _ => return Err(NotFound::Destroyed(version).into()),
        };
        // EXPOSE: identifiers are not secret; they are parsed into the caller's type.
        json.expose(parse_identifiers::<K>)
    }

    /// Reads the parts of a blob. One that is gone because the head was replaced meanwhile, or its
    /// namespace destroyed, is no damage: the permit is stale.
    async fn fetch(&self, loaded: &LoadedSecret, blob: BlobRef) -> Result<Vec<Vec<u8>>, Error> {
        let (Some(key), Some(head)) = (&loaded.key, &loaded.head) else {
            return Err(NotFound::Secret.into());
        };
        let keys: Vec<Key> = (0..blob.parts)
            .filter_map(|part| strongroom_crypto::blob_key(key, blob.seq, &blob.random, part))
            .collect();
        let entries = self.storage.read(&keys).await?;
        let parts: Option<Vec<_>> =
            entries.into_iter().map(|entry| entry.map(|entry| entry.value)).collect();
        match parts {
            Some(parts) => Ok(parts),
            None => {
                let mut answers = self.storage.read(std::slice::from_ref(key)).await?;
                let unchanged =
                    answers.pop().flatten().is_some_and(|entry| entry.revision == *head.revision());
                let path = &head.cached.place.path;
                if unchanged && self.still_lives(key, &path.namespace()).await? {
                    Err(Tampered::Incomplete.into())
                } else {
                    self.invalidate(path);
                    Err(Unavailable::StalePermit.into())
                }
            }
        }
    }
}

fn length_of(slot: &ValueSlot<&[u8; 32], &[u8]>) -> usize {
    usize::try_from(slot.length).unwrap_or(usize::MAX)
}

fn parse_identifiers<K: SecretKind>(json: &[u8]) -> Result<K::Identifiers, Error> {
    // The parser's message may quote what it read: identifiers are not for errors.
    serde_json::from_slice(json).map_err(|_| KindError::Identifiers(K::KIND).into())
}

fn identifiers_in<K: SecretKind>(entry: &VersionRef<'_>) -> Result<Held<K::Identifiers>, Error> {
    match &entry.identifiers {
        Some(Identifiers::Inline(json)) => parse_identifiers::<K>(json).map(Held::Here),
        Some(Identifiers::Blob(ValueSlot { place: Place::Blob(blob), .. })) => {
            Ok(Held::Blob(*blob))
        }
        Some(Identifiers::Blob(_)) => Err(Tampered::Content("identifiers in no place").into()),
        None => Err(NotFound::Destroyed(entry.version).into()),
    }
}

fn value_in(entry: &VersionRef<'_>) -> Result<Held<SecretValue>, Error> {
    let slot = entry.value.as_ref().ok_or(NotFound::Destroyed(entry.version))?;
    match &slot.place {
        Place::Blob(blob) => Ok(Held::Blob(*blob)),
        Place::Inline(sealed) => {
            let length = length_of(slot);
            let value = decrypt_value(slot.key, &slot.nonce, slot.suite, sealed, length)?;
            Ok(Held::Here(value))
        }
    }
}

fn open_parts(slot: &ValueSlot<&[u8; 32], &[u8]>, parts: &[Vec<u8>]) -> Result<SecretValue, Error> {
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(decrypt_value_parts(slot.key, &slot.nonce, slot.suite, &parts, length_of(slot))?)
}

fn live_of(loaded: &LoadedSecret) -> Result<LiveRef<'_>, Error> {
    let head = loaded.head.as_ref().ok_or(match loaded.namespace {
        Some(_) => NotFound::Secret,
        None => NotFound::Namespace,
    })?;
    head.view()?.live.ok_or_else(|| NotFound::Secret.into())
}

fn version_of(loaded: &LoadedSecret, version: Version) -> Result<VersionRef<'_>, Error> {
    live_of(loaded)?.version(version).ok_or_else(|| NotFound::Version(version).into())
}

fn show_version(live: &LiveRef<'_>, entry: &VersionRef<'_>) -> VersionMetadata {
    let length = entry.value.as_ref().map_or(0, |slot| slot.length);
    let mut shown = VersionMetadata::new(entry.version, entry.created, length);
    shown.state = entry.state;
    shown.changed = entry.changed;
    for stage in [Stage::Current, Stage::Pending, Stage::Previous] {
        if super::load::pointed_at(live.stages, stage) == Some(entry.version) {
            shown.stages.push(stage);
        }
    }
    shown.holds = entry
        .holds()
        .into_iter()
        .map(|hold| HoldMetadata { id: hold.id, until: hold.until })
        .collect();
    shown
}
