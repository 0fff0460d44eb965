//! An audit sink in memory, of the same format as the log in a directory.

mod prune;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_audit::{
    DeadLogReader, DecisionLine, Line, LineWriter, NameToken, TargetLine, read_line,
};
use strongroom_core::{
    ActionName, Attached, AuditError, AuditReader, AuditRecord, AuditSink, DeadLog, DirectoryId,
    Durability, Effect, EndedLog, KnownLog, LogCut, LogId, PruneRules, Pruned, Receipt, RecordKind,
    Removed, StoreId, StoreIdentity, Timestamp, TreeHead, async_trait,
};

use crate::faulty::Pause;

/// Keeps the lines of its logs in memory, where a test reads them. Clones are the same sink.
///
/// What is recorded outlives a [`kill`](Self::kill); what the simulation loses power over is what was
/// not synced. [`beside`](Self::beside) makes another sink over the same
/// logs, as another process has one; they are forgotten with the last of them. A log whose sink
/// was dropped or [`killed`](Self::kill) before it was closed is dead, and is given to the next
/// that attaches to the same logs, to be settled.
///
/// ```
/// use strongroom_testkit::MemorySink;
/// let sink = MemorySink::new();
/// assert!(sink.lines().is_empty() && sink.decisions().is_empty());
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemorySink(Arc<Sink>);

#[derive(Debug, Default)]
struct Sink {
    logs: Arc<Mutex<Logs>>,
    own: Mutex<Own>,
    scarce: AtomicBool,
}

/// What one sink has for itself, as a process does.
#[derive(Debug, Default)]
struct Own {
    writer: Option<LineWriter>,
    /// Dead logs that were given to this sink and are not settled yet.
    dead: Vec<LogId>,
    registered: u64,
    /// The first line of the segment that is written.
    segment: u64,
    failures: u32,
}

/// What several sinks share, as processes share a directory.
#[derive(Debug, Clone, Default)]
struct Logs {
    store: Option<StoreId>,
    directory: Option<DirectoryId>,
    identities: Vec<Arc<dyn StoreIdentity>>,
    /// The names that the lines tell, read while their store was open.
    told: Names,
    lines: Vec<(Receipt, Vec<u8>)>,
    fates: BTreeMap<LogId, Fate>,
    ends: BTreeMap<LogId, EndedLog>,
    /// How many lines of each log a power cut leaves.
    synced: BTreeMap<LogId, u64>,
    /// What power cuts took.
    lost: Vec<(Receipt, Vec<u8>)>,
    /// What was pruned, the lines of a log in their order.
    pruned: Vec<(Receipt, Vec<u8>)>,
    /// After so many lines a log goes on in a new segment.
    segment_lines: Option<NonZeroU32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// A sink writes it, or was given it to settle it.
    Held,
    Dead,
    /// Its writer closed it, or another one settled it.
    Ended,
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
    /// How many requests it stands for.
    pub count: u64,
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

    /// Another sink over the same logs, as another process has one.
    #[must_use]
    pub fn beside(&self) -> Self {
        let logs = Arc::clone(&self.0.logs);
        Self(Arc::new(Sink { logs, own: Mutex::default(), scarce: AtomicBool::default() }))
    }

    /// Leaves everything as it is, as a process does that is killed: this sink takes no record any
    /// more until it is attached again, and its log is dead.
    pub fn kill(&self) {
        self.0.die();
    }

    /// The same sink whose logs go on in a new segment after so many lines: who settles a dead one
    /// reads its last segment alone, as in a directory.
    #[must_use]
    pub fn with_segments(self, lines: NonZeroU32) -> Self {
        self.logs().segment_lines = Some(lines);
        self
    }

    /// Of what no sink over these logs has synced a power cut takes the end: of so many lines of a
    /// log `keep` says how many stay. All of those sinks are to be [`killed`](Self::kill) first.
    pub(crate) fn cut_power(&self, keep: &mut dyn FnMut(u64) -> u64) {
        self.logs().cut_power(keep);
    }

    /// Fails the next `count` appends as a full disk would.
    pub fn fail_next(&self, count: u32) {
        self.own().failures = count;
    }

    /// Says from now on whether it has little room left, as one on a disk does that gives no more.
    pub fn set_scarce(&self, scarce: bool) {
        self.0.scarce.store(scarce, Ordering::Relaxed);
    }

    /// All lines of all logs, without line ends, in the order in which they were written. What was
    /// pruned is not there.
    #[must_use]
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.logs().lines.iter().map(|(_, line)| line.clone()).collect()
    }

    /// All lines with their places, those first that were pruned.
    pub(crate) fn places(&self) -> Vec<(Receipt, Vec<u8>)> {
        self.logs().all()
    }

    /// All decisions, in the order in which they were written, those first that were pruned. A name
    /// that could not be decrypted as it was written reads `?`.
    #[must_use]
    pub fn decisions(&self) -> Vec<RecordedDecision> {
        let logs = self.logs();
        let mut decisions = Vec::new();
        logs.each_named(&logs.all(), |receipt, line, names| {
            if let Line::Decision(line) = line {
                decisions.push(decision(receipt, line, names));
            }
        });
        decisions
    }

    /// The decisions that a power cut took.
    pub(crate) fn lost_decisions(&self) -> Vec<RecordedDecision> {
        let logs = self.logs();
        let all = [logs.all(), logs.lost.clone()].concat();
        let mut lost = Vec::new();
        logs.each_named(&all, |receipt, line, names| {
            if let Line::Decision(line) = line
                && logs.lost.iter().any(|(other, _)| *other == receipt)
            {
                lost.push(decision(receipt, line, names));
            }
        });
        lost
    }

    /// The secrets that intents of heads name, an entry an intent.
    pub(crate) fn intents(&self) -> Vec<String> {
        let logs = self.logs();
        let mut intents = Vec::new();
        logs.each_named(&logs.all(), |receipt, line, names| {
            if let Line::Intent(line) = line
                && line.kind == RecordKind::Head
                && let Some(token) = line.target.name()
            {
                intents.extend(names.get(&(receipt.log, token)).cloned());
            }
        });
        intents
    }

    /// The lines that are there, with their places.
    pub(crate) fn present(&self) -> Vec<(Receipt, Vec<u8>)> {
        self.logs().lines.clone()
    }

    /// A copy of the logs as they are, without any of their writers: all that are open are dead.
    pub(crate) fn copied(&self) -> Self {
        let mut logs = self.logs().clone();
        for fate in logs.fates.values_mut().filter(|fate| **fate == Fate::Held) {
            *fate = Fate::Dead;
        }
        let logs = Arc::new(Mutex::new(logs));
        Self(Arc::new(Sink { logs, own: Mutex::default(), scarce: AtomicBool::default() }))
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        lock(&self.0.own)
    }

    fn logs(&self) -> MutexGuard<'_, Logs> {
        lock(&self.0.logs)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    fn die(&self) {
        let (mut own, mut logs) = (lock(&self.own), lock(&self.logs));
        own.abandon(&mut logs);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.die();
    }
}

/// What tokens stand for.
type Names = HashMap<(LogId, NameToken), String>;

fn decision(receipt: Receipt, line: DecisionLine<'_>, names: &Names) -> RecordedDecision {
    let log = receipt.log;
    let name =
        |token: NameToken| names.get(&(log, token)).cloned().unwrap_or_else(|| "?".to_owned());
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
        count: line.count.get(),
        rule: line.rule.map(name),
        explanation: line.explanation.map(name),
        request_id: line.request.map(std::borrow::Cow::into_owned),
        reason: line.reason.map(name),
    }
}

/// The time in the last line of a log.
fn at_of_end(lines: &[u8]) -> Timestamp {
    let last = lines.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    match read_line(last) {
        Ok(Line::Close(close)) => close.at,
        _ => Timestamp::default(),
    }
}

impl Own {
    /// Moves what the writer has pending to the lines.
    fn flush(&mut self, first: u64, logs: &mut Logs) {
        let Some(writer) = &mut self.writer else { return };
        let log = writer.log();
        let lines = writer.pending().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for (index, line) in (first..).zip(lines) {
            logs.learn_name(log, line);
            logs.lines.push((Receipt { log, index }, line.to_vec()));
        }
        writer.written();
    }

    /// All of it is on the medium from here on.
    fn sync(&self, logs: &mut Logs) {
        if let Some(writer) = &self.writer {
            logs.sync(writer.log(), writer.size());
        }
    }

    /// Goes on in a new segment, which is on the medium as it begins, and so is all before it.
    fn begin_segment_if_due(&mut self, logs: &mut Logs) -> Result<(), AuditError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let first = writer.size();
        let is_due = |lines: NonZeroU32| first - self.segment >= u64::from(lines.get());
        if logs.segment_lines.is_some_and(is_due) {
            writer.begin_segment()?;
            self.flush(first, logs);
            self.sync(logs);
            self.segment = first;
        }
        Ok(())
    }

    /// Leaves its log and those that it was settling to whoever attaches next.
    fn abandon(&mut self, logs: &mut Logs) {
        let writing = self.writer.take().map(|writer| writer.log());
        for log in self.dead.drain(..).chain(writing) {
            logs.fates.insert(log, Fate::Dead);
        }
    }

    /// How many lines it has, where it writes that log.
    fn size_of(&self, log: LogId) -> Option<u64> {
        self.writer.as_ref().filter(|writer| writer.log() == log).map(LineWriter::size)
    }

    /// Ends the own log, and lets go of the dead ones.
    fn end(&mut self, logs: &mut Logs) -> Option<TreeHead> {
        let ended = self.writer.as_mut().map(|writer| {
            let first = writer.size();
            let head = writer.end();
            logs.fates.insert(writer.log(), Fate::Ended);
            let registered = self.registered;
            let at = at_of_end(writer.pending());
            logs.ends.insert(writer.log(), EndedLog { at, head, registered });
            (first, head)
        });
        if let Some((first, _)) = ended {
            self.flush(first, logs);
            self.sync(logs);
            self.writer = None;
        }
        for log in self.dead.drain(..) {
            logs.fates.insert(log, Fate::Dead);
        }
        ended.map(|(_, head)| head)
    }
}

impl Logs {
    /// What was pruned, and what is there.
    fn all(&self) -> Vec<(Receipt, Vec<u8>)> {
        [self.pruned.as_slice(), &self.lines].concat()
    }

    /// Keeps the name that a line tells: once the store is closed nobody can read it here.
    fn learn_name(&mut self, log: LogId, line: &[u8]) {
        if line.starts_with(br#"{"t":"name","#)
            && let Ok(Line::Name(name)) = read_line(line)
        {
            let mut known = self.identities.iter().rev();
            if let Some(opened) = known.find_map(|one| one.decrypt_name(log, &name.sealed).ok()) {
                self.told.insert((log, name.token), opened);
            }
        }
    }

    /// Each line with the names that were told before it.
    fn each_named(
        &self,
        lines: &[(Receipt, Vec<u8>)],
        mut each: impl FnMut(Receipt, Line<'static>, &Names),
    ) {
        let mut names = Names::new();
        for (receipt, line) in lines {
            match read_line(line) {
                Ok(Line::Name(name)) => {
                    let place = (receipt.log, name.token);
                    let told = self.told.get(&place).cloned();
                    names.insert(place, told.unwrap_or_else(|| "?".to_owned()));
                }
                Ok(line) => each(*receipt, line, &names),
                Err(_) => {}
            }
        }
    }

    fn sync(&mut self, log: LogId, lines: u64) {
        let synced = self.synced.entry(log).or_default();
        *synced = lines.max(*synced);
    }

    fn cut_power(&mut self, keep: &mut dyn FnMut(u64) -> u64) {
        let mut lengths: BTreeMap<LogId, u64> = BTreeMap::new();
        for (receipt, _) in &self.lines {
            lengths.insert(receipt.log, receipt.index + 1);
        }
        for (log, length) in &mut lengths {
            let synced = self.synced.get(log).copied().unwrap_or(0).min(*length);
            *length = synced + keep(*length - synced).min(*length - synced);
        }
        let is_left = |(at, _): &(Receipt, Vec<u8>)| {
            lengths.get(&at.log).is_some_and(|length| at.index < *length)
        };
        let (left, lost) = std::mem::take(&mut self.lines).into_iter().partition(is_left);
        self.lines = left;
        self.lost.extend::<Vec<_>>(lost);
    }

    /// The lines of a log from the first one of its last segment on.
    fn last_segment(&self, log: LogId) -> Vec<&[u8]> {
        let mut lines = Vec::new();
        for (_, line) in self.lines.iter().filter(|(at, _)| at.log == log) {
            if matches!(read_line(line), Ok(Line::Segment(_))) {
                lines.clear();
            }
            lines.push(line.as_slice());
        }
        lines
    }

    /// Which directory they would be in.
    fn identify(&mut self, identity: &dyn StoreIdentity) -> Result<DirectoryId, AuditError> {
        if let Some(directory) = self.directory {
            return Ok(directory);
        }
        let mut id = [0; DirectoryId::LENGTH];
        identity.random(&mut id)?;
        Ok(*self.directory.insert(DirectoryId::from_bytes(id)))
    }

    /// All logs there are.
    fn known(&self) -> Vec<KnownLog> {
        let ended = |log| self.ends.get(log).copied();
        self.fates
            .keys()
            .map(|log| KnownLog { log: *log, ended: ended(log), is_cut_short: false })
            .collect()
    }

    /// Takes hold of all dead logs, and says what was left open in them.
    fn claim(&mut self, identity: &dyn StoreIdentity) -> Result<Vec<DeadLog>, AuditError> {
        let is_dead = |(log, fate): (&LogId, &Fate)| (*fate == Fate::Dead).then_some(*log);
        let found: Vec<LogId> = self.fates.iter().filter_map(is_dead).collect();
        let (mut dead, mut settled) = (Vec::new(), HashSet::new());
        for log in &found {
            let mut reader = DeadLogReader::new(*log);
            for line in self.last_segment(*log) {
                reader.push(line)?;
            }
            let found = reader.finish(identity, &mut settled)?;
            // What is settled now must not vanish in a power cut later.
            self.sync(*log, found.size);
            dead.push(found);
        }
        for log in &mut dead {
            log.open.retain(|intent| !settled.contains(&intent.receipt));
        }
        self.fates.extend(found.into_iter().map(|log| (log, Fate::Held)));
        Ok(dead)
    }
}

#[async_trait]
impl AuditSink for MemorySink {
    async fn owner(&self) -> Result<Option<StoreId>, AuditError> {
        Ok(self.logs().store)
    }

    async fn attach(&self, store: Arc<dyn StoreIdentity>) -> Result<Attached, AuditError> {
        let (mut own, mut logs) = (self.own(), self.logs());
        if let Some(found) = logs.store
            && found != store.store()
        {
            return Err(AuditError::OtherStore { expected: store.store(), found });
        }
        own.abandon(&mut logs);
        let directory = logs.identify(&*store)?;
        let (dead, known) = (logs.claim(&*store)?, logs.known());
        own.dead = dead.iter().map(|dead| dead.log).collect();
        let writer = LineWriter::begin_in(directory, Arc::clone(&store))?;
        let log = writer.log();
        logs.store = Some(store.store());
        logs.identities.push(store);
        logs.fates.insert(log, Fate::Held);
        (own.writer, own.registered, own.segment) = (Some(writer), 0, 0);
        own.flush(0, &mut logs);
        logs.sync(log, 1);
        Ok(Attached { log, directory: Some(directory), logs: known, dead })
    }

    async fn append(
        &self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError> {
        let mut own = self.own();
        if own.failures == 0 {
            own.begin_segment_if_due(&mut self.logs())?;
        }
        let writer = own.writer.as_mut().ok_or(AuditError::Closed)?;
        let first = writer.size();
        let receipts = writer.append(records)?;
        if own.failures > 0 {
            own.failures -= 1;
            if let Some(writer) = &mut own.writer {
                writer.rollback();
            }
            return Err(AuditError::Full);
        }
        let mut logs = self.logs();
        own.flush(first, &mut logs);
        // A log that is said to be settled stays so.
        let settles = records.iter().any(|record| matches!(record, AuditRecord::Closed(_)));
        if at_least == Durability::Synced || settles {
            own.sync(&mut logs);
        }
        for record in records {
            if let AuditRecord::Closed(closed) = record {
                own.dead.retain(|dead| *dead != closed.log);
                logs.fates.insert(closed.log, Fate::Ended);
            }
        }
        Ok(receipts)
    }

    async fn sync(&self, up_to: &Receipt) -> Result<(), AuditError> {
        let own = self.own();
        let size = own.size_of(up_to.log).ok_or(AuditError::Closed)?;
        self.logs().sync(up_to.log, size.min(up_to.index.saturating_add(1)));
        Ok(())
    }

    fn checkpoint(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        let mut own = self.own();
        let writer = own.writer.as_mut().filter(|writer| writer.log() == log);
        let writer = writer.ok_or(AuditError::Closed)?;
        let first = writer.size();
        let head = writer.checkpoint();
        own.flush(first, &mut self.logs());
        Ok(Some(head))
    }

    fn signed(&self, log: LogId) -> Option<TreeHead> {
        let own = self.own();
        own.writer.as_ref().filter(|writer| writer.log() == log).map(LineWriter::signed)
    }

    fn registered(&self, log: LogId, size: u64) {
        let mut own = self.own();
        if let Some(writer) = own.writer.as_mut().filter(|writer| writer.log() == log) {
            writer.registered(size);
            own.registered = own.registered.max(size);
        }
    }

    async fn confirm_end(&self, log: LogId, _store: StoreId) -> Result<bool, AuditError> {
        // Nobody else writes to this memory.
        Ok(self.logs().ends.contains_key(&log))
    }

    async fn prune(
        &self,
        log: LogId,
        rules: &PruneRules<'_>,
    ) -> Result<Option<Pruned>, AuditError> {
        self.snapshot(log, rules).map(Some)
    }

    async fn remove(&self, log: LogId, pruned: &Pruned) -> Result<Removed, AuditError> {
        self.own().size_of(log).ok_or(AuditError::Closed)?;
        let mut removed = Removed::default();
        for part in &pruned.parts {
            loop {
                let bytes = self.logs().remove_first(part);
                if bytes.is_none() {
                    break;
                }
                removed.add(bytes);
                // A process may die between two.
                Pause(1).await;
            }
        }
        Ok(removed)
    }

    async fn discard(&self, log: LogId) -> Result<(), AuditError> {
        let (mut own, mut logs) = (self.own(), self.logs());
        let Some(size) = own.size_of(log) else { return Ok(()) };
        if size > 1 {
            own.end(&mut logs);
            return Ok(());
        }
        own.abandon(&mut logs);
        logs.fates.remove(&log);
        logs.lines.retain(|(at, _)| at.log != log);
        Ok(())
    }

    async fn close(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        let (mut own, mut logs) = (self.own(), self.logs());
        Ok(own.size_of(log).and_then(|_| own.end(&mut logs)))
    }

    fn cut(&self) -> Result<LogCut, AuditError> {
        let mut files: Vec<(String, u64)> = Vec::new();
        for (receipt, line) in &self.logs().lines {
            let (name, length) = (file_name(receipt.log), line.len() as u64 + 1);
            match files.iter_mut().find(|(known, _)| *known == name) {
                Some((_, total)) => *total += length,
                None => files.push((name, length)),
            }
        }
        Ok(LogCut { files })
    }

    async fn backup(&self, dir: &Path, cut: &LogCut) -> Result<(), AuditError> {
        let lines = self.logs().lines.clone();
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

    fn is_scarce(&self) -> bool {
        self.0.scarce.load(Ordering::Relaxed)
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
        let mut lines = self.logs().lines.clone();
        lines.sort_by_key(|(receipt, _)| *receipt);
        lines.retain(|(receipt, _)| after.is_none_or(|after| receipt > after));
        lines.truncate(usize::try_from(limit.get()).unwrap_or(usize::MAX));
        Ok(lines)
    }
}
