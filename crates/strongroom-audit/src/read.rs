//! The strict reader: takes a line in the one spelling that the writer has, and no other.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::Deserialize;
use strongroom_core::{
    ActionName, AuditError, Digest, DirectoryId, Effect, LogId, Outcome, RecordKind, Stage,
    StoreId, Strength, Timestamp, Version, VersionSelector, WriteId,
};

use crate::hex;
use crate::line::{
    CarriedLine, CheckpointLine, CitedLine, CloseLine, ClosedLine, DecisionLine, HeadLine,
    IntentLine, Line, NameClass, NameLine, NameToken, OpenLine, OutcomeLine, SegmentLine,
    TargetLine,
};

mod snapshot;

/// The longest line, in bytes. The writer makes none that is longer.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// Reads one line, without its line end.
///
/// ```
/// use strongroom_audit::{Line, read_line};
///
/// let line = br#"{"t":"outcome","at":"7","log":"0001020304050607","intent":"3","outcome":"done"}"#;
/// assert!(matches!(read_line(line), Ok(Line::Outcome(outcome)) if outcome.intent == 3));
/// // One more space is another line, of which nobody made a record.
/// assert!(read_line(&[line, b" " as &[u8]].concat()).is_err());
/// ```
///
/// # Errors
/// `Malformed`, without a file and as line 0, where the bytes are not what the writer makes: other
/// order, white space, escapes, upper-case digits, leading zeros, fields unknown, missing or twice.
pub fn read_line(bytes: &[u8]) -> Result<Line<'static>, AuditError> {
    let malformed =
        |detail: &str| AuditError::Malformed { file: "".into(), line: 0, detail: detail.into() };
    if bytes.len() > MAX_LINE_BYTES {
        return Err(malformed("it is longer than any line that is written"));
    }
    let raw: Raw<'_> =
        serde_json::from_slice(bytes).map_err(|_| malformed("it is no record of this format"))?;
    if matches!(raw.t, "open" | "segment") && raw.v.is_some_and(|version| version != "1") {
        return Err(malformed(
            "it is of another version of the format: use the release that wrote it",
        ));
    }
    let line = raw.into_line().ok_or_else(|| malformed("a field is missing or not in order"))?;
    let mut again = Vec::with_capacity(bytes.len());
    line.encode(&mut again);
    if again != bytes {
        return Err(malformed("it is not spelled as it was written"));
    }
    Ok(line)
}

/// All fields of all lines. What does not belong to the kind of line is dropped here, and then
/// found by comparing the spelling.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    t: &'a str,
    v: Option<&'a str>,
    origin: Option<&'a str>,
    directory: Option<&'a str>,
    store_key: Option<&'a str>,
    log_key: Option<&'a str>,
    certificate: Option<&'a str>,
    at: Option<&'a str>,
    token: Option<&'a str>,
    class: Option<&'a str>,
    sealed: Option<&'a str>,
    principal: Option<&'a str>,
    #[serde(default)]
    roles: Vec<&'a str>,
    #[serde(default)]
    claims: Vec<&'a str>,
    authenticated_at: Option<&'a str>,
    strength: Option<&'a str>,
    action: Option<&'a str>,
    target: Option<&'a str>,
    name: Option<&'a str>,
    version: Option<&'a str>,
    effect: Option<&'a str>,
    count: Option<&'a str>,
    rule: Option<&'a str>,
    explanation: Option<&'a str>,
    request: Option<String>,
    source: Option<&'a str>,
    reason: Option<&'a str>,
    key: Option<&'a str>,
    seq: Option<&'a str>,
    digest: Option<&'a str>,
    read: Option<&'a str>,
    decision: Option<&'a str>,
    kind: Option<&'a str>,
    prev: Option<&'a str>,
    prev_log: Option<&'a str>,
    next: Option<&'a str>,
    write: Option<&'a str>,
    #[serde(default)]
    erases: Vec<&'a str>,
    log: Option<&'a str>,
    intent: Option<&'a str>,
    outcome: Option<&'a str>,
    size: Option<&'a str>,
    root: Option<&'a str>,
    registered: Option<&'a str>,
    number: Option<&'a str>,
    #[serde(default)]
    frontier: Vec<&'a str>,
    carried: Option<&'a str>,
    rest: Option<&'a str>,
    first: Option<&'a str>,
    digests: Option<&'a str>,
    lines: Option<&'a str>,
    elsewhere: Option<&'a str>,
    signature: Option<&'a str>,
}

impl Raw<'_> {
    fn into_line(self) -> Option<Line<'static>> {
        Some(match self.t {
            "open" => Line::Open(self.open()?),
            "segment" => Line::Segment(self.segment()?),
            "carried" => Line::Carried(CarriedLine {
                intent: parse(self.intent?)?,
                kind: kind(self.kind?)?,
                key: Cow::Owned(hex::decode(self.key?)?),
                seq: parse(self.seq?)?,
                write: parse::<WriteId>(self.write?)?,
                target: self.target()?,
            }),
            "name" => Line::Name(NameLine {
                token: token(self.token?)?,
                class: NameClass::from_number(parse(self.class?)?)?,
                sealed: Cow::Owned(hex::decode(self.sealed?)?),
            }),
            "decision" => Line::Decision(self.decision()?),
            "intent" => Line::Intent(self.intent()?),
            "outcome" => Line::Outcome(OutcomeLine {
                at: time(self.at?)?,
                log: parse(self.log?)?,
                intent: parse(self.intent?)?,
                outcome: outcome(self.outcome?)?,
            }),
            "closed" => Line::Closed(ClosedLine {
                at: time(self.at?)?,
                log: parse(self.log?)?,
                size: parse(self.size?)?,
                root: parse(self.root?)?,
            }),
            "cited" => Line::Cited(CitedLine {
                at: time(self.at?)?,
                log: parse(self.log?)?,
                directory: parse::<DirectoryId>(self.directory?)?,
                size: parse(self.size?)?,
                root: parse(self.root?)?,
            }),
            "checkpoint" => Line::Checkpoint(CheckpointLine {
                at: time(self.at?)?,
                size: parse(self.size?)?,
                root: parse(self.root?)?,
                registered: parse(self.registered?)?,
                signature: hex::decode_array(self.signature?)?,
            }),
            "close" => Line::Close(CloseLine {
                at: time(self.at?)?,
                size: parse(self.size?)?,
                root: parse(self.root?)?,
                registered: parse(self.registered?)?,
                signature: hex::decode_array(self.signature?)?,
            }),
            _ => Line::Snapshot(self.snapshot()?),
        })
    }

    fn open(&self) -> Option<OpenLine> {
        let (store, log) = self.origin?.strip_prefix("strongroom/")?.split_once('/')?;
        Some(OpenLine {
            store: parse::<StoreId>(store)?,
            log: parse::<LogId>(log)?,
            directory: parse::<DirectoryId>(self.directory?)?,
            store_key: hex::decode_array(self.store_key?)?,
            log_key: hex::decode_array(self.log_key?)?,
            certificate: hex::decode_array(self.certificate?)?,
            at: time(self.at?)?,
        })
    }

    fn segment(&self) -> Option<SegmentLine> {
        let segment = SegmentLine {
            log: self.open()?,
            number: parse(self.number?)?,
            size: parse(self.size?)?,
            frontier: self.frontier.iter().map(|text| parse(text)).collect::<Option<_>>()?,
            carried: parse(self.carried?)?,
            registered: parse(self.registered?)?,
            signature: hex::decode_array(self.signature?)?,
        };
        // There is a line before it, and one segment.
        let follows = segment.number > 0 && segment.size > 0;
        (follows && segment.tree().is_some()).then_some(segment)
    }

    fn decision(self) -> Option<DecisionLine<'static>> {
        let effect = effect(self.effect?)?;
        let count = optional(self.count, parse)?.unwrap_or(NonZeroU64::MIN);
        // What was allowed is told one by one.
        if effect == Effect::Allow && count > NonZeroU64::MIN {
            return None;
        }
        Some(DecisionLine {
            at: time(self.at?)?,
            principal: optional(self.principal, token)?,
            roles: tokens(&self.roles)?.into(),
            claims: tokens(&self.claims)?.into(),
            authenticated_at: optional(self.authenticated_at, time)?,
            strength: optional(self.strength, strength)?,
            action: parse::<ActionName>(self.action?)?,
            target: self.target()?,
            effect,
            count,
            rule: optional(self.rule, token)?,
            explanation: optional(self.explanation, token)?,
            source: optional(self.source, token)?,
            reason: optional(self.reason, token)?,
            key: optional(self.key, hex::decode)?.map(Cow::Owned),
            head: self.head()?,
            request: self.request.map(Cow::Owned),
        })
    }

    fn head(&self) -> Option<Option<HeadLine>> {
        let (Some(seq), Some(digest)) = (self.seq, self.digest) else {
            return Some(None);
        };
        Some(Some(HeadLine {
            seq: parse(seq)?,
            digest: parse::<Digest>(digest)?,
            version: optional(self.read, parse)?,
        }))
    }

    fn intent(&self) -> Option<IntentLine<'static>> {
        Some(IntentLine {
            at: time(self.at?)?,
            decision: parse(self.decision?)?,
            kind: kind(self.kind?)?,
            key: Cow::Owned(hex::decode(self.key?)?),
            seq: parse(self.seq?)?,
            prev: parse::<Digest>(self.prev?)?,
            prev_log: parse::<LogId>(self.prev_log?)?,
            next: parse::<Digest>(self.next?)?,
            write: parse::<WriteId>(self.write?)?,
            target: self.target()?,
            erases: self
                .erases
                .iter()
                .map(|text| hex::decode(text))
                .collect::<Option<Vec<_>>>()?
                .into(),
        })
    }

    fn target(&self) -> Option<TargetLine> {
        let name = optional(self.name, token)?;
        Some(match (self.target?, name, self.version) {
            ("store", None, None) => TargetLine::Store,
            ("namespace", Some(name), None) => TargetLine::Namespace(name),
            ("prefix", Some(name), None) => TargetLine::Prefix(name),
            ("secret", Some(name), None) => TargetLine::Secret(name),
            ("secret", Some(name), Some(version)) => TargetLine::Version(name, selector(version)?),
            _ => return None,
        })
    }
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// `None` where there is a text that does not parse; `Some(None)` where there is no text.
fn optional<T>(text: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        None => Some(None),
        Some(text) => parse(text).map(Some),
    }
}

fn time(text: &str) -> Option<Timestamp> {
    Timestamp::from_millis(parse(text)?).ok()
}

fn token(text: &str) -> Option<NameToken> {
    hex::decode_array(text).map(NameToken)
}

fn tokens(texts: &[&str]) -> Option<Vec<NameToken>> {
    texts.iter().map(|text| token(text)).collect()
}

fn selector(text: &str) -> Option<VersionSelector> {
    Some(match text {
        "current" => Stage::Current.into(),
        "pending" => Stage::Pending.into(),
        "previous" => Stage::Previous.into(),
        number => Version::new(parse(number)?)?.into(),
    })
}

fn strength(text: &str) -> Option<Strength> {
    Some(match text {
        "single" => Strength::Single,
        "multi" => Strength::Multi,
        "hardware" => Strength::Hardware,
        _ => return None,
    })
}

fn effect(text: &str) -> Option<Effect> {
    [Effect::Allow, Effect::Deny, Effect::Unavailable].into_iter().find(|e| e.as_str() == text)
}

fn outcome(text: &str) -> Option<Outcome> {
    Some(match text {
        "done" => Outcome::Done,
        "lost" => Outcome::Lost,
        "unknown" => Outcome::Unknown,
        _ => return None,
    })
}

fn kind(text: &str) -> Option<RecordKind> {
    Some(match text {
        "head" => RecordKind::Head,
        "namespace" => RecordKind::Namespace,
        "keyring" => RecordKind::Keyring,
        _ => return None,
    })
}
