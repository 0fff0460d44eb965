//! Holds stored records and the logs against one another, without a key and without I/O.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};
use strongroom_core::{
    AuditError, Digest, Effect, Key, LogId, Receipt, RecordKind, StoreId, Timestamp, TreeHead,
};

use crate::carried;
use crate::certificate::{close_message, is_certified, origin, verifies};
use crate::checkpoint::{Signed, checkpoint_text};
use crate::line::{CheckpointLine, CloseLine, ClosedLine, Line, OpenLine, Rest};
use crate::read::read_line;
use crate::registry::KEY_CLASS;
use crate::report::{Counts, Finding, Report, Verdict};
use crate::tree::MerkleTree;

mod cited;
mod directory;
mod history;
#[cfg(test)]
mod history_model;
#[cfg(test)]
mod history_tests;
mod kinds;
mod registered;
mod segments;
mod snapshot;

use cited::Cited;
pub use directory::{verify_dir, verify_logs};
pub(crate) use history::{Histories, Told};
use kinds::{Kind, Kinds};
use registered::Registry;
use segments::Segments;
pub(crate) use snapshot::{Coverage, Snapshot, Standing};
use snapshot::{Missing, Snapshots};

/// Verifies the logs of a store, and what is stored by them. It does no I/O and knows no key.
///
/// Feed all [lines](Self::line) of all logs, say where each log [ends](Self::end_of_log), feed the
/// [stored](Self::stored) heads, namespace records and the keyring, then [finish](Self::finish).
///
/// Of a store that is written to meanwhile, feed the logs, read the storage and feed it, call
/// [`storage_was_read`](Self::storage_was_read), and feed the lines that came since: they explain
/// what is stored, but do not make it old. Name the logs whose writers [live](Self::lives).
///
/// Logs may have been pruned: the newest snapshot in them tells what is needed of the lines that are
/// gone. Where some of these are still there, ask for a verifier [anew](Self::anew) before the end.
///
/// Only evidence accuses. A writer that died without a last line may have lost lines in a power
/// cut; what that can explain is a [`Gap`](Verdict::Gap).
///
/// ```
/// use strongroom_audit::Verifier;
/// let report = Verifier::new(None).finish();
/// assert!(!report.accuses());
/// ```
#[derive(Debug)]
pub struct Verifier {
    expected: Option<StoreId>,
    logs: BTreeMap<LogId, LogState>,
    histories: Histories,
    closed: Vec<Closed>,
    cited: Vec<Cited>,
    stored: HashMap<Key, Stored>,
    registry: Registry,
    /// The newest snapshot.
    snapshot: Option<Box<Snapshot>>,
    /// Where the first snapshot ends that tells of a log that it was pruned, and its number.
    pruned_first: BTreeMap<LogId, (u64, Receipt)>,
    /// Lines of logs that a snapshot is known to tell again: they are checked, and tell nothing.
    covers: Coverage,
    late: bool,
    findings: Vec<Finding>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct LogState {
    tree: MerkleTree,
    open: Option<OpenLine>,
    /// The store that is verified vouches for its key.
    is_certified: bool,
    kinds: Kinds,
    /// Lines below are missing: those behind are known, and begin with a segment.
    known: u64,
    segments: Segments,
    snapshots: Snapshots,
    missing: Vec<Missing>,
    /// Lines below tell nothing, since a snapshot does.
    covered: u64,
    /// The first line that told something.
    first_told: Option<u64>,
    /// How far its writer has signed it.
    signed: Signed,
    /// The heads that its writer has signed.
    checkpoints: Vec<TreeHead>,
    /// The size that it says the storage had registered, before the storage was read.
    registered: u64,
    /// What the last line that says so says. The next one signs it.
    unsigned: u64,
    /// Its lines before those that tell the names of the next record.
    records_end: u64,
    /// Its writer ended it, and the signature holds.
    is_ended: bool,
    /// Its writer lives.
    is_live: bool,
    /// Something about its lines has been found already.
    is_bad: bool,
}

#[derive(Debug)]
struct Closed {
    by: Receipt,
    log: LogId,
    size: u64,
    root: Digest,
}

#[derive(Debug)]
struct Stored {
    digest: Digest,
    log: Option<LogId>,
}

impl LogState {
    /// Takes what a line says of what was registered: the line after it that signs it makes it count.
    fn says_registered(&mut self, size: u64) {
        self.registered = self.registered.max(std::mem::replace(&mut self.unsigned, size));
    }

    /// Whether what a line says counts, and is not told by a snapshot.
    fn tells(&mut self, index: u64) -> bool {
        let tells = index >= self.covered;
        if tells {
            self.first_told.get_or_insert(index);
        }
        tells
    }

    /// The root over its first lines, where they are all or its writer has signed them.
    fn root_at(&self, size: u64) -> Option<Digest> {
        if size == self.tree.size() {
            return Some(self.tree.root());
        }
        let at = self.checkpoints.binary_search_by_key(&size, |head| head.size).ok()?;
        self.checkpoints.get(at).map(|head| head.root)
    }
}

impl Verifier {
    /// Begins. With an expected store, logs of any other one are found.
    #[must_use]
    pub fn new(expected: Option<StoreId>) -> Self {
        Self {
            expected,
            logs: BTreeMap::new(),
            histories: Histories::default(),
            closed: Vec::new(),
            cited: Vec::new(),
            stored: HashMap::new(),
            registry: Registry::default(),
            snapshot: None,
            pruned_first: BTreeMap::new(),
            covers: Coverage::new(),
            late: false,
            findings: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Takes the next line of a log, without its line end. Lines of different logs may alternate.
    pub fn line(&mut self, log: LogId, line: &[u8]) {
        self.counts.lines += 1;
        let read = read_line(line);
        if let Ok(Line::Segment(segment)) = &read {
            self.skip_to(log, segment);
        }
        let state = self.logs.entry(log).or_default();
        let index = state.tree.size();
        if matches!(read, Ok(Line::Open(_) | Line::Segment(_))) {
            state.covered = self.covers.get(&log).copied().unwrap_or_default();
        }
        let problem = match &read {
            Ok(line) => self.check(log, index, line).err(),
            Err(AuditError::Malformed { detail, .. }) => Some(format!("the line is bad: {detail}")),
            Err(_) => Some("the line cannot be read".to_owned()),
        };
        let kind = match &read {
            Ok(Line::Decision(line)) if line.effect == Effect::Allow => Kind::Decision,
            Ok(Line::Intent(_)) => Kind::Intent,
            _ => Kind::Other,
        };
        let state = self.logs.entry(log).or_default();
        state.tree.push(line);
        state.kinds.push(kind);
        if !matches!(read, Ok(Line::Name(_))) {
            state.records_end = state.tree.size();
        }
        match &read {
            Ok(Line::Open(line)) => {
                state.checkpoints.push(state.tree.head());
                state.signed = Signed { size: state.tree.size(), at: line.at };
            }
            Ok(Line::Segment(line)) => {
                state.checkpoints.extend(line.head());
                state.signed = Signed { size: state.tree.size(), at: line.log.at };
                state.says_registered(if self.late { 0 } else { line.registered });
            }
            Ok(Line::Checkpoint(line)) => {
                state.checkpoints.push(line.head());
                state.signed = Signed { size: state.tree.size(), at: line.at };
                state.says_registered(if self.late { 0 } else { line.registered });
            }
            Ok(Line::Close(line)) => {
                state.checkpoints.push(line.head());
                // The last line signs all that it says.
                state.says_registered(if self.late { 0 } else { line.registered });
                state.says_registered(0);
            }
            _ => {}
        }
        let signs = matches!(
            &read,
            Ok(Line::Segment(_) | Line::Checkpoint(_) | Line::Close(_))
                if problem.is_none() && state.is_certified
        );
        let signed = if signs { state.snapshots.sign() } else { None };
        if let Some(problem) = problem {
            state.is_bad = true;
            self.findings.push(Finding::new(Verdict::LogAltered, problem).of_log(log, Some(index)));
        }
        if let Some(snapshot) = signed {
            self.take_snapshot(snapshot);
        }
    }

    /// Says that the writer of a log lives and has flushed at least so many lines, so that none of
    /// them is missing. Called when all lines are fed.
    pub fn lives(&mut self, log: LogId, lines: u64) {
        let state = self.logs.entry(log).or_default();
        let size = state.tree.size();
        state.is_live = size >= lines;
        if !state.is_live {
            state.is_bad = true;
            let detail = format!("its writer has written {lines} lines, and {size} are there");
            self.findings
                .push(Finding::new(Verdict::LogLostItsTail, detail).of_log(log, Some(size)));
        }
    }

    /// Says that a log has no more lines. Bytes without a line end behind the last line are what
    /// a crash leaves; behind a log that its writer ended they are not.
    pub fn end_of_log(&mut self, log: LogId, torn_bytes: bool) {
        let state = self.logs.entry(log).or_default();
        let size = state.tree.size();
        let problem = if size == 0 {
            Some((Verdict::LogLostItsTail, "it has no line, and none is made without one"))
        } else if state.is_ended && torn_bytes {
            Some((Verdict::LogAltered, "bytes follow its last line"))
        } else if !state.segments.is_whole() {
            // A segment appears with all of them.
            Some((Verdict::LogAltered, carried::MISSING))
        } else {
            None
        };
        if let Some((verdict, detail)) = problem {
            state.is_bad = true;
            self.findings.push(Finding::new(verdict, detail).of_log(log, Some(size)));
        }
    }

    /// Logs of which others say that they have more lines than were fed, and how many that is.
    ///
    /// Of logs that are written while they are read, one may be told of by another that was read
    /// later. What was said of it was there before: reading it once more shows it.
    #[must_use]
    pub fn behind(&self) -> Vec<(LogId, u64)> {
        let closed = self.closed.iter().map(|closed| (closed.log, closed.size));
        let told = self.histories.told();
        let told = told.map(|intent| (intent.log, intent.index.saturating_add(1)));
        let registered = self.store().into_iter().flat_map(|store| self.registry.sizes(store));
        let registered = registered.filter(|(log, _)| self.logs.contains_key(log));
        // A log that has just begun may have been listed by nobody yet.
        let cited = self.cited.iter().filter(|cited| self.keeps(cited.line.directory));
        let cited = cited.map(|cited| (cited.line.log, cited.line.size));
        let all = closed.chain(told).chain(registered).chain(cited);
        let is_pruned = |log: LogId, lines: u64| {
            let part = self.snapshot().and_then(|snapshot| snapshot.parts.get(&log));
            part.is_some_and(|part| lines <= part.size)
        };
        all.filter(|(log, lines)| self.lines_of(*log) < *lines && !is_pruned(*log, *lines))
            .collect()
    }

    /// The store that all is about.
    fn store(&self) -> Option<StoreId> {
        let told = || self.logs.values().find_map(|state| state.open.as_ref());
        self.expected.or_else(|| told().map(|open| open.store))
    }

    /// How many lines of a log were fed.
    #[must_use]
    pub fn lines_of(&self, log: LogId) -> u64 {
        self.logs.get(&log).map_or(0, |state| state.tree.size())
    }

    /// Says that all that is stored was fed: what is absent now is missed, and lines that are fed
    /// from now on were perhaps written after the storage was read. Not called, and nothing
    /// [stored](Self::stored), the logs are verified alone.
    pub fn storage_was_read(&mut self) {
        self.late = true;
    }

    /// Takes a stored record. Of heads, namespace records and the keyring intents tell, and of
    /// registry records the logs themselves; others are left out.
    pub fn stored(&mut self, key: &Key, record: &[u8]) {
        self.stored_by(key, record, None);
    }

    /// The same, with the log that the record names as its writer's, where there are keys to read
    /// it: then only that log can excuse a record that no intent names.
    pub fn stored_by(&mut self, key: &Key, record: &[u8], log: Option<LogId>) {
        match key.as_bytes().first() {
            Some(1..=3) => {}
            Some(&KEY_CLASS) => return self.registry.push(key, record),
            _ => return,
        }
        self.counts.stored += 1;
        let digest = Digest::from_bytes(Sha256::digest(record).into());
        self.stored.insert(key.clone(), Stored { digest, log });
    }

    /// Joins all that was fed.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.join_snapshot();
        self.counts.logs = self.logs.len() as u64;
        self.join_closed();
        self.join_cited();
        self.join_outcomes();
        self.join_registry();
        self.report_gaps();
        self.histories.end();
        self.judge_histories();
        self.judge_stored();
        if self.late || !self.stored.is_empty() {
            self.judge_absent();
        }
        Report { findings: self.findings, counts: self.counts }
    }

    /// Checks a line against what came before it in its log.
    fn check(&mut self, log: LogId, index: u64, line: &Line<'_>) -> Result<(), String> {
        let late = self.late;
        let state = self.logs.entry(log).or_default();
        if state.is_ended {
            return Err("it follows the last line of a log that its writer ended".to_owned());
        }
        if let Line::Segment(segment) = line {
            let checked = state.check_segment(segment);
            let taken = state.segments.take(log, index, state.known, line);
            return checked.and(taken).map_err(str::to_owned);
        }
        if (index == 0) != matches!(line, Line::Open(_)) {
            return Err("the first line of a log, and no other, says which log it is".to_owned());
        }
        if record_time(line).is_some_and(|at| state.signed.is_old(state.records_end, at)) {
            return Err(
                "the lines before it should be signed, and no checkpoint is there".to_owned()
            );
        }
        let carried = state.segments.take(log, index, state.known, line);
        match line {
            Line::Open(open) => {
                let problem = if open.log != log {
                    Some("it is another log than its file is named after")
                } else if !is_certified(open) {
                    Some("the certificate of its key does not hold")
                } else if self.expected.is_some_and(|store| store != open.store) {
                    Some("it is a log of another store")
                } else {
                    None
                };
                state.open = Some(open.clone());
                state.is_certified = problem.is_none();
                problem.map_or(Ok(()), |problem| Err(problem.to_owned()))
            }
            Line::Checkpoint(checkpoint) => {
                if signs(state, checkpoint) {
                    Ok(())
                } else {
                    Err("the lines before it are not those that its writer signed".to_owned())
                }
            }
            Line::Close(close) => {
                state.is_ended = ends(state, close);
                if state.is_ended {
                    Ok(())
                } else {
                    Err("size, root or signature of its end do not hold".to_owned())
                }
            }
            Line::Decision(_) => {
                self.counts.decisions += 1;
                Ok(())
            }
            Line::Intent(intent) => {
                self.counts.intents += 1;
                let is_told = state.tells(index);
                let allowed = kind_at(state, intent.decision) == Some(Kind::Decision)
                    || intent.decision < state.known;
                if is_told {
                    self.histories.intent(Receipt { log, index }, intent, late);
                }
                // The first record of a store is written before anybody could be asked.
                if allowed || intent.kind == RecordKind::Keyring {
                    Ok(())
                } else {
                    Err("it names no decision before it that allows it".to_owned())
                }
            }
            Line::Outcome(line) => {
                let intent = Receipt { log: line.log, index: line.intent };
                let own = line.log == log;
                let known = !own
                    || kind_at(state, line.intent) == Some(Kind::Intent)
                    || line.intent < state.known;
                if state.tells(index) {
                    self.histories.tell(intent, Told { outcome: line.outcome, late });
                }
                if known { Ok(()) } else { Err("it names no intent before it".to_owned()) }
            }
            Line::Closed(line) => {
                let by = Receipt { log, index };
                if state.tells(index) {
                    let ClosedLine { log, size, root, .. } = *line;
                    self.closed.push(Closed { by, log, size, root });
                }
                if line.log == log { Err("a log cannot settle itself".to_owned()) } else { Ok(()) }
            }
            Line::Cited(line) => {
                let tells = state.tells(index);
                let state = self.logs.get(&line.log);
                // What holds already need not be kept.
                let holds = state.is_some_and(|state| state.root_at(line.size) == Some(line.root));
                if tells && !holds {
                    self.cited.push(Cited { by: Receipt { log, index }, line: *line });
                }
                if line.log == log { Err("a log cannot cite itself".to_owned()) } else { Ok(()) }
            }
            Line::Snapshot(line) => {
                let (at, is_rest) = (Receipt { log, index }, state.known > 0);
                state.snapshots.take(at, line, late, is_rest).map_err(str::to_owned)
            }
            Line::Name(_) | Line::Segment(_) | Line::Carried(_) => Ok(()),
        }
        .and(carried.map_err(str::to_owned))
    }

    /// What others said a log was when they settled it, against what it is.
    fn join_closed(&mut self) {
        let pruned: BTreeMap<LogId, TreeHead> = self
            .snapshot()
            .into_iter()
            .flat_map(|snapshot| snapshot.parts.values().filter(|part| part.rest.is_nothing()))
            .map(|part| (part.log, TreeHead { size: part.size, root: part.root }))
            .collect();
        for closed in &self.closed {
            let state = self.logs.get(&closed.log);
            let size = state.map_or(0, |state| state.tree.size());
            // Who settles what is left of a log that was pruned may see fewer lines than it had.
            if let Some(all) = pruned.get(&closed.log)
                && (closed.size < all.size || (closed.size, closed.root) == (all.size, all.root))
            {
                continue;
            }
            let verdict = if size < closed.size {
                Verdict::LogLostItsTail
            } else if size > closed.size
                || state.is_some_and(|state| state.tree.root() != closed.root)
            {
                Verdict::LogAltered
            } else {
                continue;
            };
            if let Some(state) = self.logs.get_mut(&closed.log) {
                state.is_bad = true;
            }
            let detail = format!(
                "it had {} lines when {} settled it, and has {size}",
                closed.size, closed.by
            );
            self.findings.push(
                Finding::new(verdict, detail).of_log(closed.log, Some(size)).digests(
                    Some(closed.root),
                    self.logs.get(&closed.log).map(|state| state.tree.root()),
                ),
            );
        }
    }

    /// An outcome of an intent that its log does not have.
    fn join_outcomes(&mut self) {
        let mut lost: BTreeMap<LogId, u64> = BTreeMap::new();
        for receipt in self.histories.told() {
            if let Some(state) = self.logs.get(&receipt.log)
                && !state.is_bad
                && receipt.index >= state.known.max(state.covered)
                && kind_at(state, receipt.index) != Some(Kind::Intent)
            {
                let first = lost.entry(receipt.log).or_insert(receipt.index);
                *first = (*first).min(receipt.index);
            }
        }
        for (log, index) in lost {
            let Some(state) = self.logs.get_mut(&log) else { continue };
            state.is_bad = true;
            let verdict = if index >= state.tree.size() {
                Verdict::LogLostItsTail
            } else {
                Verdict::LogAltered
            };
            self.findings.push(
                Finding::new(
                    verdict,
                    "another log tells the outcome of an intent that is not there",
                )
                .of_log(log, Some(index)),
            );
        }
    }

    /// What the storage says a log was, against what it is, and the other way round.
    fn join_registry(&mut self) {
        let Some(store) = self.store() else { return };
        if !self.late && self.stored.is_empty() {
            return;
        }
        let findings = self.registry.judge(store, &self.logs, self.snapshot());
        for finding in findings {
            if finding.verdict.accuses()
                && let Some(state) = finding.log.and_then(|log| self.logs.get_mut(&log))
            {
                state.is_bad = true;
            }
            self.findings.push(finding);
        }
    }

    /// Logs that nobody ended or settled.
    fn report_gaps(&mut self) {
        let mut gaps = Vec::new();
        for (log, state) in &self.logs {
            let is_settled = self.closed.iter().any(|closed| closed.log == *log);
            let is_told = is_settled || self.pruned(*log).is_some();
            if !state.is_ended && !is_told && !state.is_bad && !state.is_live {
                gaps.push(
                    Finding::new(Verdict::Gap, "its writer did not end it, and nobody settled it")
                        .of_log(*log, Some(state.tree.size())),
                );
            }
        }
        self.findings.append(&mut gaps);
    }

    /// Whether lines of this log may be missing without anybody's fault: its writer did not end
    /// it, or it is kept elsewhere.
    fn may_lack_lines(&self, log: LogId) -> bool {
        match (self.logs.get(&log), self.pruned(log)) {
            (Some(state), _) => !state.is_ended && !state.is_live,
            (None, Some(part)) => part.rest != Rest::Ended,
            (None, None) => true,
        }
    }

    fn any_may_lack_lines(&self) -> bool {
        self.logs.is_empty()
            || self.pruned_may_lack_lines()
            || self.logs.keys().any(|log| self.may_lack_lines(*log))
            || self.histories.prev_logs().any(|log| self.may_lack_lines(log))
    }

    /// Two histories of one key, told by the logs alone.
    fn judge_histories(&mut self) {
        for (key, fork) in self.histories.forks() {
            self.findings.push(
                Finding::new(Verdict::Forked, fork.detail)
                    .of_key(key.clone())
                    .of_path(self.histories.name_of(key))
                    .of_log(fork.at.log, Some(fork.at.index))
                    .at_seq(fork.seq)
                    .digests(fork.expected, Some(fork.found)),
            );
        }
    }

    fn judge_stored(&mut self) {
        let any_gap = self.any_may_lack_lines();
        let mut findings = Vec::new();
        let mut current = 0;
        for (key, stored) in &self.stored {
            let gap = stored.log.map_or(any_gap, |log| self.may_lack_lines(log));
            match self.histories.judge(key, stored.digest, gap) {
                None => current += 1,
                // Where a batch is one operation, a write may land after its namespace was ended.
                // Nobody can read it, and the end itself is judged by the namespace record.
                Some(_) if self.histories.is_erased(key) => {}
                Some(finding) => {
                    let path = self.histories.name_of(key);
                    findings.push(finding.of_key(key.clone()).of_path(path));
                }
            }
        }
        findings.sort_by(|a, b| a.key.cmp(&b.key));
        self.counts.current = current;
        self.findings.append(&mut findings);
    }

    fn judge_absent(&mut self) {
        let mut findings = Vec::new();
        for (key, done) in self.histories.last_done() {
            if !self.stored.contains_key(key) && !self.histories.is_erased(key) {
                findings.push(
                    Finding::new(Verdict::Dropped, "it was written, and is not stored")
                        .of_key(key.clone())
                        .of_path(self.histories.name_of(key))
                        .of_log(done.receipt.log, Some(done.receipt.index))
                        .at_seq(done.seq)
                        .digests(Some(done.next), None),
                );
            }
        }
        findings.sort_by(|a, b| a.key.cmp(&b.key));
        self.findings.append(&mut findings);
    }
}

fn kind_at(state: &LogState, index: u64) -> Option<Kind> {
    let place = index.checked_sub(state.known)?;
    state.kinds.get(usize::try_from(place).ok()?)
}

/// The time of a line that is a record.
pub(crate) fn record_time(line: &Line<'_>) -> Option<Timestamp> {
    match line {
        Line::Decision(line) => Some(line.at),
        Line::Intent(line) => Some(line.at),
        Line::Outcome(line) => Some(line.at),
        Line::Closed(line) => Some(line.at),
        Line::Cited(line) => Some(line.at),
        Line::Open(_)
        | Line::Segment(_)
        | Line::Carried(_)
        | Line::Name(_)
        | Line::Snapshot(_)
        | Line::Checkpoint(_)
        | Line::Close(_) => None,
    }
}

fn signs(state: &LogState, checkpoint: &CheckpointLine) -> bool {
    let Some(open) = &state.open else { return false };
    let origin = origin(open.store, open.log);
    let text = checkpoint_text(&origin, checkpoint.head());
    checkpoint.size == state.tree.size()
        && checkpoint.root == state.tree.root()
        && verifies(&open.log_key, text.as_bytes(), &checkpoint.signature)
}

fn ends(state: &LogState, close: &CloseLine) -> bool {
    let Some(open) = &state.open else { return false };
    let origin = origin(open.store, open.log);
    let message = close_message(&origin, close.at, close.head(), close.registered);
    close.size == state.tree.size()
        && close.root == state.tree.root()
        && verifies(&open.log_key, &message, &close.signature)
}
