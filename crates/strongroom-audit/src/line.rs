//! The lines of a log, and the one way in which each is spelled.

use std::borrow::Cow;
use std::num::NonZeroU64;

use strongroom_core::{
    ActionName, Digest, DirectoryId, Effect, LogId, Outcome, RecordKind, Stage, StoreId, Strength,
    Timestamp, TreeHead, VersionSelector, WriteId,
};

use crate::hex;

mod segment;
mod snapshot;

pub use segment::{CarriedLine, SegmentLine};
pub use snapshot::{
    KeptLine, MAX_OLDER, MissedLine, OlderLine, PrunedLine, Rest, SnapshotBegin, SnapshotEnd,
    SnapshotLine, UnsettledLine,
};

/// The version of the format, told by the first line of a log and so part of what is hashed.
pub const FORMAT_VERSION: u8 = 1;

/// A name as the log shows it: a keyed digest, the same wherever the name appears in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameToken(pub [u8; 16]);

impl std::fmt::Display for NameToken {
    /// In hex, as in the log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::with_capacity(32);
        hex::push(&mut text, &self.0);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl std::hash::Hash for NameToken {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // A token is the output of HMAC: any eight bytes of it are a good hash already.
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// What kind of name a token stands for: equal texts of two classes have different tokens.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameClass {
    /// 1: a path, prefix or namespace, without a version.
    Path,
    /// 2: the typed id of a principal.
    Principal,
    /// 3: a role.
    Role,
    /// 4: a claim, `name=value`; a list claim is one for each of its items.
    Claim,
    /// 5: the id of a rule.
    Rule,
    /// 6: the explanation of a decision in words.
    Explanation,
    /// 7: the address that a request came from.
    Source,
    /// 8: the reason that the caller gave.
    Reason,
}

impl NameClass {
    /// The number that goes into the token.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Path => 1,
            Self::Principal => 2,
            Self::Role => 3,
            Self::Claim => 4,
            Self::Rule => 5,
            Self::Explanation => 6,
            Self::Source => 7,
            Self::Reason => 8,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Path,
            2 => Self::Principal,
            3 => Self::Role,
            4 => Self::Claim,
            5 => Self::Rule,
            6 => Self::Explanation,
            7 => Self::Source,
            8 => Self::Reason,
            _ => return None,
        })
    }
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// The first line.
    Open(OpenLine),
    /// The first line of a file that goes on with a log.
    Segment(SegmentLine),
    /// An intent of an earlier segment that had no outcome yet when this one began.
    Carried(CarriedLine<'a>),
    /// What a token stands for, encrypted.
    Name(NameLine<'a>),
    /// A decision.
    Decision(DecisionLine<'a>),
    /// An intent.
    Intent(IntentLine<'a>),
    /// An outcome.
    Outcome(OutcomeLine),
    /// Another log has been settled.
    Closed(ClosedLine),
    /// Another log has come so far.
    Cited(CitedLine),
    /// A part of a snapshot of what is pruned.
    Snapshot(SnapshotLine),
    /// The writer has signed the lines before.
    Checkpoint(CheckpointLine),
    /// The last line of a log whose writer ended it.
    Close(CloseLine),
}

/// The first line: which log this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLine {
    /// The store.
    pub store: StoreId,
    /// The log.
    pub log: LogId,
    /// Who keeps it: the same id in all logs of a directory, drawn with the first one.
    pub directory: DirectoryId,
    /// The store's Ed25519 key; the store id is its digest.
    pub store_key: [u8; 32],
    /// The log's own Ed25519 key.
    pub log_key: [u8; 32],
    /// The store key's signature over [`certificate_message`](crate::certificate_message).
    pub certificate: [u8; 64],
    /// Wall time.
    pub at: Timestamp,
}

/// What a token stands for, encrypted under the audit key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameLine<'a> {
    /// The token.
    pub token: NameToken,
    /// What kind of name it is.
    pub class: NameClass,
    /// The name, encrypted and padded.
    pub sealed: Cow<'a, [u8]>,
}

/// What a request or write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetLine {
    /// The whole store.
    Store,
    /// A namespace.
    Namespace(NameToken),
    /// All below a prefix.
    Prefix(NameToken),
    /// A secret.
    Secret(NameToken),
    /// A secret at a version or stage.
    Version(NameToken, VersionSelector),
}

impl TargetLine {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Namespace(_) => "namespace",
            Self::Prefix(_) => "prefix",
            Self::Secret(_) | Self::Version(..) => "secret",
        }
    }

    /// The token of its text; `None` for the whole store.
    #[must_use]
    pub const fn name(&self) -> Option<NameToken> {
        match *self {
            Self::Store => None,
            Self::Namespace(name)
            | Self::Prefix(name)
            | Self::Secret(name)
            | Self::Version(name, _) => Some(name),
        }
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionLine<'a> {
    /// Wall time.
    pub at: Timestamp,
    /// Who asked; `None` is the engine itself.
    pub principal: Option<NameToken>,
    /// In which roles.
    pub roles: Cow<'a, [NameToken]>,
    /// With which claims.
    pub claims: Cow<'a, [NameToken]>,
    /// When it was authenticated.
    pub authenticated_at: Option<Timestamp>,
    /// How strongly.
    pub strength: Option<Strength>,
    /// To do what.
    pub action: ActionName,
    /// To what.
    pub target: TargetLine,
    /// What was decided.
    pub effect: Effect,
    /// How many requests it stands for: more than one only where they were refused.
    pub count: NonZeroU64,
    /// By which rule.
    pub rule: Option<NameToken>,
    /// Why, in words.
    pub explanation: Option<NameToken>,
    /// The host's id of the request, in clear.
    pub request: Option<Cow<'a, str>>,
    /// Where it came from.
    pub source: Option<NameToken>,
    /// The caller's reason.
    pub reason: Option<NameToken>,
    /// The storage key of the head that was loaded.
    pub key: Option<Cow<'a, [u8]>>,
    /// The head that was found there.
    pub head: Option<HeadLine>,
}

/// A head as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLine {
    /// Its sequence number.
    pub seq: u64,
    /// SHA-256 of its record.
    pub digest: Digest,
    /// The number of the version that the request resolved to.
    pub version: Option<u64>,
}

/// An intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentLine<'a> {
    /// Wall time.
    pub at: Timestamp,
    /// The index, in this log, of the decision that allows it.
    pub decision: u64,
    /// Which kind of record.
    pub kind: RecordKind,
    /// Its storage key.
    pub key: Cow<'a, [u8]>,
    /// Its sequence number after the write.
    pub seq: u64,
    /// SHA-256 of the record that is replaced.
    pub prev: Digest,
    /// The log that the replaced record names.
    pub prev_log: LogId,
    /// SHA-256 of the new record.
    pub next: Digest,
    /// The id of the write.
    pub write: WriteId,
    /// What it is about.
    pub target: TargetLine,
    /// The prefixes of storage keys that are erased after it.
    pub erases: Cow<'a, [Vec<u8>]>,
}

/// An outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeLine {
    /// Wall time.
    pub at: Timestamp,
    /// The log of the intent.
    pub log: LogId,
    /// The index of the intent there.
    pub intent: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// Another log has been settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedLine {
    /// Wall time.
    pub at: Timestamp,
    /// Which.
    pub log: LogId,
    /// How many lines it has.
    pub size: u64,
    /// The root of its tree.
    pub root: Digest,
}

/// Another log of the store has come so far: it was registered with that head before this line was
/// written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CitedLine {
    /// Wall time.
    pub at: Timestamp,
    /// Which.
    pub log: LogId,
    /// Who keeps it.
    pub directory: DirectoryId,
    /// How many lines were registered.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// The writer has signed the lines before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointLine {
    /// Wall time.
    pub at: Timestamp,
    /// The number of lines before this one.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// The size that the storage's registry record of this log is known to have.
    pub registered: u64,
    /// The log key's signature over the checkpoint's text: see [`signed_note`](crate::signed_note).
    pub signature: [u8; 64],
}

/// The writer ended its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseLine {
    /// Wall time.
    pub at: Timestamp,
    /// The number of lines before this one.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// The size that the storage's registry record of this log is known to have.
    pub registered: u64,
    /// The log key's signature over origin and all of these.
    pub signature: [u8; 64],
}

impl CheckpointLine {
    /// What is signed.
    #[must_use]
    pub const fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root }
    }
}

impl CloseLine {
    /// What is signed.
    #[must_use]
    pub const fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root }
    }
}

impl Line<'_> {
    /// Appends the line, without a line end, in the one spelling that the reader takes.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        let mut json = Json(buffer);
        match self {
            Self::Open(line) => line.encode(&mut json),
            Self::Segment(line) => line.encode(&mut json),
            Self::Carried(line) => line.encode(&mut json),
            Self::Name(line) => line.encode(&mut json),
            Self::Decision(line) => line.encode(&mut json),
            Self::Intent(line) => line.encode(&mut json),
            Self::Snapshot(line) => line.encode(&mut json),
            Self::Outcome(line) => {
                json.begin("outcome");
                json.number("at", line.at.as_millis());
                json.hex("log", line.log.as_bytes());
                json.number("intent", line.intent);
                json.text("outcome", outcome_name(line.outcome));
            }
            Self::Closed(line) => {
                json.begin("closed");
                json.number("at", line.at.as_millis());
                json.hex("log", line.log.as_bytes());
                json.number("size", line.size);
                json.hex("root", line.root.as_bytes());
            }
            Self::Cited(line) => {
                json.begin("cited");
                json.number("at", line.at.as_millis());
                json.hex("log", line.log.as_bytes());
                json.hex("directory", line.directory.as_bytes());
                json.number("size", line.size);
                json.hex("root", line.root.as_bytes());
            }
            Self::Checkpoint(line) => {
                json.begin("checkpoint");
                json.number("at", line.at.as_millis());
                json.number("size", line.size);
                json.hex("root", line.root.as_bytes());
                json.number("registered", line.registered);
                json.hex("signature", &line.signature);
            }
            Self::Close(line) => {
                json.begin("close");
                json.number("at", line.at.as_millis());
                json.number("size", line.size);
                json.hex("root", line.root.as_bytes());
                json.number("registered", line.registered);
                json.hex("signature", &line.signature);
            }
        }
        json.end();
    }
}

impl OpenLine {
    fn encode(&self, json: &mut Json<'_>) {
        json.begin("open");
        self.encode_fields(json);
    }

    fn encode_fields(&self, json: &mut Json<'_>) {
        json.number("v", u64::from(FORMAT_VERSION));
        json.key("origin");
        json.raw(b"strongroom/");
        hex::push(json.0, self.store.as_bytes());
        json.raw(b"/");
        hex::push(json.0, self.log.as_bytes());
        json.raw(b"\"");
        json.hex("directory", self.directory.as_bytes());
        json.hex("store_key", &self.store_key);
        json.hex("log_key", &self.log_key);
        json.hex("certificate", &self.certificate);
        json.number("at", self.at.as_millis());
    }
}

impl NameLine<'_> {
    fn encode(&self, json: &mut Json<'_>) {
        json.begin("name");
        json.hex("token", &self.token.0);
        json.number("class", u64::from(self.class.number()));
        json.hex("sealed", &self.sealed);
    }
}

impl DecisionLine<'_> {
    fn encode(&self, json: &mut Json<'_>) {
        json.begin("decision");
        json.number("at", self.at.as_millis());
        json.token("principal", self.principal);
        json.tokens("roles", &self.roles);
        json.tokens("claims", &self.claims);
        if let Some(at) = self.authenticated_at {
            json.number("authenticated_at", at.as_millis());
        }
        if let Some(strength) = self.strength {
            json.text("strength", strength_name(strength));
        }
        json.text("action", self.action.as_str());
        json.target(&self.target);
        json.text("effect", self.effect.as_str());
        if self.count > NonZeroU64::MIN {
            json.number("count", self.count.get());
        }
        json.token("rule", self.rule);
        json.token("explanation", self.explanation);
        if let Some(request) = &self.request {
            json.escaped("request", request);
        }
        json.token("source", self.source);
        json.token("reason", self.reason);
        if let Some(key) = &self.key {
            json.hex("key", key);
        }
        if let Some(head) = &self.head {
            json.number("seq", head.seq);
            json.hex("digest", head.digest.as_bytes());
            if let Some(version) = head.version {
                json.number("read", version);
            }
        }
    }
}

impl IntentLine<'_> {
    fn encode(&self, json: &mut Json<'_>) {
        json.begin("intent");
        json.number("at", self.at.as_millis());
        json.number("decision", self.decision);
        json.text("kind", kind_name(self.kind));
        json.hex("key", &self.key);
        json.number("seq", self.seq);
        json.hex("prev", self.prev.as_bytes());
        json.hex("prev_log", self.prev_log.as_bytes());
        json.hex("next", self.next.as_bytes());
        json.hex("write", self.write.as_bytes());
        json.target(&self.target);
        json.list("erases", self.erases.iter().map(Vec::as_slice));
    }
}

/// A name that `Strength`, which may grow, has in this version of the format.
pub(crate) const fn strength_name(strength: Strength) -> &'static str {
    match strength {
        Strength::Multi => "multi",
        Strength::Hardware => "hardware",
        // A strength that this version does not know is written as the weakest one.
        _ => "single",
    }
}

pub(crate) const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Lost => "lost",
        Outcome::Unknown => "unknown",
    }
}

pub(crate) const fn kind_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Head => "head",
        RecordKind::Namespace => "namespace",
        RecordKind::Keyring => "keyring",
    }
}

/// Writes one flat object: `{"t":"…","…":"…"}`.
///
/// A line is written at each decision. Inlined, the names of fields are copied as constants, which
/// halves the time of a line.
struct Json<'b>(&'b mut Vec<u8>);

impl Json<'_> {
    #[inline(always)]
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn begin(&mut self, kind: &'static str) {
        self.raw(b"{\"t\":\"");
        self.raw(kind.as_bytes());
        self.raw(b"\"");
    }

    fn end(&mut self) {
        self.raw(b"}");
    }

    #[inline(always)]
    fn key(&mut self, key: &'static str) {
        self.raw(b",\"");
        self.raw(key.as_bytes());
        self.raw(b"\":\"");
    }

    /// A text that needs no escapes.
    #[inline(always)]
    fn text(&mut self, key: &'static str, text: &'static str) {
        self.key(key);
        self.raw(text.as_bytes());
        self.raw(b"\"");
    }

    #[inline(always)]
    fn hex(&mut self, key: &'static str, bytes: &[u8]) {
        self.key(key);
        hex::push(self.0, bytes);
        self.raw(b"\"");
    }

    fn number(&mut self, key: &'static str, number: u64) {
        self.key(key);
        push_number(self.0, number);
        self.raw(b"\"");
    }

    fn escaped(&mut self, key: &'static str, text: &str) {
        self.raw(b",\"");
        self.raw(key.as_bytes());
        self.raw(b"\":");
        // Writing text into memory cannot fail.
        let _ = serde_json::to_writer(&mut *self.0, text);
    }

    #[inline(always)]
    fn token(&mut self, key: &'static str, token: Option<NameToken>) {
        if let Some(token) = token {
            self.hex(key, &token.0);
        }
    }

    fn tokens(&mut self, key: &'static str, tokens: &[NameToken]) {
        self.list(key, tokens.iter().map(|token| token.0.as_slice()));
    }

    /// A list of hex strings; nothing where it is empty.
    fn list<'x>(&mut self, key: &'static str, items: impl Iterator<Item = &'x [u8]>) {
        let mut any = false;
        for item in items {
            if any {
                self.raw(b"\",\"");
            } else {
                self.raw(b",\"");
                self.raw(key.as_bytes());
                self.raw(b"\":[\"");
                any = true;
            }
            hex::push(self.0, item);
        }
        if any {
            self.raw(b"\"]");
        }
    }

    fn target(&mut self, target: &TargetLine) {
        self.text("target", target.kind());
        self.token("name", target.name());
        if let TargetLine::Version(_, which) = target {
            match which {
                VersionSelector::Version(version) => self.number("version", version.number()),
                VersionSelector::Stage(stage) => self.text("version", stage_name(*stage)),
            }
        }
    }
}

pub(crate) const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Pending => "pending",
        Stage::Previous => "previous",
        _ => "current",
    }
}

fn push_number(buffer: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        count += 1;
        if number == 0 {
            break;
        }
    }
    buffer.extend_from_slice(digits.get(digits.len() - count..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_printed() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
            let mut buffer = Vec::new();
            push_number(&mut buffer, number);
            assert_eq!(buffer, number.to_string().as_bytes());
        }
    }
}
