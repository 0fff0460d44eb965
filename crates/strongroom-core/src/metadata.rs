//! What is known of a secret without its value.

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;

use crate::path::SecretPath;
use crate::time::Timestamp;
use crate::version::{Stage, Version, VersionState};

/// How many versions are kept where nothing else is said.
pub const DEFAULT_MAX_VERSIONS: u8 = 10;
/// The most versions that a secret keeps.
pub const MAX_VERSIONS: u8 = 100;
/// The most bytes that labels, owner and description have together.
pub const MAX_METADATA_BYTES: usize = 4096;
/// The most bytes that the annexes of a secret have together, their names included.
pub const MAX_ANNEX_BYTES: usize = 4096;
/// The longest name of an annex, in bytes.
pub const MAX_ANNEX_NAME_BYTES: usize = 64;

/// Labels, owner and rules of a secret.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Names and values, for policies and people.
    pub labels: BTreeMap<String, String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// From when on reads are refused. Nothing is erased by a clock.
    pub expires: Option<Timestamp>,
    /// How many versions are kept; a version that a stage points at is never pruned.
    pub max_versions: u8,
    /// Whether every write must say what it expects to find.
    pub cas_required: bool,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            owner: None,
            description: None,
            expires: None,
            max_versions: DEFAULT_MAX_VERSIONS,
            cas_required: false,
        }
    }
}

/// Why metadata are refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// Too many bytes together.
    #[error(
        "labels, owner and description have {bytes} bytes together: at most 4096 are kept, so shorten them"
    )]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// An invisible, direction-changing or control character.
    #[error("the {field} has U+{:04X} at byte {at}, which cannot be seen: leave it out", u32::from(*.character))]
    Character {
        /// Where.
        field: &'static str,
        /// Byte offset.
        at: usize,
        /// Which.
        character: char,
    },
    /// A label without a name.
    #[error("a label has no name: give it one")]
    EmptyLabel,
    /// An expiry that is not after now.
    #[error("the expiry is not in the future: to stop reads now, disable or delete the secret")]
    ExpiryPast,
    /// An annex's name has no bytes, or more than 64.
    #[error("the name of an annex has {bytes} bytes: choose one of 1 to 64")]
    AnnexName {
        /// How many.
        bytes: usize,
    },
    /// Too many bytes together.
    #[error("the annexes have {bytes} bytes together: at most 4096 are kept, so shorten them")]
    AnnexesTooLarge {
        /// How many.
        bytes: usize,
    },
    /// Outside 1 to 100.
    #[error("max_versions is {asked}: choose 1 to 100")]
    MaxVersions {
        /// What was asked.
        asked: u8,
    },
}

impl Metadata {
    /// Checks the limits and that nothing in it is invisible.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), MetadataError> {
        let mut bytes = 0;
        let mut text = |field, text: &str| {
            bytes += text.len();
            match text.char_indices().find(|&(_, c)| is_invisible(c)) {
                Some((at, character)) => Err(MetadataError::Character { field, at, character }),
                None => Ok(()),
            }
        };
        for (name, value) in &self.labels {
            if name.is_empty() {
                return Err(MetadataError::EmptyLabel);
            }
            text("label name", name)?;
            text("label", value)?;
        }
        text("owner", self.owner.as_deref().unwrap_or_default())?;
        text("description", self.description.as_deref().unwrap_or_default())?;
        if bytes > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge { bytes });
        }
        if !(1..=MAX_VERSIONS).contains(&self.max_versions) {
            return Err(MetadataError::MaxVersions { asked: self.max_versions });
        }
        Ok(())
    }
}

/// Control characters but line ends and tabs, and the zero-width, direction-changing and tag
/// characters that make two different texts look the same (Unicode TR 36).
fn is_invisible(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A change to metadata; what it does not name stays as it is.
///
/// ```
/// use strongroom_core::MetadataUpdate;
/// let update = MetadataUpdate::new().label("team", "billing").owner("alice").max_versions(3);
/// ```
#[derive(Debug, Clone, Default)]
pub struct MetadataUpdate {
    labels: Vec<(String, Option<String>)>,
    owner: Option<Option<String>>,
    description: Option<Option<String>>,
    expires: Option<Option<Timestamp>>,
    max_versions: Option<u8>,
    cas_required: Option<bool>,
    annexes: AnnexUpdate,
}

/// A change to the annexes of a secret: opaque bytes under a name, kept by every replacement of its head,
/// and changed in one step with it. They are encrypted, and shown to whoever may read metadata: nothing
/// secret belongs into them.
///
/// Whatever manages secrets keeps its own state in one, under a name of its own: a rotation its step, a
/// lease its holder.
///
/// ```
/// use std::collections::BTreeMap;
/// use strongroom_core::AnnexUpdate;
///
/// let mut annexes = BTreeMap::from([("acme.synced".to_owned(), b"v1".to_vec())]);
/// AnnexUpdate::new().set("acme.owner", b"node 7").remove("acme.synced").apply(&mut annexes)?;
/// assert_eq!(annexes.into_keys().collect::<Vec<_>>(), ["acme.owner"]);
/// # Ok::<(), strongroom_core::MetadataError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnnexUpdate(Vec<(String, Option<Vec<u8>>)>);

impl AnnexUpdate {
    /// No change yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets an annex: a name of 1 to 64 bytes, and all together at most [`MAX_ANNEX_BYTES`].
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.push((name.into(), Some(bytes.into())));
        self
    }

    /// Removes an annex, if there is one of that name.
    #[must_use]
    pub fn remove(mut self, name: impl Into<String>) -> Self {
        self.0.push((name.into(), None));
        self
    }

    /// Applies the change and checks the result.
    ///
    /// # Errors
    /// `AnnexName` and `AnnexesTooLarge`.
    pub fn apply(self, annexes: &mut BTreeMap<String, Vec<u8>>) -> Result<(), MetadataError> {
        if self.0.is_empty() {
            return Ok(());
        }
        for (name, bytes) in self.0 {
            if name.is_empty() || name.len() > MAX_ANNEX_NAME_BYTES {
                return Err(MetadataError::AnnexName { bytes: name.len() });
            }
            match bytes {
                Some(bytes) => annexes.insert(name, bytes),
                None => annexes.remove(&name),
            };
        }
        let bytes = annexes.iter().map(|(name, bytes)| name.len() + bytes.len()).sum();
        if bytes > MAX_ANNEX_BYTES {
            return Err(MetadataError::AnnexesTooLarge { bytes });
        }
        Ok(())
    }
}

impl MetadataUpdate {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), Some(value.into())));
        self
    }

    /// Removes a label.
    #[must_use]
    pub fn without_label(mut self, name: impl Into<String>) -> Self {
        self.labels.push((name.into(), None));
        self
    }

    /// Sets the owner.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(Some(owner.into()));
        self
    }

    /// Removes the owner.
    #[must_use]
    pub fn without_owner(mut self) -> Self {
        self.owner = Some(None);
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(Some(text.into()));
        self
    }

    /// Removes the description.
    #[must_use]
    pub fn without_description(mut self) -> Self {
        self.description = Some(None);
        self
    }

    /// Refuses reads from that moment on.
    #[must_use]
    pub fn expires(mut self, at: Timestamp) -> Self {
        self.expires = Some(Some(at));
        self
    }

    /// Removes the expiry.
    #[must_use]
    pub fn without_expiry(mut self) -> Self {
        self.expires = Some(None);
        self
    }

    /// Keeps that many versions, 1 to 100.
    #[must_use]
    pub fn max_versions(mut self, versions: u8) -> Self {
        self.max_versions = Some(versions);
        self
    }

    /// Says whether every write must name what it expects.
    #[must_use]
    pub fn cas_required(mut self, required: bool) -> Self {
        self.cas_required = Some(required);
        self
    }

    /// Changes annexes, too.
    #[must_use]
    pub fn annexes(mut self, update: AnnexUpdate) -> Self {
        self.annexes.0.extend(update.0);
        self
    }

    /// Takes the changes of annexes out.
    #[must_use]
    pub fn take_annexes(&mut self) -> AnnexUpdate {
        std::mem::take(&mut self.annexes)
    }

    /// Applies the change, but for that of annexes, and checks the result.
    ///
    /// # Errors
    /// What [`Metadata::check`] says, or `ExpiryPast` for a new expiry that is not after `now`.
    pub fn apply(self, metadata: &mut Metadata, now: Timestamp) -> Result<(), MetadataError> {
        if let Some(Some(expires)) = self.expires
            && expires <= now
        {
            return Err(MetadataError::ExpiryPast);
        }
        for (name, value) in self.labels {
            match value {
                Some(value) => metadata.labels.insert(name, value),
                None => metadata.labels.remove(&name),
            };
        }
        metadata.owner = self.owner.unwrap_or_else(|| metadata.owner.take());
        metadata.description = self.description.unwrap_or_else(|| metadata.description.take());
        metadata.expires = self.expires.unwrap_or(metadata.expires);
        metadata.max_versions = self.max_versions.unwrap_or(metadata.max_versions);
        metadata.cas_required = self.cas_required.unwrap_or(metadata.cas_required);
        metadata.check()
    }
}

/// A secret as `read-metadata` shows it.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct SecretMetadata {
    /// Its path.
    pub path: SecretPath,
    /// The name of its kind.
    pub kind: String,
    /// The sequence number of its head, for [`Expected::Head`](crate::Expected::Head).
    pub seq: u64,
    /// When it was first put.
    pub created: Timestamp,
    /// When its head was last replaced.
    pub updated: Timestamp,
    /// Labels, owner, rules.
    pub metadata: Metadata,
    /// Its annexes: what is kept beside it by those that manage it.
    pub annexes: BTreeMap<String, Vec<u8>>,
    /// Its versions, oldest first.
    pub versions: Vec<VersionMetadata>,
    /// The number that the next version gets.
    pub next_version: Version,
}

impl SecretMetadata {
    /// An empty view, to be filled by an engine.
    #[must_use]
    pub fn new(path: SecretPath, next_version: Version) -> Self {
        Self {
            path,
            kind: String::new(),
            seq: 0,
            created: Timestamp::default(),
            updated: Timestamp::default(),
            metadata: Metadata::default(),
            annexes: BTreeMap::new(),
            versions: Vec::new(),
            next_version,
        }
    }

    /// The version that a stage points at.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> Option<Version> {
        self.versions.iter().find(|v| v.stages.contains(&stage)).map(|v| v.version)
    }
}

/// One version as `read-metadata` shows it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionMetadata {
    /// Its number.
    pub version: Version,
    /// Its state.
    pub state: VersionState,
    /// When it was put.
    pub created: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
    /// The exact number of bytes of its value.
    pub length: u32,
    /// The stages that point at it.
    pub stages: Vec<Stage>,
    /// What keeps it from being destroyed.
    pub holds: Vec<HoldMetadata>,
}

impl VersionMetadata {
    /// An enabled version without stages and holds.
    #[must_use]
    pub const fn new(version: Version, created: Timestamp, length: u32) -> Self {
        Self {
            version,
            state: VersionState::Enabled,
            created,
            changed: created,
            length,
            stages: Vec::new(),
            holds: Vec::new(),
        }
    }
}

/// Keeps a version from being destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldMetadata {
    /// Who holds it, by a name of at most 64 bytes that the holder chose.
    pub id: String,
    /// Until when.
    pub until: Timestamp,
}
