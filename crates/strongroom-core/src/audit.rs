//! What is recorded of each decision and write, and where records go.

use std::fmt::{self, Debug};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use thiserror::Error;

use crate::action::ActionName;
use crate::id::{Digest, DirectoryId, LogId, StoreId, WriteId};
use crate::path::Target;
use crate::policy::{Effect, Explanation};
use crate::principal::{Principal, RequestContext};
use crate::storage::Key;
use crate::time::{EntropyError, Timestamp};
use crate::version::Version;

/// How safe a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// In the memory of this process. A kill loses it.
    Held,
    /// With the kernel. A kill does not lose it; a power cut may.
    Flushed,
    /// On the medium. A power cut does not lose it.
    Synced,
}

/// The place of a record: log and index, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Receipt {
    /// The log.
    pub log: LogId,
    /// The index of the record in it.
    pub index: u64,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.log, self.index)
    }
}

/// The head of a log's Merkle tree (RFC 6962): so many records, with this root over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct TreeHead {
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// One record. None has a field that could hold a value.
#[derive(Debug, Clone)]
pub enum AuditRecord {
    /// A request was decided.
    Decision(DecisionRecord),
    /// A record of the store is about to be replaced.
    Intent(IntentRecord),
    /// What became of an intent.
    Outcome(OutcomeRecord),
    /// A log of the same store that its process left open has been read to its end and settled.
    Closed(ClosedRecord),
    /// Another log of the same store was seen to have come so far.
    Cited(CitedRecord),
}

/// For how much a record must be taken where a sink has little room left, least first.
///
/// A record says it of itself, by [`AuditRecord::importance`]. A sink that keeps a part of its room
/// back lets nothing ordinary into that part, and refusals into half of it: so that neither who reads
/// in a loop nor who is refused in a loop keeps others from taking access away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Importance {
    /// Whatever gives access: where it cannot be recorded it does not happen.
    Ordinary,
    /// A request was refused. It is refused without a record, too.
    Refusal,
    /// What [takes access away](ActionName::takes_access_away), and what settles or ends something.
    Essential,
}

impl AuditRecord {
    /// How important it is that it is taken where there is little room: `Essential` are outcomes and
    /// what closes a log, and decisions that allow an action that
    /// [takes access away](ActionName::takes_access_away), or [`Recover`](crate::Recover), with the
    /// intents under them; `Refusal` are all decisions that do not allow; all else is `Ordinary`.
    #[must_use]
    pub const fn importance(&self) -> Importance {
        let action = match self {
            Self::Decision(record) if !matches!(record.effect, Effect::Allow) => {
                return Importance::Refusal;
            }
            Self::Decision(record) => record.action,
            Self::Intent(record) => record.action,
            Self::Outcome(_) | Self::Closed(_) => return Importance::Essential,
            Self::Cited(_) => return Importance::Ordinary,
        };
        if action.takes_access_away() || matches!(action, ActionName::Recover) {
            Importance::Essential
        } else {
            Importance::Ordinary
        }
    }

    /// Its wall time.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Decision(record) => record.at,
            Self::Intent(record) => record.at,
            Self::Outcome(record) => record.at,
            Self::Closed(record) => record.at,
            Self::Cited(record) => record.at,
        }
    }
}

/// A request was decided. Written before anything it allows happens.
///
/// Several equal requests that were refused may share one record, which then has their
/// [`count`](Self::count) and is otherwise that of the first of them, with the time and the request's id of
/// the last. One that was allowed has a
/// record of its own.
#[derive(Debug, Clone)]
pub struct DecisionRecord {
    /// Wall time of the decision.
    pub at: Timestamp,
    /// Who asked. `None`: the engine itself, as `system:strongroom`, which no host can assert.
    pub principal: Option<Principal>,
    /// To do what.
    pub action: ActionName,
    /// To what.
    pub target: Target,
    /// What was decided.
    pub effect: Effect,
    /// So many requests that were refused; 1 where the request was allowed.
    pub count: NonZeroU64,
    /// Why.
    pub explanation: Explanation,
    /// What is known of the request.
    pub context: RequestContext,
    /// What was loaded; only where the request was allowed and is about one secret.
    pub loaded: Option<Loaded>,
}

/// What a decision was carried out on.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The storage key of the head.
    pub key: Key,
    /// The head that was found; `None` where there was none.
    pub head: Option<LoadedHead>,
}

/// A head as it was found.
#[derive(Debug, Clone, Copy)]
pub struct LoadedHead {
    /// Its sequence number.
    pub seq: u64,
    /// SHA-256 of its record.
    pub digest: Digest,
    /// The version that the request resolved to, if any.
    pub version: Option<Version>,
}

/// Which record of the store an intent is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// The head of a secret. Its seq counts its replacements.
    Head,
    /// A namespace record. Its generation is the seq.
    Namespace,
    /// The keyring. Its generation is the seq.
    Keyring,
}

/// A record of the store is about to be replaced by compare-and-swap.
#[derive(Debug, Clone)]
pub struct IntentRecord {
    /// Wall time.
    pub at: Timestamp,
    /// Index, in this log, of the decision that allows it.
    pub decision: u64,
    /// The action that it allows. Not written again: the decision tells it.
    pub action: ActionName,
    /// Which record.
    pub kind: RecordKind,
    /// Its storage key.
    pub key: Key,
    /// Its sequence number after the write.
    pub seq: u64,
    /// SHA-256 of the record replaced; 32 zero bytes where there is none.
    pub prev: Digest,
    /// The log that the replaced record names; the own one where there is none.
    pub prev_log: LogId,
    /// SHA-256 of the new record.
    pub next: Digest,
    /// The id of the write, which the new record carries.
    pub write: WriteId,
    /// What it is about, by name.
    pub target: Target,
    /// Where the write ends a namespace: the prefixes of storage keys that are erased afterwards.
    pub erases: Vec<Vec<u8>>,
}

/// What became of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It took effect.
    Done,
    /// It did not, and cannot any more.
    Lost,
    /// Nobody can tell any more.
    Unknown,
}

/// What became of an intent, of this log or of a dead one.
#[derive(Debug, Clone, Copy)]
pub struct OutcomeRecord {
    /// Wall time.
    pub at: Timestamp,
    /// The intent.
    pub intent: Receipt,
    /// What became of it.
    pub outcome: Outcome,
}

/// A dead log has been settled. From now on it has this size and root, for good.
#[derive(Debug, Clone, Copy)]
pub struct ClosedRecord {
    /// Wall time.
    pub at: Timestamp,
    /// The dead log.
    pub log: LogId,
    /// How many records it has.
    pub size: u64,
    /// The root of its Merkle tree (RFC 6962).
    pub root: Digest,
}

/// Another log was seen to have come so far: whoever cuts it back later has to alter this log, too.
#[derive(Debug, Clone, Copy)]
pub struct CitedRecord {
    /// Wall time.
    pub at: Timestamp,
    /// The other log.
    pub log: LogId,
    /// Who keeps it.
    pub directory: DirectoryId,
    /// What of it is registered in the storage, and so was synced and signed before.
    pub head: TreeHead,
}

/// An intent that its process did not settle.
#[derive(Debug, Clone)]
pub struct OpenIntent {
    /// Its place.
    pub receipt: Receipt,
    /// Which record.
    pub kind: RecordKind,
    /// Its storage key.
    pub key: Key,
    /// Its sequence number after the write.
    pub seq: u64,
    /// The id of the write.
    pub write: WriteId,
    /// The path, prefix or namespace by name, decrypted from the log; `/` for the keyring.
    pub target: String,
}

/// A log that its process left open, now locked by this one.
#[derive(Debug, Clone)]
pub struct DeadLog {
    /// Which.
    pub log: LogId,
    /// How many records it has.
    pub size: u64,
    /// The root of its Merkle tree.
    pub root: Digest,
    /// What its writer signed of it on the way, in order: the first record, and each checkpoint. Of a
    /// log whose last part alone was read, from that on which signs all before it.
    pub checkpoints: Vec<TreeHead>,
    /// The greatest size that it says its storage has [registered](AuditSink::registered), in lines
    /// that a later checkpoint signs.
    pub registered: u64,
    /// What it left open.
    pub open: Vec<OpenIntent>,
}

/// A log that its writer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedLog {
    /// When, by the wall clock of its writer.
    pub at: Timestamp,
    /// All its records but the last, which says that it is the last.
    pub head: TreeHead,
    /// The size that its last record says its storage has [registered](AuditSink::registered).
    pub registered: u64,
}

/// A log beside the own one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownLog {
    /// Which.
    pub log: LogId,
    /// Its end, where its writer ended it.
    pub ended: Option<EndedLog>,
    /// It ends before what it, or the last part of it, was begun with: it was cut, and nothing of it
    /// can be settled.
    pub is_cut_short: bool,
}

/// A sink that is ready for the records of a store.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The id of the log that this open writes.
    pub log: LogId,
    /// Where it is kept. `None`: the sink does not tell whether all logs that were ever kept there
    /// still are.
    pub directory: Option<DirectoryId>,
    /// All logs that are kept there beside the own one, dead ones too.
    pub logs: Vec<KnownLog>,
    /// The logs that were left open. The engine settles them and records that they are closed.
    pub dead: Vec<DeadLog>,
}

/// How far each file of a log reaches, for a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogCut {
    /// File names, relative to the log's directory, with the bytes to copy of each.
    pub files: Vec<(String, u64)>,
}

/// What of the logs may be removed.
#[derive(Debug, Clone, Copy)]
pub struct PruneRules<'a> {
    /// Only records from before this time.
    pub before: Timestamp,
    /// Logs of which the last records stay, and with them what others tell of these logs.
    pub open: &'a [LogId],
    /// Logs of which records are gone, as whoever opened the store accepted. What is wrong with them
    /// is in the way of nothing, and they have come to their end.
    pub lost: &'a [LogId],
}

/// A part of a log that may be removed: its first records, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrunedPart {
    /// Which log.
    pub log: LogId,
    /// How many records.
    pub size: u64,
    /// Whether they are all, and the log has come to its end.
    pub is_whole: bool,
}

/// What may be removed of the logs that a sink keeps, and what tells of it from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Parts of which something is there still.
    pub parts: Vec<PrunedPart>,
    /// Logs of which nothing is there any more. Whatever is registered of one can be erased.
    pub gone: Vec<LogId>,
    /// Lines of the snapshot that was written; 0 where an earlier one tells all.
    pub lines: u64,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Removed {
    /// Counts a file of that length, where there was one.
    pub fn add(&mut self, bytes: Option<u64>) {
        self.files += u64::from(bytes.is_some());
        self.bytes = self.bytes.saturating_add(bytes.unwrap_or_default());
    }
}

/// What a sink may ask of the open store. Keys stay behind it.
pub trait StoreIdentity: Debug + Send + Sync {
    /// Which store.
    fn store(&self) -> StoreId;
    /// The public key that certificates of logs are verified with (Ed25519).
    fn public_key(&self) -> [u8; 32];
    /// Signs the certificate of a log's own key.
    fn certify(&self, log: LogId, key: &[u8; 32]) -> [u8; 64];
    /// The token of a name: HMAC under a key derived from the audit key.
    fn token(&self, class: u8, text: &str) -> [u8; 16];
    /// Encrypts a name under the audit key, padded.
    ///
    /// # Errors
    /// Where randomness fails.
    fn encrypt_name(&self, log: LogId, name: &str) -> Result<Vec<u8>, EntropyError>;
    /// Decrypts a name.
    ///
    /// # Errors
    /// `Malformed` where it was not encrypted for this log and store.
    fn decrypt_name(&self, log: LogId, sealed: &[u8]) -> Result<String, AuditError>;
    /// Random bytes for a log's id and key.
    ///
    /// # Errors
    /// Where randomness fails.
    fn random(&self, buffer: &mut [u8]) -> Result<(), EntropyError>;
    /// Wall time, for the records that a sink writes of its own.
    fn now(&self) -> Timestamp;
    /// Whether a note is believed that says that this log was settled: only where the storage has that
    /// on record.
    fn is_settled(&self, _log: LogId) -> bool {
        true
    }
}

/// Why a sink failed.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum AuditError {
    /// The records could not be written; none of them counts.
    #[error("the audit log cannot be written: {detail}")]
    Unavailable {
        /// What is in the way and what to do.
        detail: Box<str>,
        /// What caused it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// There is no room for records: for none, or for none of their [`Importance`].
    #[error("the audit log has no room: free space on its file system, then try again")]
    Full,
    /// The log belongs to another store.
    #[error(
        "the audit log belongs to store {found}, not {expected}: point to this store's own log"
    )]
    OtherStore {
        /// The store that was opened.
        expected: StoreId,
        /// The store that the log names.
        found: StoreId,
    },
    /// A line is not what this format writes.
    #[error(
        "line {line} of the audit log {file} is not in order: {detail}; keep a copy of it, then \
         restore it from a backup"
    )]
    Malformed {
        /// The file's name.
        file: Box<str>,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        detail: Box<str>,
    },
    /// Something is wrong with the logs, so that all of them is evidence.
    #[error(
        "nothing of the audit logs is removed: {detail}; run `verify`, and keep a copy of them"
    )]
    Suspect {
        /// What was found first.
        detail: Box<str>,
    },
    /// Not attached, or closed already.
    #[error("the audit log is closed: open the store again")]
    Closed,
    /// No randomness for a log's id, key or encrypted name.
    #[error("the audit log could not encrypt a name")]
    Entropy(#[from] EntropyError),
}

impl AuditError {
    /// Cannot be written.
    #[must_use]
    pub fn unavailable(detail: impl Into<Box<str>>) -> Self {
        Self::Unavailable { detail: detail.into(), source: None }
    }

    /// Cannot be written, because of an error below.
    #[must_use]
    pub fn because(
        detail: impl Into<Box<str>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { detail: detail.into(), source: Some(source.into()) }
    }
}

/// Where records go. Without one no permit is granted.
///
/// # Contract
/// Records get consecutive indices in the order of the calls; an `append` takes all of its records
/// or none. After an error the records of that call do not count, now or later. `sync` returns
/// once all records up to the receipt are `Synced`. Every future makes progress under any executor.
///
/// # Cancellation
/// A dropped `append` may still have been recorded; a dropped `sync` changes nothing.
///
/// # Durability
/// `append` returns when the records are at least as safe as was asked.
#[async_trait]
pub trait AuditSink: Debug + Send + Sync + 'static {
    /// The store whose records the sink already holds, told without a key. `None`: it is empty.
    ///
    /// # Errors
    /// Where the sink cannot be read.
    async fn owner(&self) -> Result<Option<StoreId>, AuditError>;

    /// Begins a log of its own for this open of the store, and locks those that were left open: a
    /// log that this sink wrote before and that was not closed is one of them. Called at each open
    /// and unseal. The first record is `Synced` when this returns.
    ///
    /// # Errors
    /// `OtherStore`, `Malformed`, or where the sink cannot be written.
    async fn attach(&self, store: Arc<dyn StoreIdentity>) -> Result<Attached, AuditError>;

    /// Appends records.
    ///
    /// # Errors
    /// See the trait.
    async fn append(
        &self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError>;

    /// Waits until all records up to this one are `Synced`.
    ///
    /// # Errors
    /// Where they cannot be; whether they are is then not known.
    async fn sync(&self, up_to: &Receipt) -> Result<(), AuditError>;

    /// Signs all records of its log so far, where that was not done yet. The signature is a record of
    /// its own. `None`: this sink signs nothing.
    ///
    /// # Errors
    /// `Closed` where it does not write that log any more; where it cannot be written.
    fn checkpoint(&self, _log: LogId) -> Result<Option<TreeHead>, AuditError> {
        Ok(None)
    }

    /// What of the log was signed last, by [`checkpoint`](Self::checkpoint) or on the way; with its
    /// first record the log begins signed. `None`: nothing, or it does not write that log any more.
    fn signed(&self, _log: LogId) -> Option<TreeHead> {
        None
    }

    /// Hears that the storage holds a registry record of the log with this size, for good. The next
    /// checkpoint and the last record say so: a storage that shows less later was rolled back.
    fn registered(&self, _log: LogId, _size: u64) {}

    /// Reads a log of this store that is said to have ended, all of it, and says whether it is whole
    /// and its writer ended it. It is `Synced` then. Asked before an end is believed that nobody has
    /// registered yet.
    ///
    /// # Errors
    /// Where it cannot be read or synced.
    async fn confirm_end(&self, _log: LogId, _store: StoreId) -> Result<bool, AuditError> {
        Ok(false)
    }

    /// Writes into its log what `verify` needs of records from before a time, of all logs beside it
    /// too, so that they can be [removed](Self::remove), and signs that. It is `Synced` when this
    /// returns. `None`: this sink removes nothing.
    ///
    /// # Errors
    /// `Closed` where it does not write that log any more; `Suspect`; where the logs cannot be read or
    /// written. Nothing was removed then, and it can be tried again.
    async fn prune(
        &self,
        _log: LogId,
        _rules: &PruneRules<'_>,
    ) -> Result<Option<Pruned>, AuditError> {
        Ok(None)
    }

    /// Removes what [`prune`](Self::prune) said may go. What is gone already is no error.
    ///
    /// # Errors
    /// `Closed` where it does not write that log any more; where something could not be removed. The
    /// rest is removed by the next call.
    async fn remove(&self, _log: LogId, _pruned: &Pruned) -> Result<Removed, AuditError> {
        Ok(Removed::default())
    }

    /// Takes back the log that was just begun, since the store is not opened after all. One that
    /// has records by now is closed.
    ///
    /// # Errors
    /// Where it stays, closed or to be settled by the next opener.
    async fn discard(&self, log: LogId) -> Result<(), AuditError> {
        self.close(log).await.map(drop)
    }

    /// Writes the last record of that log and lets go of the files. Idempotent: the first call tells
    /// how the log ended, if this sink signs. Where it does not write that log any more, nothing
    /// happens.
    ///
    /// # Errors
    /// Where it cannot be written; the next opener then settles the log.
    async fn close(&self, log: LogId) -> Result<Option<TreeHead>, AuditError>;

    /// Flushes, and says how far each file reaches now. Called while commits are held off.
    ///
    /// # Errors
    /// Where the log cannot be flushed.
    fn cut(&self) -> Result<LogCut, AuditError>;

    /// Copies the files up to the cut into an existing directory.
    ///
    /// # Errors
    /// Where a file cannot be read or written.
    async fn backup(&self, dir: &Path, cut: &LogCut) -> Result<(), AuditError>;

    /// The way to read records back. `None`: this sink only takes.
    fn reader(&self) -> Option<&dyn AuditReader>;

    /// What others than the owner could do to where this keeps its data, now: a sentence each, with
    /// what to do. Empty where all is private, or where that is not the host's to say.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether it has little room left and gets no more at present. Each principal then has a budget
    /// of records, so that no caller uses up the rest alone. Asked at each decision: it waits for
    /// nothing.
    fn is_scarce(&self) -> bool {
        false
    }
}

/// Reads lines back, in the order of (log, index).
#[async_trait]
pub trait AuditReader: Debug + Send + Sync {
    /// The lines after a place, at most `limit`, exactly as they were hashed. An empty answer is
    /// the end.
    ///
    /// # Errors
    /// Where the log cannot be read.
    async fn read(
        &self,
        after: Option<&Receipt>,
        limit: NonZeroU32,
    ) -> Result<Vec<(Receipt, Vec<u8>)>, AuditError>;
}

#[async_trait]
impl<T: AuditSink + ?Sized> AuditSink for Arc<T> {
    async fn owner(&self) -> Result<Option<StoreId>, AuditError> {
        (**self).owner().await
    }
    async fn attach(&self, store: Arc<dyn StoreIdentity>) -> Result<Attached, AuditError> {
        (**self).attach(store).await
    }
    async fn append(
        &self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError> {
        (**self).append(records, at_least).await
    }
    async fn sync(&self, up_to: &Receipt) -> Result<(), AuditError> {
        (**self).sync(up_to).await
    }
    fn checkpoint(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        (**self).checkpoint(log)
    }
    fn signed(&self, log: LogId) -> Option<TreeHead> {
        (**self).signed(log)
    }
    fn registered(&self, log: LogId, size: u64) {
        (**self).registered(log, size);
    }
    async fn confirm_end(&self, log: LogId, store: StoreId) -> Result<bool, AuditError> {
        (**self).confirm_end(log, store).await
    }
    async fn prune(
        &self,
        log: LogId,
        rules: &PruneRules<'_>,
    ) -> Result<Option<Pruned>, AuditError> {
        (**self).prune(log, rules).await
    }
    async fn remove(&self, log: LogId, pruned: &Pruned) -> Result<Removed, AuditError> {
        (**self).remove(log, pruned).await
    }
    async fn discard(&self, log: LogId) -> Result<(), AuditError> {
        (**self).discard(log).await
    }
    async fn close(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        (**self).close(log).await
    }
    fn cut(&self) -> Result<LogCut, AuditError> {
        (**self).cut()
    }
    async fn backup(&self, dir: &Path, cut: &LogCut) -> Result<(), AuditError> {
        (**self).backup(dir, cut).await
    }
    fn reader(&self) -> Option<&dyn AuditReader> {
        (**self).reader()
    }
    fn warnings(&self) -> Vec<String> {
        (**self).warnings()
    }
    fn is_scarce(&self) -> bool {
        (**self).is_scarce()
    }
}
