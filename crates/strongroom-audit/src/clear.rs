//! A log in clear, for those who hold the auditor's key and for the tools that they use.
//!
//! One JSON object a line, which is another format than the log's own: names stand where the log
//! has tokens, times are written as in RFC 3339, and lines that only serve the log are left out.
//! Nothing is verified here; that is what `verify` is for, which needs no key.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::Value;
use strongroom_core::{AuditError, Digest, LogId, Timestamp, VersionSelector};

use crate::dead::Lines;
use crate::dir::{Segment, logs};
use crate::hex;
use crate::line::{
    DecisionLine, IntentLine, Line, NameToken, OpenLine, SnapshotLine, TargetLine, kind_name,
    outcome_name, stage_name, strength_name,
};
use crate::medium::failed;
use crate::read::read_line;

/// What an export came to.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Objects that were written.
    pub records: u64,
    /// Lines of the logs that the writer did not make as they are; each is an object with `"record":
    /// "unreadable"`.
    pub unreadable: u64,
    /// Names that did not open, or that no line tells: written as `token:` and its digits.
    pub unnamed: u64,
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The logs cannot be read.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// The objects cannot be written.
    #[error("what was read of the logs cannot be written: check where it goes")]
    Output(#[source] io::Error),
}

/// Writes all logs of a directory in clear, one after the other in the order of their ids, each in
/// the order of its records. `open_name` opens a name of a log, as an auditor's key does.
///
/// Memory is used for the names of one file of a log, at most some 100,000.
///
/// ```
/// use strongroom_audit::{Exported, export_in_clear};
///
/// let mut out = Vec::new();
/// let open_name = |_log, _sealed: &[u8]| None; // nobody's key
/// assert_eq!(export_in_clear("no/such/audit", open_name, &mut out)?, Exported::default());
/// # Ok::<(), strongroom_audit::ExportError>(())
/// ```
///
/// # Errors
/// Where the logs cannot be read or the output not be written. What cannot be read of a log that
/// is there is told in the output.
pub fn export_in_clear(
    dir: impl AsRef<Path>,
    open_name: impl Fn(LogId, &[u8]) -> Option<String>,
    out: &mut dyn Write,
) -> Result<Exported, ExportError> {
    let mut export = Export { open_name, out, names: HashMap::new(), done: Exported::default() };
    for file in logs(dir.as_ref())? {
        let mut index = 0;
        for (segment, is_last) in file.in_order() {
            index = export.segment(file.log, segment, is_last, index)?;
        }
    }
    export.out.flush().map_err(ExportError::Output)?;
    Ok(export.done)
}

struct Export<'o, F> {
    open_name: F,
    out: &'o mut dyn Write,
    /// What the tokens of the file in hand stand for.
    names: HashMap<NameToken, String>,
    done: Exported,
}

impl<F: Fn(LogId, &[u8]) -> Option<String>> Export<'_, F> {
    /// Writes a file of a log, and answers the index of the record that follows it.
    fn segment(
        &mut self,
        log: LogId,
        segment: &Segment,
        is_last: bool,
        mut index: u64,
    ) -> Result<u64, ExportError> {
        let unreadable = |error| failed("a log cannot be read", error);
        let handle = File::open(&segment.path).map_err(unreadable)?;
        let mut lines = Lines::new(&handle, is_last).map_err(unreadable)?;
        self.names.clear();
        while let Some(bytes) = lines.next().map_err(unreadable)? {
            match read_line(bytes) {
                Ok(line) => {
                    if let Line::Segment(line) = &line {
                        index = line.size;
                    }
                    self.line(log, index, line)?;
                }
                Err(_) => {
                    self.done.unreadable += 1;
                    self.write(&Object::new(log, index, "unreadable"))?;
                }
            }
            index += 1;
        }
        Ok(index)
    }

    fn line(&mut self, log: LogId, index: u64, line: Line<'_>) -> Result<(), ExportError> {
        let object = |record| Object::new(log, index, record);
        let object = match line {
            Line::Name(line) => {
                if let Some(name) = (self.open_name)(log, &line.sealed) {
                    self.names.insert(line.token, name);
                }
                return Ok(());
            }
            Line::Snapshot(SnapshotLine::Pruned(line)) => object("pruned")
                .with("of_log", line.log.to_string())
                .with("size", line.size)
                .with("root", line.root.to_string()),
            // They serve the log alone.
            Line::Carried(_) | Line::Snapshot(_) => return Ok(()),
            Line::Open(line) => opened(object("open"), &line),
            Line::Segment(line) => opened(object("segment"), &line.log)
                .with("number", line.number)
                .with("size", line.size),
            Line::Decision(line) => self.decision(object("decision"), line),
            Line::Intent(line) => self.intent(object("intent"), &line),
            Line::Outcome(line) => object("outcome")
                .with("at", line.at.to_string())
                .with("of_log", line.log.to_string())
                .with("of_index", line.intent)
                .with("outcome", outcome_name(line.outcome)),
            Line::Closed(line) => signed(object("closed"), line.at, line.size, line.root)
                .with("of_log", line.log.to_string()),
            Line::Cited(line) => signed(object("cited"), line.at, line.size, line.root)
                .with("of_log", line.log.to_string()),
            Line::Checkpoint(line) => signed(object("checkpoint"), line.at, line.size, line.root),
            Line::Close(line) => signed(object("close"), line.at, line.size, line.root),
        };
        self.write(&object)
    }

    fn decision(&mut self, object: Object, line: DecisionLine<'_>) -> Object {
        let object = object
            .with("at", line.at.to_string())
            .with_some("principal", line.principal.map(|token| self.name(token)))
            .with_list("roles", line.roles.iter().map(|token| self.name(*token)).collect())
            .with_list("claims", line.claims.iter().map(|token| self.name(*token)).collect())
            .with_some("authenticated_at", line.authenticated_at.map(|at| at.to_string()))
            .with_some("strength", line.strength.map(strength_name))
            .with("action", line.action.as_str());
        self.target(object, &line.target)
            .with("effect", line.effect.as_str())
            .with_some("count", (line.count > NonZeroU64::MIN).then_some(line.count.get()))
            .with_some("rule", line.rule.map(|token| self.name(token)))
            .with_some("explanation", line.explanation.map(|token| self.name(token)))
            .with_some("request", line.request.map(Cow::into_owned))
            .with_some("source", line.source.map(|token| self.name(token)))
            .with_some("reason", line.reason.map(|token| self.name(token)))
            .with_some("key", line.key.as_deref().map(in_hex))
            .with_some("seq", line.head.map(|head| head.seq))
            .with_some("digest", line.head.map(|head| head.digest.to_string()))
            .with_some("read", line.head.and_then(|head| head.version))
    }

    fn intent(&mut self, object: Object, line: &IntentLine<'_>) -> Object {
        let object = object
            .with("at", line.at.to_string())
            .with("decision", line.decision)
            .with("kind", kind_name(line.kind));
        self.target(object, &line.target)
            .with("key", in_hex(&line.key))
            .with("seq", line.seq)
            .with("prev", line.prev.to_string())
            .with("next", line.next.to_string())
            .with("write", line.write.to_string())
    }

    fn target(&mut self, object: Object, target: &TargetLine) -> Object {
        let version = match target {
            TargetLine::Version(_, VersionSelector::Version(version)) => Some(version.to_string()),
            TargetLine::Version(_, VersionSelector::Stage(stage)) => {
                Some(stage_name(*stage).to_owned())
            }
            _ => None,
        };
        object
            .with("target", target.kind())
            .with_some("path", target.name().map(|token| self.name(token)))
            .with_some("version", version)
    }

    fn name(&mut self, token: NameToken) -> String {
        if let Some(name) = self.names.get(&token) {
            return name.clone();
        }
        self.done.unnamed += 1;
        format!("token:{}", in_hex(&token.0))
    }

    fn write(&mut self, object: &Object) -> Result<(), ExportError> {
        serde_json::to_writer(&mut *self.out, object)
            .map_err(io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(ExportError::Output)?;
        self.done.records += 1;
        Ok(())
    }
}

fn opened(object: Object, line: &OpenLine) -> Object {
    object
        .with("at", line.at.to_string())
        .with("store", line.store.to_string())
        .with("directory", line.directory.to_string())
}

fn signed(object: Object, at: Timestamp, size: u64, root: Digest) -> Object {
    object.with("at", at.to_string()).with("size", size).with("root", root.to_string())
}

fn in_hex(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(2 * bytes.len());
    hex::push(&mut text, bytes);
    String::from_utf8(text).unwrap_or_default()
}

/// One line of the output, its fields in order.
struct Object(Vec<(&'static str, Value)>);

impl Object {
    fn new(log: LogId, index: u64, record: &'static str) -> Self {
        Self(Vec::with_capacity(16))
            .with("log", log.to_string())
            .with("index", index)
            .with("record", record)
    }

    fn with(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((field, value.into()));
        self
    }

    /// What a record does not have is left out,
    fn with_some(self, field: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    /// and so is a list with nothing in it.
    fn with_list(self, field: &'static str, values: Vec<String>) -> Self {
        if values.is_empty() { self } else { self.with(field, values) }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, value)| (field, value)))
    }
}
