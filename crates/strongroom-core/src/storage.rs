//! Where records are kept. A backend is trusted to be there, and for nothing else: all that it
//! holds is encrypted, and what it changes is noticed.

use std::fmt::{self, Debug};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// The longest value, in bytes. Larger secrets are split into parts by the engine.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// The key of a record: at most [`MAX_KEY_BYTES`] bytes that tell nothing about names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// The key made of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, compared as such everywhere.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::borrow::Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Which state of a record: opaque, and never the same twice for one key, deletion included.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Revision(Arc<[u8]>);

impl Revision {
    /// The revision made of these bytes: a counter, an ETag, random bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revision(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its revision.
    pub revision: Revision,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// What a put expects to find. There is no "anything": nothing needs a lost update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// No record.
    Absent,
    /// The record at this revision.
    Revision(Revision),
}

/// One operation of a batch. Exhaustive on purpose: a backend must know them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a record if the expectation holds.
    Put {
        /// Its key.
        key: Key,
        /// What must be there.
        expect: Expect,
        /// Its new bytes.
        value: Vec<u8>,
    },
    /// Writes nothing, and holds only if the record has this revision.
    Check {
        /// Its key.
        key: Key,
        /// The revision it must have.
        revision: Revision,
    },
}

impl Op {
    /// The key that the operation is about.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Check { key, .. } => key,
        }
    }
}

/// Operations that take effect together or not at all. Their keys are distinct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
    is_essential: bool,
}

impl Batch {
    /// A batch of these operations.
    ///
    /// # Errors
    /// `TooLarge` where two have one key, a key or value is beyond the limits of the trait, or
    /// there is none.
    pub fn new(ops: Vec<Op>) -> Result<Self, StorageError> {
        let too_large = |what| Err(StorageError::not_done(NotDoneKind::TooLarge, what));
        if ops.is_empty() {
            return too_large("a batch has at least one operation");
        }
        for (at, op) in ops.iter().enumerate() {
            if op.key().as_bytes().is_empty() || op.key().as_bytes().len() > MAX_KEY_BYTES {
                return too_large("a key has 1 to 512 bytes");
            }
            if matches!(op, Op::Put { value, .. } if value.len() > MAX_VALUE_BYTES) {
                return too_large("a value has at most 64 KiB");
            }
            if ops.iter().take(at).any(|other| other.key() == op.key()) {
                return too_large("the keys of a batch are distinct");
            }
        }
        Ok(Self { ops, is_essential: false })
    }

    /// The same, as something that [takes access away](crate::ActionName::takes_access_away) or
    /// settles what is not known.
    #[must_use]
    pub fn essential(self) -> Self {
        Self { is_essential: true, ..self }
    }

    /// Whether it takes access away, or settles something. A backend that keeps room back does such
    /// a batch, and what [`erase`](Storage::erase) asks for, where it refuses others for want of
    /// room. Others need not look.
    #[must_use]
    pub const fn is_essential(&self) -> bool {
        self.is_essential
    }

    /// The operations.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The operations, to keep.
    #[must_use]
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }
}

/// What became of a batch.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// All of it took effect, and is as durable as the backend makes things.
    Committed {
        /// The new revision for each `Put` and the unchanged one for each `Check`, in order.
        revisions: Vec<Revision>,
    },
    /// None of it took effect.
    Conflict {
        /// The first key whose expectation did not hold.
        key: Key,
    },
}

/// Which records to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Only keys that begin with these bytes.
    pub prefix: Vec<u8>,
    /// Only keys after this one, which need not exist.
    pub after: Option<Key>,
    /// At most that many.
    pub limit: NonZeroU32,
    /// Whether to hand out values too.
    pub with_values: bool,
}

/// One record of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its revision.
    pub revision: Revision,
    /// Its bytes, where they were asked for.
    pub value: Option<Vec<u8>>,
}

/// Records in bytewise order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The records. May be fewer than the limit even where there are more.
    pub entries: Vec<Listed>,
    /// Whether there may be more after the last one; false only at the end.
    pub more: bool,
}

/// When erased bytes are gone from the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Erasure {
    /// As soon as `erase` or a replacing `Put` is durable, as far as the file system is concerned.
    Immediate,
    /// Some time later: versions, snapshots or compaction keep them for a while.
    Eventually,
}

/// What a backend is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// How many operations a batch may have.
    pub atomic_ops: NonZeroUsize,
    /// The longest value, in bytes; at most [`MAX_VALUE_BYTES`].
    pub value_bytes: NonZeroUsize,
    /// When erased bytes are gone.
    pub erasure: Erasure,
}

/// A mark that changes with each commit to the backend, whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChangeMark(pub [u64; 2]);

/// What may have changed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// These records.
    Keys(Vec<Key>),
    /// Hints may have been lost: anything may have changed.
    Gap,
}

/// Word of changes made elsewhere. May repeat and may lose; nothing correct rests on it.
#[async_trait]
pub trait Hints: Debug + Send + Sync {
    /// The next hint.
    ///
    /// # Errors
    /// Where no hint will come any more.
    async fn next(&self) -> Result<Hint, StorageError>;
}

/// Why an operation of a backend was not done.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotDoneKind {
    /// Others held it too long. Trying again is right.
    Busy,
    /// There is no room on the medium.
    Full,
    /// The medium can only be read.
    ReadOnly,
    /// The operating system or the server refused.
    Denied,
    /// The backend did not answer.
    Unreachable,
    /// The format is newer than this build.
    TooNew,
    /// The backend's own structure is broken.
    Damaged,
    /// What is there was not made by strongroom.
    Foreign,
    /// The place cannot keep a store safely, as with a network file system under a database.
    Unsuitable,
    /// A key, value or batch is beyond the backend's limits.
    TooLarge,
}

impl NotDoneKind {
    const fn advice(self) -> &'static str {
        match self {
            Self::Busy => "the storage is busy: try again",
            Self::Full => "the storage is full: make room, then try again",
            Self::ReadOnly => "the storage is read-only: check how it is mounted and opened",
            Self::Denied => "access to the storage was refused: check owner and modes",
            Self::Unreachable => "the storage did not answer: check that it is there",
            Self::TooNew => "the storage was written by a newer version: update this program",
            Self::Damaged => "the storage is not in order: restore it from a backup",
            Self::Foreign => "this is no storage of strongroom: check which one was meant",
            Self::Unsuitable => "the storage cannot be kept here: choose another place",
            Self::TooLarge => "the request is beyond the limits of the storage: make it smaller",
        }
    }
}

/// Why a call to a backend failed. Two words: it was not done, or it is not known.
#[derive(Debug, Error)]
pub enum StorageError {
    /// It did not take effect, and will not.
    #[error("{}: {detail}", kind.advice())]
    NotDone {
        /// What is in the way.
        kind: NotDoneKind,
        /// What exactly.
        detail: Box<str>,
        /// What caused it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It may or may not have taken effect, or still do so. Sending the same batch again is safe
    /// and tells.
    #[error("whether the write took effect is not known: send the same batch again ({detail})")]
    Indeterminate {
        /// What happened.
        detail: Box<str>,
        /// What caused it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl StorageError {
    /// Not done, for a reason.
    #[must_use]
    pub fn not_done(kind: NotDoneKind, detail: impl Into<Box<str>>) -> Self {
        Self::NotDone { kind, detail: detail.into(), source: None }
    }

    /// Not known whether it was done.
    #[must_use]
    pub fn indeterminate(detail: impl Into<Box<str>>) -> Self {
        Self::Indeterminate { detail: detail.into(), source: None }
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        match &mut self {
            Self::NotDone { source, .. } | Self::Indeterminate { source, .. } => {
                *source = Some(cause.into());
            }
        }
        self
    }

    /// What is in the way, where it is known that nothing was done.
    #[must_use]
    pub const fn kind(&self) -> Option<NotDoneKind> {
        match self {
            Self::NotDone { kind, .. } => Some(*kind),
            Self::Indeterminate { .. } => None,
        }
    }
}

/// A place for records, with compare-and-swap.
///
/// # Contract
/// Each `read` and each batch is linearisable by key. A batch is all or nothing where it has at
/// most [`Profile::atomic_ops`] operations; a longer one is refused as `TooLarge`. A verbatim
/// retry of a batch is always safe: it fences itself by its expectations. But it is for the caller
/// to make: `write` sends a batch once, and so must the client libraries below it. The second of two
/// sends conflicts with the first, and `Conflict` would be the answer to what took effect; where it
/// is not known whether a send arrived, `Indeterminate` is. Every future makes progress when polled
/// by any executor; a backend that needs a reactor or a thread brings its own and joins it on drop.
/// `strongroom_testkit::storage` holds a backend to this.
///
/// # Errors
/// `NotDone` promises that nothing took effect. All else, an I/O error while committing included,
/// is `Indeterminate`.
///
/// # Cancellation
/// A dropped `write` may still take effect, as one that is `Indeterminate`.
///
/// # Durability
/// `Committed` means that a power cut does not undo it.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// What the backend is able to do.
    fn profile(&self) -> Profile;

    /// Reads records: one answer a key, in order.
    ///
    /// # Errors
    /// [`StorageError::NotDone`].
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StorageError>;

    /// Lists records in bytewise order of their keys.
    ///
    /// # Errors
    /// [`StorageError::NotDone`].
    async fn list(&self, scan: &Scan) -> Result<Page, StorageError>;

    /// Writes a batch.
    ///
    /// # Errors
    /// See the trait.
    async fn write(&self, batch: Batch) -> Result<Written, StorageError>;

    /// Erases records. Idempotent, and used only for keys that are never used again.
    ///
    /// # Errors
    /// See the trait.
    async fn erase(&self, keys: &[Key]) -> Result<(), StorageError>;

    /// A mark that is equal to an earlier one only if nothing was committed between the two.
    /// Local and cheap; `None` where it would cost a round trip.
    fn change_mark(&self) -> Option<ChangeMark>;

    /// Copies the whole store into an existing directory while others write. `cut` is called once,
    /// at a moment when commits are held off and the copy's content is fixed.
    ///
    /// # Errors
    /// See the trait; the directory may then hold a part.
    async fn backup(&self, dir: &Path, cut: &mut (dyn FnMut() + Send)) -> Result<(), StorageError>;

    /// Word of changes made elsewhere, where the backend has it.
    fn hints(&self) -> Option<&dyn Hints>;

    /// What others than the owner could do to where this keeps its data, now: a sentence each, with
    /// what to do. Empty where all is private, or where that is not the host's to say.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl<T: Storage + ?Sized> Storage for Arc<T> {
    fn profile(&self) -> Profile {
        (**self).profile()
    }
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StorageError> {
        (**self).read(keys).await
    }
    async fn list(&self, scan: &Scan) -> Result<Page, StorageError> {
        (**self).list(scan).await
    }
    async fn write(&self, batch: Batch) -> Result<Written, StorageError> {
        (**self).write(batch).await
    }
    async fn erase(&self, keys: &[Key]) -> Result<(), StorageError> {
        (**self).erase(keys).await
    }
    fn change_mark(&self) -> Option<ChangeMark> {
        (**self).change_mark()
    }
    async fn backup(&self, dir: &Path, cut: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        (**self).backup(dir, cut).await
    }
    fn hints(&self) -> Option<&dyn Hints> {
        (**self).hints()
    }
    fn warnings(&self) -> Vec<String> {
        (**self).warnings()
    }
}
