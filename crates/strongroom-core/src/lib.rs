//! The vocabulary of strongroom, and the traits at its edges.
//!
//! Paths, secrets, principals, actions, decisions, metadata and audit records are plain data here;
//! [`Storage`], [`Seal`], [`PolicyEngine`], [`AuditSink`], [`AuditReader`], [`Clock`] and
//! [`Entropy`] are small traits that a host or a third party implements. There is no I/O, no
//! cipher and no runtime in this crate, so that an implementer depends on nothing else.
//!
//! ```
//! use strongroom_core::{Credential, Principal, SecretPath, path};
//!
//! const DB: SecretPath = path!("prod/billing/db"); // checked by the compiler
//! let who = Principal::service("billing").with_role("payments");
//! let secret = Credential::new("billing_rw", "s3cr3t");
//!
//! assert_eq!(DB.namespace().as_str(), "prod");
//! assert_eq!(who.id(), "service:billing");
//! // Lent to the closure, never handed out; never printed.
//! assert_eq!(secret.password().expose(str::len), 6);
//! assert!(!format!("{secret:?}").contains("s3cr3t"));
//! ```

mod action;
mod anchor;
mod audit;
mod id;
mod kind;
mod kinds;
mod metadata;
mod path;
mod policy;
mod principal;
mod rotator;
mod seal;
mod secret;
mod storage;
mod time;
mod version;

pub use action::{
    Action, ActionName, Backup, CreateNamespace, Delete, Destroy, DestroyNamespace, Disable,
    Enable, Hold, List, ListNamespaces, ManageSeals, Promote, Prune, Purge, Read, ReadAudit,
    ReadMetadata, Recover, Rewrap, RotateKeys, Sweep, Undelete, UnknownAction, UpdateMetadata,
    Verify, Write,
};
pub use anchor::{Anchor, AnchorError, Pin};
pub use async_trait::async_trait;
pub use audit::{
    Attached, AuditError, AuditReader, AuditRecord, AuditSink, CitedRecord, ClosedRecord, DeadLog,
    DecisionRecord, Durability, EndedLog, Importance, IntentRecord, KnownLog, Loaded, LoadedHead,
    LogCut, OpenIntent, Outcome, OutcomeRecord, PruneRules, Pruned, PrunedPart, Receipt,
    RecordKind, Removed, StoreIdentity, TreeHead,
};
pub use id::{Digest, DirectoryId, IdError, LogId, SealId, StoreId, WriteId};
pub use kind::{KindError, KindName, SecretKind};
pub use kinds::{
    ApiKey, ApiKeyIdentifiers, Certificate, CertificateIdentifiers, Credential,
    CredentialIdentifiers, EncryptionKey, EncryptionKeyIdentifiers, EnvironmentVariable,
    EnvironmentVariableIdentifiers, NoIdentifiers, Opaque, Password, Token,
};
pub use metadata::{
    AnnexUpdate, DEFAULT_MAX_VERSIONS, HoldMetadata, MAX_ANNEX_BYTES, MAX_ANNEX_NAME_BYTES,
    MAX_METADATA_BYTES, MAX_VERSIONS, Metadata, MetadataError, MetadataUpdate, SecretMetadata,
    VersionMetadata,
};
pub use path::{
    MAX_PATH_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS, Names, Namespace, PathError, Prefix,
    SecretPath, SecretRef, Target, WholeStore,
};
pub use policy::{
    AccessRequest, Decision, Effect, Explanation, PolicyEngine, SecretFacts, Subject,
};
pub use principal::{Claim, Principal, RequestContext, Strength};
pub use rotator::{Rotator, RotatorError, RotatorErrorKind, TargetProfile};
pub use seal::{KeyContext, Seal, SealError, WrappedKey};
pub use secret::{SecretFields, SecretText, SecretValue};
pub use storage::{
    Batch, ChangeMark, Entry, Erasure, Expect, Hint, Hints, Key, Listed, MAX_KEY_BYTES,
    MAX_VALUE_BYTES, NotDoneKind, Op, Page, Profile, Revision, Scan, Storage, StorageError,
    Written,
};
pub use time::{Clock, Entropy, EntropyError, Monotonic, Timer, Timestamp, TimestampError};
pub use version::{Expected, Stage, Version, VersionSelector, VersionState};
