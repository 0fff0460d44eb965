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

/// What an await point may keep of a slot: nothing that is borrowed.
struct Fetch {
    blob: BlobRef,
}

impl Vault {
    /// Reads the version of the permit, from the very head that its record names.
    pub(crate) async fn read<K: SecretKind>(
        &self,
        grant: &mut Redeemed<Read>,
    ) -> Result<Versioned<K>, Error> {
        let loaded = grant.take_loaded().ok_or(Unavailable::StalePermit)?;
        let which = grant.target().which();
        let (version, age) =
            (self.check_readable::<K>(&loaded, which)?, loaded.age(self.clock.elapsed()));
        let identifiers = self.identifiers_of::<K>(&loaded, version).await?;
        let value = self.value_of(&loaded, version).await?;
        Ok(Versioned { version, secret: K::from_parts(identifiers, value)?, age })
    }

    /// Reads the identifiers of the version in force, or of the newest readable one.
    pub(crate) async fn identifiers<K: SecretKind>(
        &self,
        grant: &mut Redeemed<ReadMetadata>,
    ) -> Result<K::Identifiers, Error> {
        let loaded = grant.take_loaded().ok_or(Unavailable::StalePermit)?;
        let version = self.check_readable::<K>(&loaded, Stage::Current.into())?;
        self.identifiers_of::<K>(&loaded, version).await
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
        shown.versions = live.versions().map(|entry| show_version(&live, &entry)).collect();
        Ok(shown)
    }

    fn check_readable<K: SecretKind>(
        &self,
        loaded: &LoadedSecret,
        which: VersionSelector,
    ) -> Result<Version, Error> {
        let live = live_of(loaded)?;
        let entry = select(&live, which)?;
        readable(&live, &entry, self.clock.now())?;
        if live.kind != K::KIND.as_str() {
            let stored = live.kind.into();
            return Err(KindError::OtherKind { stored, asked: K::KIND }.into());
        }
        Ok(entry.version)
    }

    async fn identifiers_of<K: SecretKind>(
        &self,
        loaded: &LoadedSecret,
        version: Version,
    ) -> Result<K::Identifiers, Error> {
        let parse = |json: &[u8]| {
            // The parser's message may quote what it read: identifiers are not for errors.
            serde_json::from_slice(json).map_err(|_| KindError::Identifiers(K::KIND).into())
        };
        let inline = with_version(loaded, version, |entry| match &entry.identifiers {
            Some(Identifiers::Inline(json)) => Ok(Ok(parse(json))),
            Some(Identifiers::Blob(slot)) => Ok(Err(fetch_of(slot))),
            None => Err(NotFound::Destroyed(version).into()),
        })?;
        match inline {
            Ok(parsed) => parsed,
            Err(None) => Err(Tampered::Content("identifiers in no place").into()),
            Err(Some(fetch)) => {
                let parts = self.fetch(loaded, &fetch).await?;
                let json = with_version(loaded, version, |entry| match &entry.identifiers {
                    Some(Identifiers::Blob(slot)) => open_parts(slot, &parts),
                    _ => Err(NotFound::Destroyed(version).into()),
                })?;
                // EXPOSE: identifiers are not secret; they are parsed into the caller's type.
                json.expose(parse)
            }
        }
    }

    async fn value_of(
        &self,
        loaded: &LoadedSecret,
        version: Version,
    ) -> Result<SecretValue, Error> {
        let inline = with_version(loaded, version, |entry| {
            let slot = entry.value.as_ref().ok_or(NotFound::Destroyed(version))?;
            Ok(match &slot.place {
                Place::Inline(ciphertext) => Ok(decrypt_value(
                    slot.key,
                    &slot.nonce,
                    slot.suite,
                    ciphertext,
                    length_of(slot),
                )?),
                Place::Blob(blob) => Err(Fetch { blob: *blob }),
            })
        })?;
        match inline {
            Ok(value) => Ok(value),
            Err(fetch) => {
                let parts = self.fetch(loaded, &fetch).await?;
                with_version(loaded, version, |entry| {
                    let slot = entry.value.as_ref().ok_or(NotFound::Destroyed(version))?;
                    open_parts(slot, &parts)
                })
            }
        }
    }

    /// Reads the parts of a blob. One that is gone because the head was replaced meanwhile is no
    /// damage: the permit is stale.
    async fn fetch(&self, loaded: &LoadedSecret, fetch: &Fetch) -> Result<Vec<Vec<u8>>, Error> {
        let (Some(key), Some(head)) = (&loaded.key, &loaded.head) else {
            return Err(NotFound::Secret.into());
        };
        let blob = fetch.blob;
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
                if unchanged {
                    Err(Tampered::Incomplete.into())
                } else {
                    self.heads.remove(key);
                    Err(Unavailable::StalePermit.into())
                }
            }
        }
    }
}

fn length_of(slot: &ValueSlot<&[u8; 32], &[u8]>) -> usize {
    usize::try_from(slot.length).unwrap_or(usize::MAX)
}

fn fetch_of(slot: &ValueSlot<&[u8; 32], &[u8]>) -> Option<Fetch> {
    match &slot.place {
        Place::Blob(blob) => Some(Fetch { blob: *blob }),
        Place::Inline(_) => None,
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

fn with_version<T>(
    loaded: &LoadedSecret,
    version: Version,
    f: impl FnOnce(VersionRef<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    f(live_of(loaded)?.version(version).ok_or(NotFound::Version(version))?)
}

fn show_version(live: &LiveRef<'_>, entry: &VersionRef<'_>) -> VersionMetadata {
    let length = entry.value.as_ref().map_or(0, |slot| slot.length);
    let mut shown = VersionMetadata::new(entry.version, entry.created, length);
    shown.state = entry.state;
    shown.changed = entry.changed;
    for stage in [Stage::Current, Stage::Pending, Stage::Previous] {
        if super::load::pointed_at(live, stage) == Some(entry.version) {
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
