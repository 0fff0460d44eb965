//! What went wrong, in the few words that tell a service what to answer its client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use strongroom_audit::RegistryError;
use strongroom_core::{
    ActionName, AnchorError, AuditError, EntropyError, Explanation, KindError, LogId,
    MetadataError, NotDoneKind, PathError, Receipt, SealError, StorageError, StoreId, Version,
};
use strongroom_crypto::{KeyringError, RecordError};
use thiserror::Error as ThisError;

use crate::vault::Doubt;

/// What went wrong. Every text in it and below it is free of secrets.
///
/// ```
/// use strongroom_engine::Error;
///
/// // One match tells a web service what to answer, and a refused caller nothing of what exists.
/// fn status(error: &Error) -> u16 {
///     match error {
///         Error::Denied(_) | Error::NotFound(_) => 404,
///         Error::Conflict(_) => 409,
///         Error::Invalid(_) => 400,
///         Error::Indeterminate(_) | Error::Sealed | Error::Unavailable(_) => 503,
///         _ => 500,
///     }
/// }
/// assert_eq!(status(&Error::Sealed), 503);
/// ```
#[non_exhaustive]
#[derive(Debug, ThisError)]
pub enum Error {
    /// The policy does not allow it.
    #[error(transparent)]
    Denied(Denied),
    /// There is no such thing to act on, or not in a state to be acted on.
    #[error(transparent)]
    NotFound(NotFound),
    /// Something else is there than what was expected; nothing was changed.
    #[error(transparent)]
    Conflict(Conflict),
    /// Whether the write took effect is not known. `Session::resolve` finds out.
    #[error(transparent)]
    Indeterminate(Indeterminate),
    /// The store is sealed, or closed.
    #[error("the store is sealed: unseal or open it first")]
    Sealed,
    /// Something that strongroom needs did not work. Nothing was changed.
    #[error(transparent)]
    Unavailable(Unavailable),
    /// The request cannot be carried out as it stands.
    #[error(transparent)]
    Invalid(Box<Invalid>),
    /// What was read is not what was written.
    #[error(transparent)]
    Tampered(Tampered),
}

/// A refusal, with its reason for the operator and its reference for the caller.
///
/// `Display` shows action and receipt, and is safe to hand to whoever was refused: it is the same
/// for what exists and what does not. [`explain`](Self::explain) is for the operator.
#[derive(Debug, Clone, ThisError)]
#[error("{action} was refused (audit record {receipt})")]
pub struct Denied {
    action: ActionName,
    receipt: Receipt,
    explanation: Arc<Explanation>,
}

impl Denied {
    pub(crate) fn new(action: ActionName, receipt: Receipt, explanation: Explanation) -> Self {
        Self { action, receipt, explanation: Arc::new(explanation) }
    }

    /// The record of the refusal, or of an equal one shortly before, with which this one was
    /// [counted](crate::Builder::refusal_window).
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The action that was refused.
    #[must_use]
    pub fn action(&self) -> ActionName {
        self.action
    }

    /// Why, for the operator.
    #[must_use]
    pub fn explain(&self) -> &Explanation {
        &self.explanation
    }
}

/// What there is not.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum NotFound {
    /// No secret at that path.
    #[error("there is no secret at this path: check it, or put one")]
    Secret,
    /// No namespace of that name.
    #[error("there is no such namespace: create it, or put a secret into it")]
    Namespace,
    /// No store at that place.
    #[error("there is no store here: create one with `create` or `open_or_create`")]
    Store,
    /// No version of that number, or it was pruned.
    #[error("the secret has no version {0}: its metadata list those that it has")]
    Version(Version),
    /// No version that the stage points at.
    #[error("the secret has no {0} version: name another, or put one")]
    Stage(strongroom_core::Stage),
    /// The version is deleted softly.
    #[error("version {0} is deleted: `undelete` brings it back")]
    Deleted(Version),
    /// The version is disabled. Nothing falls back to another one.
    #[error(
        "version {version} is disabled{}: `enable` it, or `promote` another",
        Candidate(*.newest_enabled)
    )]
    Disabled {
        /// The version that was asked for.
        version: Version,
        /// The newest version that could be put in force instead.
        newest_enabled: Option<Version>,
    },
    /// The version is destroyed.
    #[error("version {0} is destroyed and cannot come back: put a new one")]
    Destroyed(Version),
    /// The secret's expiry has passed.
    #[error("the secret has expired: put a new version and a new expiry")]
    Expired,
}

struct Candidate(Option<Version>);

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(version) => write!(f, " (version {version} is the newest that is enabled)"),
            None => Ok(()),
        }
    }
}

/// What was found instead of what was expected.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{what}: read again and decide anew")]
pub struct Conflict {
    what: ConflictKind,
    current: Option<Version>,
    last: Option<Version>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub(crate) enum ConflictKind {
    #[error("another version is in force than was expected")]
    Version,
    #[error("the secret has changed since")]
    Head,
    #[error("there is a secret already")]
    Exists,
    #[error("the secret is deleted, which is not absent (`undelete` or `purge` it)")]
    Deleted,
    #[error("others kept changing the secret")]
    Contended,
    #[error("a hold keeps the version until its time or its release")]
    Held,
    #[error("there is a store already")]
    Store,
    #[error("there is a namespace of that name already")]
    Namespace,
}

impl Conflict {
    pub(crate) fn new(what: ConflictKind) -> Self {
        Self { what, current: None, last: None }
    }

    pub(crate) fn with(mut self, current: Option<Version>, last: Option<Version>) -> Self {
        self.current = current;
        self.last = last;
        self
    }

    /// The version in force, where there is one. For whoever may read metadata: it is not in the
    /// text.
    #[must_use]
    pub fn current(&self) -> Option<Version> {
        self.current
    }

    /// The last version that was ever put, where there is one.
    #[must_use]
    pub fn last(&self) -> Option<Version> {
        self.last
    }
}

/// A write of which nobody knows whether it took effect. Keep it and pass it to
/// `Session::resolve`.
#[derive(Clone, ThisError)]
#[error("whether the write took effect is not known: pass this error to `resolve` to find out")]
pub struct Indeterminate {
    pub(crate) doubt: Arc<Doubt>,
    #[source]
    pub(crate) source: Option<Arc<Unavailable>>,
}

impl fmt::Debug for Indeterminate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indeterminate").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Indeterminate {
    /// The error of another write, which was not begun because of this one. It is an outage: the
    /// caller of that write has nothing that could be resolved.
    pub(crate) fn in_the_way(self, detail: &'static str) -> Error {
        let error = StorageError::not_done(NotDoneKind::Unreachable, detail);
        let error = match self.source {
            Some(source) => error.because(source),
            None => error,
        };
        error.into()
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It took effect, and made this version, if it made one.
    TookEffect(Option<Version>),
    /// It did not, and will not.
    DidNot,
    /// Nobody can tell any more: too many writes came after it, or its namespace or its key epoch
    /// was given up meanwhile.
    Unknown,
}

/// What did not work.
#[non_exhaustive]
#[derive(Debug, ThisError)]
pub enum Unavailable {
    /// The storage.
    #[error("the storage did not work")]
    Storage(#[source] StorageError),
    /// The audit log; without a record nothing is released.
    #[error("the audit log did not work, so nothing was done")]
    Audit(#[source] AuditError),
    /// The policy engine could not decide.
    #[error("nobody could decide on the request (audit record {receipt})")]
    Policy {
        /// The record of it.
        receipt: Receipt,
        /// Why, for the operator.
        explanation: Explanation,
    },
    /// No seal opened the store.
    #[error("no seal opened this store")]
    Seal(#[source] SealError),
    /// The anchor, without which it is not certain that the storage was not set back.
    #[error("the anchor could not be asked or told")]
    Anchor(#[source] AnchorError),
    /// The caller has asked so often that its budget is used up. Recorded as one record a while, with a
    /// count.
    #[error("the caller asks too often: try again in {} ms", .retry_after.as_millis().max(1))]
    Throttled {
        /// The time after which its budget has enough for the request.
        retry_after: Duration,
    },
    /// No randomness.
    #[error("no keys can be made")]
    Entropy(#[source] EntropyError),
    /// The permit is older than its life time, or policy or secret changed under it.
    #[error("the permit is stale: authorise again")]
    StalePermit,
    /// `close` could not end the log: a write was under way, or was dropped as its intent was being
    /// recorded, so that nobody here knows whether it was.
    #[error("the audit log is left open, with a write that is not settled: open the store again")]
    LogLeftOpen,
    /// This part cannot do what was asked.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// What is wrong with a request.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Invalid {
    /// A name.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A kind, or a value that is not of it.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// Metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A value beyond what the engine or the storage takes.
    #[error("there are {bytes} bytes where at most {limit} fit ({whose}): make them fewer")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many would fit.
        limit: usize,
        /// Whose limit that is.
        whose: &'static str,
    },
    /// The head of the secret would be too large.
    #[error("the secret would not fit: keep fewer versions, labels or annexes")]
    HeadTooLarge,
    /// The secret's metadata say that each write names what it expects.
    #[error("this secret takes no write without an expectation: pass one")]
    ExpectationRequired,
    /// The version is not in a state for that.
    #[error("version {version} is {state}, so this cannot be done to it: choose another")]
    State {
        /// The version.
        version: Version,
        /// Its state.
        state: strongroom_core::VersionState,
    },
    /// The log and the storage belong to different stores.
    #[error(
        "the audit log belongs to store {log} and the storage {}: point both to one store",
        StoreName(*.storage)
    )]
    OtherStore {
        /// The store that the log names.
        log: StoreId,
        /// The store in the storage; `None` where there is none.
        storage: Option<StoreId>,
    },
    /// A directory that is to be filled is not empty.
    #[error("the directory for the copy is not empty: name one that is, or that does not exist")]
    DirectoryInUse,
    /// The reader asks for the wrong thing.
    #[error("{0}")]
    Request(&'static str),
}

struct StoreName(Option<StoreId>);

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(store) => write!(f, "to store {store}"),
            None => f.write_str("holds no store"),
        }
    }
}

/// What was read is not what was written here.
#[non_exhaustive]
#[derive(Debug, ThisError)]
pub enum Tampered {
    /// A record does not open.
    #[error("a record of the store does not open: run `verify`, and restore from a backup")]
    Record(#[source] RecordError),
    /// A record opens, and says something that it cannot.
    #[error("a record of the store is not in order ({0}): run `verify`")]
    Content(&'static str),
    /// A part of a large value is absent.
    #[error("a part of the value is absent: run `verify`, and restore from a backup")]
    Incomplete,
    /// The keyring is not in order.
    #[error("the keyring does not open")]
    Keyring(#[source] KeyringError),
    /// A log is shorter than the storage says it was, is another one, or is gone.
    #[error(
        "the audit log {log} was cut, replaced or taken away: the storage registered {size} records \
         of it; keep a copy of both and look with `verify_dir`, then restore the log, or open with \
         `accept_rollback`"
    )]
    AuditLogRolledBack {
        /// Which.
        log: LogId,
        /// So many records it had at least.
        size: u64,
    },
    /// The storage says less of a log than it once did.
    #[error(
        "the storage was set back: of the audit log {log} it had registered {registered} records, \
         and shows {stored}; keep a copy of both and look with `verify_dir`, then restore the \
         storage, or open with `accept_rollback`"
    )]
    StorageRolledBack {
        /// The log that tells.
        log: LogId,
        /// So many records of it the storage had registered.
        registered: u64,
        /// So many it shows.
        stored: u64,
    },
    /// What the anchor keeps of a log was not signed by this store.
    #[error("the anchor's pin of the audit log {0} is not this store's: point to its own anchor")]
    Pin(LogId),
    /// What the storage keeps of a log is not in order.
    #[error("what the storage says of the audit log {log} is not in order")]
    Registry {
        /// Which log.
        log: LogId,
        /// What is wrong.
        source: RegistryError,
    },
    /// A head names a newer keyring or namespace record than there is.
    #[error("keys were rolled back: the storage shows an older state than it once had")]
    KeyringRolledBack,
}

impl Tampered {
    /// The log that is set back, or that tells that the storage is.
    pub(crate) const fn log(&self) -> Option<LogId> {
        match self {
            Self::AuditLogRolledBack { log, .. } | Self::StorageRolledBack { log, .. } => {
                Some(*log)
            }
            _ => None,
        }
    }

    /// Whether lines of that log are gone.
    pub(crate) fn is_loss_of(&self, of: LogId) -> bool {
        matches!(self, Self::AuditLogRolledBack { log, .. } if *log == of)
    }
}

macro_rules! into_error {
    ($($from:ty => |$value:ident| $into:expr;)*) => {
        $(impl From<$from> for Error {
            fn from($value: $from) -> Self {
                $into
            }
        })*
    };
}

into_error! {
    Denied => |denied| Self::Denied(denied);
    NotFound => |what| Self::NotFound(what);
    Conflict => |conflict| Self::Conflict(conflict);
    Unavailable => |what| Self::Unavailable(what);
    Invalid => |what| Self::Invalid(Box::new(what));
    Tampered => |what| Self::Tampered(what);
    PathError => |error| Invalid::Path(error).into();
    KindError => |error| Invalid::Kind(error).into();
    MetadataError => |error| Invalid::Metadata(error).into();
    StorageError => |error| Unavailable::Storage(error).into();
    AuditError => |error| Unavailable::Audit(error).into();
    EntropyError => |error| Unavailable::Entropy(error).into();
}

impl From<ConflictKind> for Error {
    fn from(what: ConflictKind) -> Self {
        Conflict::new(what).into()
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Entropy(error) => error.into(),
            error => Tampered::Record(error).into(),
        }
    }
}

impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        Tampered::Keyring(error).into()
    }
}

impl Error {
    /// Whether a permit was stale, so that authorising again may do.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Unavailable(Unavailable::StalePermit))
    }
}
