//! What may be removed of logs, and what a snapshot tells of it beforehand.
//!
//! Whole segments go, the oldest of a log first: so what is left of a log begins with the head of a
//! segment, which signs all before it. Nothing goes that tells of a log that stays, so that a
//! snapshot needs to tell of writes alone.

mod dir;

use std::collections::{BTreeMap, BTreeSet};

use strongroom_core::{
    AuditError, LogId, PruneRules, Pruned, PrunedPart, Receipt, StoreId, Timestamp, TreeHead,
};

pub(crate) use self::dir::{plan, remove};
use crate::line::{Line, PrunedLine, Rest, SnapshotBegin, SnapshotEnd, SnapshotLine};
use crate::read::read_line;
use crate::report::{Finding, Verdict};
use crate::tree::MerkleTree;
use crate::verify::{Histories, Snapshot, Standing, Told, Verifier};

/// How often the logs are read anew, since others write them meanwhile.
const ATTEMPTS: usize = 4;

/// What may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) store: StoreId,
    /// The log that is written, and will have the snapshot.
    pub(crate) own: LogId,
    pub(crate) of: &'a PruneRules<'a>,
}

impl Rules<'_> {
    /// Whether somebody has accepted what was found already.
    fn is_accepted(&self, finding: &Finding) -> bool {
        matches!(finding.verdict, Verdict::LogLostItsTail | Verdict::LogAltered)
            && finding.log.is_some_and(|log| self.of.lost.contains(&log))
    }
}

/// What is to be pruned.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The snapshot to write first; none where the newest one tells all.
    pub(crate) lines: Vec<SnapshotLine>,
    pub(crate) pruned: Pruned,
}

/// Logs that are to be pruned, for sinks that keep the lines of this crate elsewhere than in a
/// directory. [`LineWriter::prune`](crate::LineWriter::prune) has an example.
pub trait PrunableLogs {
    /// All logs, each with the numbers of the segments that are there, the oldest first. A segment is
    /// what can be removed alone: it begins with a first line of its own.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn segments(&self) -> Result<Vec<(LogId, Vec<u64>)>, AuditError>;

    /// Tells each line of a segment, without line ends. Of the last one of a log lines may be missing.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(
        &self,
        log: LogId,
        segment: u64,
        is_last: bool,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<SegmentEnd, AuditError>;

    /// Whether somebody writes to a log, of which this is the last segment.
    ///
    /// # Errors
    /// Where that cannot be told.
    fn is_written(&self, log: LogId, segment: u64) -> Result<bool, AuditError>;
}

/// How a segment ends that was read for [`PrunableLogs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentEnd {
    /// With a whole line.
    Whole,
    /// With a line that is not whole.
    Torn,
    /// It is gone: somebody has removed it since it was listed.
    Gone,
}

/// Reads all logs, and finds what may go.
///
/// # Errors
/// `Suspect` where something is wrong with the logs; where they cannot be read.
pub(crate) fn plan_of(
    source: &dyn PrunableLogs,
    rules: &Rules<'_>,
    at: Timestamp,
) -> Result<Plan, AuditError> {
    let Survey { logs, snapshot } = Survey::take(source, rules)?;
    let old = snapshot.unwrap_or_default();
    let mut parts = old.parts.clone();
    let mut histories = old.histories;
    let mut is_more = false;
    for (log, count) in choose(&logs, rules) {
        let Some(seen) = logs.get(&log) else { continue };
        let segments = seen.segments.get(..count).unwrap_or_default();
        let Some(last) = segments.last() else { continue };
        let Standing { head: TreeHead { size, root }, registered, rest } = last.standing;
        let rest = match rest {
            _ if count < seen.segments.len() => Rest::Open,
            // Lines of it are gone, and no more will come.
            Rest::Open => Rest::Settled,
            rest => rest,
        };
        let known = parts.get(&log).map_or(0, |part| part.size);
        if size <= known {
            continue;
        }
        read_part(source, log, segments, known, TreeHead { size, root }, &mut histories)?;
        parts.insert(log, PrunedLine { log, size, root, registered, rest });
        is_more = true;
    }
    let is_elsewhere = |log: &LogId| !logs.contains_key(log) && !parts.contains_key(log);
    let elsewhere = old.elsewhere || histories.prev_logs().any(|log| is_elsewhere(&log));
    let lines = match is_more {
        true => tell(old.number.saturating_add(1), at, &parts, &histories, elsewhere)?,
        false => Vec::new(),
    };
    let is_left = |part: &&PrunedLine| {
        let segments = logs.get(&part.log).map(|seen| seen.segments.as_slice()).unwrap_or_default();
        segments.iter().any(|segment| segment.standing.head.size <= part.size)
    };
    let (left, removed): (Vec<&PrunedLine>, Vec<_>) = parts.values().partition(is_left);
    let is_gone = |part: &&PrunedLine| part.rest.is_nothing() && !logs.contains_key(&part.log);
    let gone = removed.into_iter().filter(is_gone).map(|part| part.log).collect();
    let part = |part: &PrunedLine| PrunedPart {
        log: part.log,
        size: part.size,
        is_whole: part.rest.is_nothing(),
    };
    let parts = left.into_iter().map(part).collect();
    Ok(Plan { pruned: Pruned { parts, gone, lines: lines.len() as u64 }, lines })
}

fn tell(
    number: u64,
    at: Timestamp,
    parts: &BTreeMap<LogId, PrunedLine>,
    histories: &Histories,
    elsewhere: bool,
) -> Result<Vec<SnapshotLine>, AuditError> {
    let mut lines = vec![SnapshotLine::Begin(SnapshotBegin { at, number })];
    lines.extend(parts.values().copied().map(SnapshotLine::Pruned));
    histories
        .tell_again(&mut |line| lines.push(line))
        .map_err(|key| suspect(format!("record {key} has two histories")))?;
    let between = lines.len() as u64 - 1;
    lines.push(SnapshotLine::End(SnapshotEnd { number, lines: between, elsewhere }));
    Ok(lines)
}

fn suspect(detail: String) -> AuditError {
    AuditError::Suspect { detail: detail.into() }
}

/// All logs.
struct Survey {
    logs: BTreeMap<LogId, Seen>,
    snapshot: Option<Snapshot>,
}

/// A log that was read.
#[derive(Default)]
struct Seen {
    segments: Vec<SeenSegment>,
    /// A loss of it was accepted, and somebody writes it all the same.
    is_locked: bool,
}

struct SeenSegment {
    number: u64,
    /// How the log stands with its last line.
    standing: Standing,
    /// The time of its newest line, or of those before it.
    newest: Timestamp,
    /// Other logs that it tells of.
    tells: BTreeSet<LogId>,
}

impl Survey {
    fn take(source: &dyn PrunableLogs, rules: &Rules<'_>) -> Result<Self, AuditError> {
        let store = rules.store;
        let mut verifier = Verifier::new(Some(store));
        let mut lacked = Vec::new();
        for _ in 0..ATTEMPTS {
            let logs = survey(source, rules, &mut verifier)?;
            if let Some(anew) = verifier.anew() {
                verifier = anew;
                continue;
            }
            // One that was still written as it was read was settled by one that was read later. What is
            // lacking the second time is missing.
            let mut behind = verifier.behind();
            behind.sort_unstable();
            if behind != lacked {
                lacked = behind;
                verifier = verifier.again();
                continue;
            }
            let snapshot = verifier.snapshot().cloned();
            let report = verifier.finish();
            return match report.accusations().find(|finding| !rules.is_accepted(finding)) {
                None => Ok(Self { logs, snapshot }),
                Some(finding) => Err(suspect(finding.to_string())),
            };
        }
        Err(AuditError::unavailable("its logs change while they are read: prune them later"))
    }
}

fn survey(
    source: &dyn PrunableLogs,
    rules: &Rules<'_>,
    verifier: &mut Verifier,
) -> Result<BTreeMap<LogId, Seen>, AuditError> {
    let mut seen = BTreeMap::new();
    for (log, numbers) in source.segments()? {
        let mut segments: Vec<SeenSegment> = Vec::new();
        let (mut has_torn_end, mut is_locked) = (false, false);
        for (at, number) in numbers.iter().copied().enumerate() {
            let is_last = at + 1 == numbers.len();
            let mut newest = segments.last().map(|segment| segment.newest).unwrap_or_default();
            let mut tells = BTreeSet::new();
            let end = source.read(log, number, is_last, &mut |line| {
                verifier.line(log, line);
                if let Ok(line) = read_line(line) {
                    newest = newest.max(time_of(&line).unwrap_or_default());
                    tells.extend(told_of(&line).filter(|told| *told != log));
                }
            })?;
            if end == SegmentEnd::Gone {
                continue;
            }
            has_torn_end = end == SegmentEnd::Torn;
            is_locked = rules.of.lost.contains(&log) && source.is_written(log, number)?;
            if let Some(standing) = verifier.standing(log) {
                segments.push(SeenSegment { number, standing, newest, tells });
            }
        }
        if !segments.is_empty() {
            verifier.end_of_log(log, has_torn_end);
            seen.insert(log, Seen { segments, is_locked });
        }
    }
    // That it was settled is told by a log that is read before or after it.
    for (log, seen) in &mut seen {
        if let Some((last, standing)) = seen.segments.last_mut().zip(verifier.standing(*log)) {
            last.standing = standing;
        }
    }
    Ok(seen)
}

/// When a line was written.
fn time_of(line: &Line<'_>) -> Option<Timestamp> {
    Some(match line {
        Line::Open(line) => line.at,
        Line::Segment(line) => line.log.at,
        Line::Decision(line) => line.at,
        Line::Intent(line) => line.at,
        Line::Outcome(line) => line.at,
        Line::Closed(line) => line.at,
        Line::Cited(line) => line.at,
        Line::Checkpoint(line) => line.at,
        Line::Close(line) => line.at,
        Line::Snapshot(SnapshotLine::Begin(line)) => line.at,
        Line::Snapshot(_) | Line::Carried(_) | Line::Name(_) => return None,
    })
}

/// The log that a line tells of.
fn told_of(line: &Line<'_>) -> impl Iterator<Item = LogId> + use<> {
    let log = match line {
        Line::Outcome(line) => Some(line.log),
        Line::Closed(line) => Some(line.log),
        _ => None,
    };
    log.into_iter()
}

/// How many of the first segments of each log may go.
fn choose(logs: &BTreeMap<LogId, Seen>, rules: &Rules<'_>) -> BTreeMap<LogId, usize> {
    let mut counts: BTreeMap<LogId, usize> = BTreeMap::new();
    for (log, seen) in logs {
        let is_over = seen.segments.last().is_some_and(|last| last.standing.rest.is_nothing());
        let is_over = is_over && !rules.of.open.contains(log) || rules.of.lost.contains(log);
        let may_go = *log != rules.own && is_over && !seen.is_locked;
        let most = seen.segments.len() - usize::from(!may_go);
        let old = seen.segments.iter().take_while(|segment| segment.newest < rules.of.before);
        counts.insert(*log, old.count().min(most));
    }
    // What stays may be told of by others, which then stay as well.
    loop {
        let stays = |log: &LogId| {
            let all = logs.get(log).map_or(0, |seen| seen.segments.len());
            counts.get(log).is_some_and(|count| *count < all)
        };
        let mut less = BTreeMap::new();
        for (log, seen) in logs {
            let count = counts.get(log).copied().unwrap_or_default();
            let fit = seen.segments.iter().take_while(|it| !it.tells.iter().any(stays)).count();
            if fit < count {
                less.insert(*log, fit);
            }
        }
        if less.is_empty() {
            return counts;
        }
        counts.append(&mut less);
    }
}

/// Takes what the lines of a part tell, but for the first ones, which are known.
fn read_part(
    source: &dyn PrunableLogs,
    log: LogId,
    segments: &[SeenSegment],
    known: u64,
    expected: TreeHead,
    histories: &mut Histories,
) -> Result<(), AuditError> {
    let mut tree = MerkleTree::new();
    for segment in segments {
        let is_last = segment.standing.rest.is_nothing();
        source.read(log, segment.number, is_last, &mut |bytes| {
            let line = read_line(bytes);
            if let Ok(Line::Segment(segment)) = &line
                && segment.size > tree.size()
            {
                tree = segment.tree().unwrap_or_default();
            }
            let index = tree.size();
            tree.push(bytes);
            // What cannot be read is in a log of which a loss was accepted.
            let Some(line) = line.ok().filter(|_| index >= known) else { return };
            match &line {
                Line::Intent(line) => histories.intent(Receipt { log, index }, line, false),
                Line::Outcome(line) => {
                    let intent = Receipt { log: line.log, index: line.intent };
                    histories.tell(intent, Told { outcome: line.outcome, late: false });
                }
                _ => {}
            }
        })?;
    }
    if tree.head() == expected {
        Ok(())
    } else {
        Err(AuditError::unavailable("its logs change while they are read: prune them later"))
    }
}
