//! Turns records into lines, without any I/O: what every sink of this format shares.

use std::borrow::Cow;
use std::fmt::{self, Debug, Write as _};
use std::num::NonZeroU64;
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use strongroom_core::{
    AuditError, AuditRecord, CitedRecord, Claim, ClosedRecord, DecisionRecord, Digest, DirectoryId,
    Effect, EntropyError, IntentRecord, LogId, OutcomeRecord, Principal, Receipt, StoreIdentity,
    Target, Timestamp, TreeHead,
};
use zeroize::Zeroizing;

use crate::certificate::{close_message, origin};
use crate::checkpoint::{Signed, checkpoint_text};
use crate::line::{
    CheckpointLine, CitedLine, CloseLine, ClosedLine, DecisionLine, HeadLine, IntentLine, Line,
    NameClass, NameLine, NameToken, OpenLine, OutcomeLine, TargetLine,
};
use crate::names::Names;
use crate::tree::MerkleTree;

mod segment;
mod snapshot;

use segment::OpenWrites;

/// The longest name that a record takes, in bytes: a reason, a claim, an explanation.
pub const MAX_NAME_BYTES: usize = 16 * 1024;
/// The longest request id, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 1024;
/// The most roles and claims of one record, each.
const MAX_NAMES: usize = 1000;

/// The lines of one log as they come into being. It draws the log's id and key when it
/// [begins](Self::begin), and the key never leaves it.
///
/// A sink takes what is [`pending`](Self::pending), writes it, and says so by
/// [`written`](Self::written); where it cannot, it undoes the last `append` by
/// [`rollback`](Self::rollback). Appending costs no allocation beyond the receipts and what is kept
/// of an intent until its outcome, but for a checkpoint every 1,024 lines and every minute.
pub struct LineWriter {
    identity: Arc<dyn StoreIdentity>,
    log: LogId,
    directory: DirectoryId,
    origin: String,
    /// In a box: a writer is moved, and what is moved leaves its bytes behind where it was.
    signer: Box<SigningKey>,
    certificate: [u8; 64],
    tree: MerkleTree,
    buffer: Vec<u8>,
    names: Names,
    signed: Signed,
    /// What was signed last.
    newest: TreeHead,
    registered: u64,
    /// The number of the segment that is written.
    segment: u64,
    writes: OpenWrites,
    before: Before,
    roles: Vec<NameToken>,
    claims: Vec<NameToken>,
    text: String,
}

/// The state before the last `append`.
#[derive(Debug, Default)]
struct Before {
    tree: MerkleTree,
    buffer: usize,
    signed: Signed,
    newest: Option<TreeHead>,
    segment: u64,
}

impl Debug for LineWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineWriter")
            .field("origin", &self.origin)
            .field("size", &self.tree.size())
            .field("pending", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

impl LineWriter {
    /// Begins the first log of a directory, or of another place that keeps logs; its first line is
    /// then pending.
    ///
    /// # Errors
    /// `Entropy` where there is no randomness for ids and key.
    pub fn begin(identity: Arc<dyn StoreIdentity>) -> Result<Self, AuditError> {
        let mut id = [0; DirectoryId::LENGTH];
        identity.random(&mut id)?;
        Self::begin_in(DirectoryId::from_bytes(id), identity)
    }

    /// Begins a log beside others, whose first lines tell the directory.
    ///
    /// # Errors
    /// `Entropy` where there is no randomness for its id and key.
    pub fn begin_in(
        directory: DirectoryId,
        identity: Arc<dyn StoreIdentity>,
    ) -> Result<Self, AuditError> {
        let mut id = [0; 8];
        identity.random(&mut id)?;
        let mut seed = Zeroizing::new([0; 32]);
        identity.random(seed.as_mut())?;
        let (log, store) = (LogId::from_bytes(id), identity.store());
        let signer = Box::new(SigningKey::from_bytes(&seed));
        let log_key = signer.verifying_key().to_bytes();
        let certificate = identity.certify(log, &log_key);
        let mut writer = Self {
            identity,
            log,
            directory,
            origin: origin(store, log),
            signer,
            certificate,
            tree: MerkleTree::new(),
            buffer: Vec::new(),
            names: Names::new(),
            signed: Signed::default(),
            newest: MerkleTree::new().head(),
            registered: 0,
            segment: 0,
            writes: OpenWrites::default(),
            before: Before::default(),
            roles: Vec::new(),
            claims: Vec::new(),
            text: String::new(),
        };
        // The certificate vouches for the first line.
        let at = writer.identity.now();
        writer.push(&Line::Open(writer.open_line(at)));
        writer.signed = Signed { size: writer.size(), at };
        writer.newest = writer.tree.head();
        Ok(writer)
    }

    /// Which log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// Who keeps it.
    #[must_use]
    pub const fn directory(&self) -> DirectoryId {
        self.directory
    }

    /// The number of lines, pending ones included.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The root of the Merkle tree over them.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// The lines that are not yet with the sink, each with its line end.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// What was pending is with the sink now, for good.
    pub fn written(&mut self) {
        self.buffer.clear();
        self.mark();
    }

    /// Appends the lines of these records, all or none. The receipts are those of the records;
    /// the lines that tell names have indices of their own.
    ///
    /// # Errors
    /// `Entropy` where a name cannot be encrypted; `Unavailable` where a text is too long.
    pub fn append(&mut self, records: &[AuditRecord]) -> Result<Vec<Receipt>, AuditError> {
        self.mark();
        let receipts = self.append_on(records);
        if receipts.is_err() {
            self.rollback();
        }
        receipts
    }

    /// The same, and what is undone by [`rollback`](Self::rollback) then begins where it did. Of
    /// records that are refused those before them are there, and names of theirs.
    pub(crate) fn append_on(
        &mut self,
        records: &[AuditRecord],
    ) -> Result<Vec<Receipt>, AuditError> {
        let mut receipts = Vec::with_capacity(records.len());
        for record in records {
            if self.signed.is_old(self.size(), record.at()) {
                self.sign(record.at());
            }
            let index = self.record(record)?;
            receipts.push(Receipt { log: self.log, index });
        }
        Ok(receipts)
    }

    /// Undoes the last `append`, as long as nothing was [`written`](Self::written) since.
    pub fn rollback(&mut self) {
        self.buffer.truncate(self.before.buffer);
        self.tree.copy_from(&self.before.tree);
        self.names.rollback();
        self.writes.rollback();
        self.signed = self.before.signed;
        self.newest = self.before.newest.unwrap_or(self.newest);
        self.segment = self.before.segment;
    }

    /// Signs all lines so far, by a line of its own, unless the last line is one that does.
    pub fn checkpoint(&mut self) -> TreeHead {
        self.mark();
        if self.tree.size() > self.signed.size {
            self.sign(self.identity.now());
        }
        self.newest
    }

    /// What was signed last: the first line by its certificate, or the lines before a checkpoint.
    #[must_use]
    pub const fn signed(&self) -> TreeHead {
        self.newest
    }

    /// The storage has a registry record of this log with that size, for good.
    pub fn registered(&mut self, size: u64) {
        self.registered = self.registered.max(size);
    }

    fn open_line(&self, at: Timestamp) -> OpenLine {
        OpenLine {
            store: self.identity.store(),
            log: self.log,
            directory: self.directory,
            store_key: self.identity.public_key(),
            log_key: self.signer.verifying_key().to_bytes(),
            certificate: self.certificate,
            at,
        }
    }

    fn sign(&mut self, at: Timestamp) {
        let head = self.tree.head();
        let text = checkpoint_text(&self.origin, head);
        let signature = self.signer.sign(text.as_bytes()).to_bytes();
        let TreeHead { size, root } = head;
        let registered = self.registered;
        self.push(&Line::Checkpoint(CheckpointLine { at, size, root, registered, signature }));
        self.signed = Signed { size: self.tree.size(), at };
        self.newest = head;
    }

    /// Appends the last line: the head of the tree before it, signed by the log's own key.
    pub fn end(&mut self) -> TreeHead {
        self.mark();
        let (head, at, registered) = (self.tree.head(), self.identity.now(), self.registered);
        let message = close_message(&self.origin, at, head, registered);
        let signature = self.signer.sign(&message).to_bytes();
        let TreeHead { size, root } = head;
        self.push(&Line::Close(CloseLine { at, size, root, registered, signature }));
        head
    }

    fn mark(&mut self) {
        self.before.buffer = self.buffer.len();
        self.before.tree.copy_from(&self.tree);
        self.names.mark();
        self.writes.mark();
        self.before.signed = self.signed;
        self.before.newest = Some(self.newest);
        self.before.segment = self.segment;
    }

    fn push(&mut self, line: &Line<'_>) -> u64 {
        let (index, start) = (self.tree.size(), self.buffer.len());
        line.encode(&mut self.buffer);
        self.tree.push(self.buffer.get(start..).unwrap_or_default());
        self.buffer.push(b'\n');
        index
    }

    fn record(&mut self, record: &AuditRecord) -> Result<u64, AuditError> {
        match record {
            AuditRecord::Decision(decision) => self.decision(decision),
            AuditRecord::Intent(intent) => self.intent(intent),
            AuditRecord::Outcome(record @ OutcomeRecord { at, intent, outcome }) => {
                if intent.log == self.log {
                    self.writes.settle(record);
                }
                Ok(self.push(&Line::Outcome(OutcomeLine {
                    at: *at,
                    log: intent.log,
                    intent: intent.index,
                    outcome: *outcome,
                })))
            }
            AuditRecord::Closed(ClosedRecord { at, log, size, root }) => Ok(self
                .push(&Line::Closed(ClosedLine { at: *at, log: *log, size: *size, root: *root }))),
            AuditRecord::Cited(CitedRecord { at, log, directory, head }) => {
                Ok(self.push(&Line::Cited(CitedLine {
                    at: *at,
                    log: *log,
                    directory: *directory,
                    size: head.size,
                    root: head.root,
                })))
            }
        }
    }

    fn decision(&mut self, record: &DecisionRecord) -> Result<u64, AuditError> {
        let principal = record.principal.as_ref();
        if record.effect == Effect::Allow && record.count > NonZeroU64::MIN {
            return Err(AuditError::unavailable(
                "requests that were allowed have a record each: append them one by one",
            ));
        }
        let id = self.optional(NameClass::Principal, principal.map(Principal::id))?;
        self.roles_and_claims(principal)?;
        let target = self.target(&record.target)?;
        let rule = self.optional(NameClass::Rule, record.explanation.rule().map(AsRef::as_ref))?;
        let explanation =
            self.optional(NameClass::Explanation, record.explanation.reason().map(AsRef::as_ref))?;
        let reason = self.optional(NameClass::Reason, record.context.reason.as_deref())?;
        let source = record
            .context
            .source
            .map(|source| self.written_name(NameClass::Source, format_args!("{source}")))
            .transpose()?;
        let request = record.context.request_id.as_deref();
        if request.is_some_and(|request| request.len() > MAX_REQUEST_ID_BYTES) {
            return Err(AuditError::unavailable(
                "a request id has at most 1,024 bytes: shorten it",
            ));
        }
        let roles = std::mem::take(&mut self.roles);
        let claims = std::mem::take(&mut self.claims);
        let loaded = record.loaded.as_ref();
        let line = Line::Decision(DecisionLine {
            at: record.at,
            principal: id,
            roles: Cow::Borrowed(&roles),
            claims: Cow::Borrowed(&claims),
            authenticated_at: principal.and_then(Principal::authentication_time),
            strength: principal.and_then(Principal::strength),
            action: record.action,
            target,
            effect: record.effect,
            count: record.count,
            rule,
            explanation,
            request: request.map(Cow::Borrowed),
            source,
            reason,
            key: loaded.map(|loaded| Cow::Borrowed(loaded.key.as_bytes())),
            head: loaded.and_then(|loaded| loaded.head).map(|head| HeadLine {
                seq: head.seq,
                digest: head.digest,
                version: head.version.map(strongroom_core::Version::number),
            }),
        });
        let index = self.push(&line);
        self.roles = roles;
        self.claims = claims;
        Ok(index)
    }

    fn roles_and_claims(&mut self, principal: Option<&Principal>) -> Result<(), AuditError> {
        self.roles.clear();
        self.claims.clear();
        let Some(principal) = principal else { return Ok(()) };
        for role in principal.roles() {
            let token = self.name(NameClass::Role, role)?;
            self.roles.push(token);
        }
        for (name, claim) in principal.claims() {
            match claim {
                Claim::Text(value) => self.claim(name, value)?,
                Claim::Integer(value) => self.claim(name, value)?,
                Claim::Flag(value) => self.claim(name, value)?,
                Claim::List(items) => items.iter().try_for_each(|item| self.claim(name, item))?,
                _ => return Err(AuditError::unavailable("a claim has a type that no log writes")),
            }
        }
        if self.roles.len() > MAX_NAMES || self.claims.len() > MAX_NAMES {
            return Err(AuditError::unavailable(
                "a principal has at most 1,000 roles and 1,000 claims: assert fewer",
            ));
        }
        Ok(())
    }

    fn claim(&mut self, name: &str, value: &dyn fmt::Display) -> Result<(), AuditError> {
        let token = self.written_name(NameClass::Claim, format_args!("{name}={value}"))?;
        self.claims.push(token);
        Ok(())
    }

    /// The token of a name that is put together first, in memory that is kept.
    fn written_name(
        &mut self,
        class: NameClass,
        name: fmt::Arguments<'_>,
    ) -> Result<NameToken, AuditError> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // Writing into memory cannot fail.
        let _ = text.write_fmt(name);
        let token = self.name(class, &text);
        self.text = text;
        token
    }

    fn intent(&mut self, record: &IntentRecord) -> Result<u64, AuditError> {
        let target = self.target(&record.target)?;
        let line = Line::Intent(IntentLine {
            at: record.at,
            decision: record.decision,
            kind: record.kind,
            key: Cow::Borrowed(record.key.as_bytes()),
            seq: record.seq,
            prev: record.prev,
            prev_log: record.prev_log,
            next: record.next,
            write: record.write,
            target,
            erases: Cow::Borrowed(&record.erases),
        });
        let index = self.push(&line);
        self.writes.open(index, record);
        Ok(index)
    }

    fn target(&mut self, target: &Target) -> Result<TargetLine, AuditError> {
        if matches!(target, Target::Store) {
            return Ok(TargetLine::Store);
        }
        let name = self.name(NameClass::Path, target.as_str())?;
        Ok(match target {
            Target::Namespace(_) => TargetLine::Namespace(name),
            Target::Prefix(_) => TargetLine::Prefix(name),
            Target::Version(secret) => TargetLine::Version(name, secret.which()),
            _ => TargetLine::Secret(name),
        })
    }

    fn optional(
        &mut self,
        class: NameClass,
        text: Option<&str>,
    ) -> Result<Option<NameToken>, AuditError> {
        text.map(|text| self.name(class, text)).transpose()
    }

    /// The token of a name, with the line that tells it where this is its first use.
    fn name(&mut self, class: NameClass, text: &str) -> Result<NameToken, AuditError> {
        if text.len() > MAX_NAME_BYTES {
            return Err(AuditError::unavailable(
                "a name, reason or claim has at most 16,384 bytes: shorten it",
            ));
        }
        let token = self.names.token(&*self.identity, class, text);
        if self.names.is_first_use(token) {
            let sealed = self.seal(text)?;
            self.push(&Line::Name(NameLine { token, class, sealed: Cow::Owned(sealed) }));
        }
        Ok(token)
    }

    fn seal(&self, text: &str) -> Result<Vec<u8>, EntropyError> {
        self.identity.encrypt_name(self.log, text)
    }
}
