//! An audit sink in memory, of the same format as the log in a directory.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_audit::{DecisionLine, Line, LineWriter, NameToken, TargetLine, read_line};
use strongroom_core::{
    ActionName, Attached, AuditError, AuditReader, AuditRecord, AuditSink, Durability, Effect,
    LogCut, LogId, Receipt, StoreId, StoreIdentity, Timestamp, async_trait,
};

/// Keeps the lines of its logs in memory, where a test reads them. Clones are the same sink.
///
/// What is recorded is durable at once; it is forgotten with the last clone. A log that was not
/// closed is not settled by the next attach, so use the log in a directory for what follows a
/// crash.
///
/// ```
/// use strongroom_testkit::MemorySink;
/// let sink = MemorySink::new();
/// assert!(sink.lines().is_empty() && sink.decisions().is_empty());
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemorySink(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    store: Option<StoreId>,
    identity: Option<Arc<dyn StoreIdentity>>,
    writer: Option<LineWriter>,
    lines: Vec<(Receipt, Vec<u8>)>,
    failures: u32,
}

/// A decision as it was recorded, with its names in clear.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedDecision {
    /// Its place.
    pub receipt: Receipt,
    /// Wall time.
    pub at: Timestamp,
    /// The typed id of who asked; `None` is the engine itself.
    pub principal: Option<String>,
    /// To do what.
    pub action: ActionName,
    /// To what: a path, prefix or namespace without version, or `/`.
    pub target: String,
    /// What was decided.
    pub effect: Effect,
    /// By which rule.
    pub rule: Option<String>,
    /// Why, in the policy's words.
    pub explanation: Option<String>,
    /// The host's id of the request.
    pub request_id: Option<String>,
    /// The caller's reason.
    pub reason: Option<String>,
}

impl MemorySink {
    /// An empty sink.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fails the next `count` appends as a full disk would.
    pub fn fail_next(&self, count: u32) {
        self.lock().failures = count;
    }

    /// All lines of all logs, without line ends, in the order in which they were written.
    #[must_use]
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.lock().lines.iter().map(|(_, line)| line.clone()).collect()
    }

    /// All decisions, in the order in which they were written. A name that the room's identity
    /// does not decrypt any more reads `?`.
    #[must_use]
    pub fn decisions(&self) -> Vec<RecordedDecision> {
        let state = self.lock();
        let mut names = HashMap::new();
        let mut decisions = Vec::new();
        for (receipt, line) in &state.lines {
            match read_line(line) {
                Ok(Line::Name(name)) => {
                    let opened = state
                        .identity
                        .as_ref()
                        .and_then(|identity| identity.decrypt_name(receipt.log, &name.sealed).ok());
                    names.insert(name.token, opened.unwrap_or_else(|| "?".to_owned()));
                }
                Ok(Line::Decision(line)) => decisions.push(decision(*receipt, line, &names)),
                _ => {}
            }
        }
        decisions
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decision(
    receipt: Receipt,
    line: DecisionLine<'_>,
    names: &HashMap<NameToken, String>,
) -> RecordedDecision {
    let name = |token: NameToken| names.get(&token).cloned().unwrap_or_else(|| "?".to_owned());
    RecordedDecision {
        receipt,
        at: line.at,
        principal: line.principal.map(name),
        action: line.action,
        target: match line.target {
            TargetLine::Store => "/".to_owned(),
            other => other.name().map_or_else(String::new, name),
        },
        effect: line.effect,
        rule: line.rule.map(name),
        explanation: line.explanation.map(name),
        request_id: line.request.map(std::borrow::Cow::into_owned),
        reason: line.reason.map(name),
    }
}

impl State {
    /// Moves what the writer has pending to the lines.
    fn take(&mut self, first: u64) {
        let Some(writer) = &mut self.writer else { return };
        let log = writer.log();
        let lines = writer.pending().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        self.lines.extend(
            (first..).zip(lines).map(|(index, line)| (Receipt { log, index }, line.to_vec())),
        );
        writer.written();
    }

    fn end(&mut self) {
        if let Some(writer) = &mut self.writer {
            let first = writer.size();
            writer.end();
            self.take(first);
            self.writer = None;
        }
    }
}

#[async_trait]
impl AuditSink for MemorySink {
    async fn owner(&self) -> Result<Option<StoreId>, AuditError> {
        Ok(self.lock().store)
    }

    async fn attach(&self, store: Arc<dyn StoreIdentity>) -> Result<Attached, AuditError> {
        let mut state = self.lock();
        if let Some(found) = state.store
            && found != store.store()
        {
            return Err(AuditError::OtherStore { expected: store.store(), found });
        }
        state.end();
        let writer = LineWriter::begin(Arc::clone(&store))?;
        let log = writer.log();
        state.store = Some(store.store());
        state.identity = Some(store);
        state.writer = Some(writer);
        state.take(0);
        Ok(Attached { log, dead: Vec::new() })
    }

    async fn append(
        &self,
        records: &[AuditRecord],
        _at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError> {
        let mut state = self.lock();
        let writer = state.writer.as_mut().ok_or(AuditError::Closed)?;
        let first = writer.size();
        let receipts = writer.append(records)?;
        if state.failures > 0 {
            state.failures -= 1;
            if let Some(writer) = &mut state.writer {
                writer.rollback();
            }
            return Err(AuditError::Full);
        }
        state.take(first);
        Ok(receipts)
    }

    async fn sync(&self, up_to: &Receipt) -> Result<(), AuditError> {
        let state = self.lock();
        let is_own = state.writer.as_ref().is_some_and(|writer| writer.log() == up_to.log);
        if is_own { Ok(()) } else { Err(AuditError::Closed) }
    }

    async fn close(&self) -> Result<(), AuditError> {
        self.lock().end();
        Ok(())
    }

    fn cut(&self) -> Result<LogCut, AuditError> {
        let mut files: Vec<(String, u64)> = Vec::new();
        for (receipt, line) in &self.lock().lines {
            let (name, length) = (file_name(receipt.log), line.len() as u64 + 1);
            match files.iter_mut().find(|(known, _)| *known == name) {
                Some((_, total)) => *total += length,
                None => files.push((name, length)),
            }
        }
        Ok(LogCut { files })
    }

    async fn backup(&self, dir: &Path, cut: &LogCut) -> Result<(), AuditError> {
        let lines = self.lock().lines.clone();
        for (name, length) in &cut.files {
            let mut text: Vec<u8> = Vec::new();
            for (_, line) in lines.iter().filter(|(at, _)| file_name(at.log) == *name) {
                if text.len() as u64 >= *length {
                    break;
                }
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            std::fs::write(dir.join(name), text)
                .map_err(|error| AuditError::because("its copy cannot be written", error))?;
        }
        Ok(())
    }

    fn reader(&self) -> Option<&dyn AuditReader> {
        Some(self)
    }
}

fn file_name(log: LogId) -> String {
    format!("{log}.jsonl")
}

#[async_trait]
impl AuditReader for MemorySink {
    async fn read(
        &self,
        after: Option<&Receipt>,
        limit: NonZeroU32,
    ) -> Result<Vec<(Receipt, Vec<u8>)>, AuditError> {
        let mut lines = self.lock().lines.clone();
        lines.sort_by_key(|(receipt, _)| *receipt);
        lines.retain(|(receipt, _)| after.is_none_or(|after| receipt > after));
        lines.truncate(usize::try_from(limit.get()).unwrap_or(usize::MAX));
        Ok(lines)
    }
}
