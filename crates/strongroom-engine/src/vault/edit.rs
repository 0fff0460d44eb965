//! The changes that can be made to a head, as plain functions on a draft of the next one.

use strongroom_core::{
    AnnexUpdate, Expected, HoldMetadata, Key, Metadata, MetadataUpdate, SecretPath, SecretValue,
    Stage, Timestamp, Version, VersionSelector, VersionState,
};
use strongroom_crypto::{
    BlobRef, DataKey, Head, HeadBase, HoldEntry, Identifiers, Lineage, LiveHead, MAX_INLINE_BYTES,
    MAX_INLINE_IDENTIFIERS, Place, Stages, ValueSlot, VersionEntry, encrypt_value,
};

use super::Vault;
use crate::error::{Conflict, ConflictKind, Error, Invalid, NotFound, Unavailable};

/// The longest value, in bytes.
pub(super) const MAX_SECRET_BYTES: usize = 1024 * 1024;

/// A value's slot, owned.
type OwnedSlot = ValueSlot<DataKey, Vec<u8>>;

/// What a put stores.
pub(crate) struct Content {
    pub(crate) kind: &'static str,
    pub(crate) identifiers: Vec<u8>,
    pub(crate) value: SecretValue,
    pub(crate) stage: Stage,
    pub(crate) annexes: AnnexUpdate,
}

/// The next head of a secret, being made.
pub(super) struct Draft<'a> {
    pub(super) vault: &'a Vault,
    pub(super) key: Key,
    pub(super) head: Head,
    pub(super) now: Timestamp,
    /// Blobs to write, tagged with the seq of this head.
    pub(super) blobs: Vec<(Key, Vec<u8>)>,
    /// Blobs that the old head names and this one does not.
    pub(super) dropped: Vec<BlobRef>,
    /// Whether erasing them is what was asked for.
    pub(super) erases: bool,
    /// The version that the write makes.
    pub(super) made: Option<Version>,
}

/// Whether what is there is what was expected.
pub(super) fn check_expected(head: Option<&Head>, expected: Expected) -> Result<(), Error> {
    let live = head.and_then(|head| head.live.as_ref());
    let current = live.and_then(|live| live.stages.current);
    let last = head.and_then(|head| Version::new(head.base.next_version.number() - 1));
    let conflict = |kind| Err(Conflict::new(kind).with(current, last).into());
    match expected {
        Expected::Any if live.is_some_and(|live| live.metadata.cas_required) => {
            Err(Invalid::ExpectationRequired.into())
        }
        Expected::Any => Ok(()),
        Expected::Version(version) if current == Some(version) => Ok(()),
        Expected::Version(_) => conflict(ConflictKind::Version),
        Expected::Head(seq) if head.map_or(0, |head| head.base.seq) == seq => Ok(()),
        Expected::Head(_) => conflict(ConflictKind::Head),
        Expected::Absent => {
            let states = || live.iter().flat_map(|live| &live.versions).map(|entry| entry.state);
            if states().all(|state| state == VersionState::Destroyed) {
                Ok(())
            } else if states().any(|state| state == VersionState::Enabled) {
                conflict(ConflictKind::Exists)
            } else {
                conflict(ConflictKind::Deleted)
            }
        }
    }
}

impl<'a> Draft<'a> {
    /// A draft that replaces `old`, or begins a secret.
    pub(super) fn new(
        vault: &'a Vault,
        key: Key,
        path: &SecretPath,
        old: Option<Head>,
        base: impl FnOnce(Option<&HeadBase>) -> Result<(u64, Lineage), Error>,
        generations: (u64, u64),
        now: Timestamp,
    ) -> Result<Self, Error> {
        let (seq, lineage) = base(old.as_ref().map(|old| &old.base))?;
        let next_version = old.as_ref().map_or(Version::FIRST, |old| old.base.next_version);
        let base = HeadBase {
            seq,
            lineage,
            keyring_generation: generations.0,
            namespace_generation: generations.1,
            next_version,
            updated: now,
        };
        let live = old.and_then(|old| old.live);
        let head = Head { path: path.clone(), base, live };
        Ok(Self {
            vault,
            key,
            head,
            now,
            blobs: Vec::new(),
            dropped: Vec::new(),
            erases: false,
            made: None,
        })
    }

    fn live(&mut self) -> Result<&mut LiveHead, Error> {
        self.head.live.as_mut().ok_or_else(|| NotFound::Secret.into())
    }

    /// The version that a reference means, whatever its state.
    fn entry(&mut self, which: VersionSelector) -> Result<&mut VersionEntry, Error> {
        let live = self.live()?;
        let version = match which {
            VersionSelector::Version(version) => version,
            VersionSelector::Stage(stage) => {
                staged(&live.stages, stage).ok_or(NotFound::Stage(stage))?
            }
        };
        live.version_mut(version).ok_or_else(|| NotFound::Version(version).into())
    }

    /// Puts a version.
    pub(super) fn put(&mut self, content: &Content) -> Result<Version, Error> {
        let version = self.head.base.next_version;
        let next = version.number().checked_add(1).and_then(Version::new);
        self.head.base.next_version =
            next.ok_or(Unavailable::Unsupported("the secret has had all versions it can have"))?;
        let value = self.value_slot(&content.value)?;
        let identifiers = if content.identifiers.len() <= MAX_INLINE_IDENTIFIERS {
            Identifiers::Inline(content.identifiers.clone())
        } else {
            let json = SecretValue::copied_from(&content.identifiers);
            Identifiers::Blob(self.slot_in_blob(&json)?)
        };
        let now = self.now;
        let live = self.head.live.get_or_insert_with(|| LiveHead {
            kind: content.kind.to_owned(),
            created: now,
            metadata: Metadata::default(),
            annexes: std::collections::BTreeMap::new(),
            stages: Stages::default(),
            versions: Vec::new(),
        });
        if live.kind != content.kind {
            if live.versions.iter().any(|entry| entry.state != VersionState::Destroyed) {
                return Err(Invalid::Request(
                    "the secret is of another kind: purge it first, or use another path",
                )
                .into());
            }
            content.kind.clone_into(&mut live.kind);
        }
        live.versions.push(VersionEntry {
            version,
            state: VersionState::Enabled,
            created: now,
            changed: now,
            holds: Vec::new(),
            identifiers: Some(identifiers),
            value: Some(value),
        });
        content.annexes.clone().apply(&mut live.annexes)?;
        match content.stage {
            Stage::Current => bring_into_force(&mut live.stages, version),
            Stage::Pending => live.stages.pending = Some(version),
            _ => {
                return Err(Invalid::Request("a put goes to `current` or to `pending`").into());
            }
        }
        self.made = Some(version);
        self.prune();
        Ok(version)
    }

    /// Drops the oldest versions beyond what is kept, but none that a stage points at or that is
    /// held.
    fn prune(&mut self) {
        let now = self.now;
        let Some(live) = self.head.live.as_mut() else { return };
        let keep = usize::from(live.metadata.max_versions);
        let mut excess = live.versions.len().saturating_sub(keep);
        let (stages, dropped) = (live.stages, &mut self.dropped);
        live.versions.retain(|entry| {
            if excess == 0 || stages.points_at(entry.version) || is_held(entry, now) {
                return true;
            }
            excess -= 1;
            dropped.extend(blobs_of_entry(entry));
            false
        });
    }

    /// Changes the state of a version between enabled, disabled and deleted.
    pub(super) fn set_state(
        &mut self,
        which: VersionSelector,
        from: &[VersionState],
        to: VersionState,
    ) -> Result<Version, Error> {
        let now = self.now;
        let entry = self.entry(which)?;
        let (version, state) = (entry.version, entry.state);
        if state == to {
            return Ok(version);
        }
        if !from.contains(&state) {
            return Err(match state {
                VersionState::Deleted => NotFound::Deleted(version).into(),
                VersionState::Destroyed => NotFound::Destroyed(version).into(),
                state => Invalid::State { version, state }.into(),
            });
        }
        entry.state = to;
        entry.changed = now;
        Ok(version)
    }

    /// Destroys a version. The one place where value and data key leave a living head by request.
    pub(super) fn destroy(&mut self, which: VersionSelector) -> Result<Version, Error> {
        let now = self.now;
        let entry = self.entry(which)?;
        if entry.state == VersionState::Destroyed {
            return Ok(entry.version);
        }
        if is_held(entry, now) {
            return Err(ConflictKind::Held.into());
        }
        let blobs = blobs_of_entry(entry);
        entry.state = VersionState::Destroyed;
        entry.changed = now;
        entry.identifiers = None;
        entry.value = None;
        entry.holds.clear();
        let version = entry.version;
        self.dropped.extend(blobs);
        self.erases = true;
        Ok(version)
    }

    /// Leaves a tombstone: path and version counter.
    pub(super) fn purge(&mut self) -> Result<(), Error> {
        let now = self.now;
        let live = self.live()?;
        if live.versions.iter().any(|entry| is_held(entry, now)) {
            return Err(ConflictKind::Held.into());
        }
        let blobs: Vec<_> = live.versions.iter().flat_map(blobs_of_entry).collect();
        self.dropped.extend(blobs);
        self.erases = true;
        self.head.live = None;
        Ok(())
    }

    /// Puts a version in force.
    pub(super) fn promote(&mut self, which: VersionSelector) -> Result<Version, Error> {
        // A promotion without a version means the one that waits.
        let which = match which {
            VersionSelector::Stage(Stage::Current) => Stage::Pending.into(),
            which => which,
        };
        let entry = self.entry(which)?;
        let (version, state) = (entry.version, entry.state);
        if state != VersionState::Enabled {
            return Err(Invalid::State { version, state }.into());
        }
        let live = self.live()?;
        if live.stages.current != Some(version) {
            bring_into_force(&mut live.stages, version);
        }
        Ok(version)
    }

    /// Changes metadata.
    pub(super) fn update_metadata(&mut self, update: &MetadataUpdate) -> Result<(), Error> {
        let now = self.now;
        let live = self.live()?;
        let mut update = update.clone();
        update.take_annexes().apply(&mut live.annexes)?;
        update.apply(&mut live.metadata, now)?;
        self.prune();
        self.erases = !self.dropped.is_empty();
        Ok(())
    }

    /// Sets, moves or, with a time that is not in the future, removes a hold.
    pub(super) fn hold(
        &mut self,
        which: VersionSelector,
        hold: &HoldMetadata,
    ) -> Result<Version, Error> {
        if hold.id.is_empty() || hold.id.len() > 64 {
            return Err(Invalid::Request("a hold has an id of 1 to 64 bytes: choose one").into());
        }
        let now = self.now;
        let entry = self.entry(which)?;
        if entry.state == VersionState::Destroyed {
            return Err(NotFound::Destroyed(entry.version).into());
        }
        entry.holds.retain(|other| other.id != hold.id && other.until > now);
        if hold.until > now {
            if entry.holds.len() >= 16 {
                return Err(Invalid::Request("a version has at most 16 holds").into());
            }
            entry.holds.push(HoldEntry { id: hold.id.clone(), until: hold.until });
        }
        Ok(entry.version)
    }

    /// Moves the values that no stage points at any more out of the head. The ciphertext stays as
    /// it is: only its place changes.
    pub(super) fn move_out_unstaged(&mut self) -> Result<(), Error> {
        let Some(live) = self.head.live.as_mut() else { return Ok(()) };
        let stages = live.stages;
        let mut moves = Vec::new();
        for entry in &mut live.versions {
            if !stages.points_at(entry.version)
                && let Some(slot) = &mut entry.value
                && let Place::Inline(ciphertext) = &mut slot.place
            {
                moves.push((entry.version, std::mem::take(ciphertext)));
            }
        }
        for (version, ciphertext) in moves {
            let blob = self.blob(ciphertext)?;
            let entry = self.live()?.version_mut(version).and_then(|entry| entry.value.as_mut());
            if let Some(slot) = entry {
                slot.place = Place::Blob(blob);
            }
        }
        Ok(())
    }

    fn value_slot(&mut self, value: &SecretValue) -> Result<OwnedSlot, Error> {
        if value.len() > MAX_INLINE_BYTES {
            return self.slot_in_blob(value);
        }
        let (mut slot, ciphertext) = self.encrypt(value)?;
        slot.place = Place::Inline(ciphertext);
        Ok(slot)
    }

    fn slot_in_blob(&mut self, value: &SecretValue) -> Result<OwnedSlot, Error> {
        let (mut slot, ciphertext) = self.encrypt(value)?;
        slot.place = Place::Blob(self.blob(ciphertext)?);
        Ok(slot)
    }

    fn encrypt(&self, value: &SecretValue) -> Result<(OwnedSlot, Vec<u8>), Error> {
        let suite = self.vault.keys.get()?.keyring.suite;
        let key = DataKey::generate(&*self.vault.entropy)?;
        let nonce = self.vault.random()?;
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let ciphertext = encrypt_value(&key, &nonce, suite, value)?;
        let place = Place::Inline(Vec::new());
        Ok((ValueSlot { suite, key, nonce, length, place }, ciphertext))
    }

    /// Splits a ciphertext into the parts of a blob, tagged with the seq of this head.
    fn blob(&mut self, ciphertext: Vec<u8>) -> Result<BlobRef, Error> {
        let limit = self.vault.storage.profile().value_bytes.get();
        let count = ciphertext.len().div_ceil(limit).max(1);
        let parts = u8::try_from(count).map_err(|_| Invalid::TooLarge {
            bytes: ciphertext.len(),
            limit: limit.saturating_mul(usize::from(u8::MAX)),
            whose: "the storage's limit on one record",
        })?;
        let blob = BlobRef { seq: self.head.base.seq, random: self.vault.random()?, parts };
        for (part, bytes) in (0..parts).zip(ciphertext.chunks(limit)) {
            let key = strongroom_crypto::blob_key(&self.key, blob.seq, &blob.random, part)
                .ok_or(Invalid::Request("this key is no head's"))?;
            self.blobs.push((key, bytes.to_vec()));
        }
        Ok(blob)
    }
}

fn staged(stages: &Stages, stage: Stage) -> Option<Version> {
    match stage {
        Stage::Current => stages.current,
        Stage::Pending => stages.pending,
        Stage::Previous => stages.previous,
        _ => None,
    }
}

fn bring_into_force(stages: &mut Stages, version: Version) {
    if let Some(before) = stages.current.replace(version) {
        stages.previous = Some(before);
    }
    if stages.pending == Some(version) {
        stages.pending = None;
    }
    if stages.previous == Some(version) {
        stages.previous = None;
    }
}

fn is_held(entry: &VersionEntry, now: Timestamp) -> bool {
    entry.holds.iter().any(|hold| hold.until > now)
}

/// The blobs that a version names.
pub(super) fn blobs_of_entry(entry: &VersionEntry) -> Vec<BlobRef> {
    let identifiers = match &entry.identifiers {
        Some(Identifiers::Blob(slot)) => Some(&slot.place),
        _ => None,
    };
    let value = entry.value.as_ref().map(|slot| &slot.place);
    let blob = |place: &Place<Vec<u8>>| match place {
        Place::Blob(blob) => Some(*blob),
        Place::Inline(_) => None,
    };
    identifiers.into_iter().chain(value).filter_map(blob).collect()
}
