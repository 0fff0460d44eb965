//! Prunes the logs in memory as a directory of files is pruned: a segment is a file.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_audit::{Line, PrunableLogs, SegmentEnd, read_line};
use strongroom_core::{AuditError, LogId, PruneRules, Pruned, PrunedPart, Receipt};

use super::{Fate, Logs, MemorySink};

/// How the first line of a segment begins, but for that of a log.
const SEGMENT: &[u8] = br#"{"t":"segment","#;

/// The lines of each segment, and the logs that somebody writes.
struct View<'a> {
    segments: BTreeMap<LogId, BTreeMap<u64, Vec<&'a [u8]>>>,
    written: BTreeSet<LogId>,
}

impl<'a> View<'a> {
    fn of(logs: &'a Logs) -> Self {
        let mut segments: BTreeMap<LogId, BTreeMap<u64, Vec<&[u8]>>> = BTreeMap::new();
        for (at, line) in &logs.lines {
            let log = segments.entry(at.log).or_default();
            let number = match number_of(line) {
                Some(number) => number,
                None => log.last_key_value().map_or(0, |(number, _)| *number),
            };
            log.entry(number).or_default().push(line);
        }
        let is_held = |(log, fate): (&LogId, &Fate)| (*fate == Fate::Held).then_some(*log);
        Self { segments, written: logs.fates.iter().filter_map(is_held).collect() }
    }
}

/// The number of the segment that a line begins.
fn number_of(line: &[u8]) -> Option<u64> {
    match line.starts_with(SEGMENT).then(|| read_line(line)) {
        Some(Ok(Line::Segment(segment))) => Some(segment.number),
        _ => None,
    }
}

impl PrunableLogs for View<'_> {
    fn segments(&self) -> Result<Vec<(LogId, Vec<u64>)>, AuditError> {
        let logs = self.segments.iter();
        Ok(logs.map(|(log, segments)| (*log, segments.keys().copied().collect())).collect())
    }

    fn read(
        &self,
        log: LogId,
        segment: u64,
        _is_last: bool,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<SegmentEnd, AuditError> {
        let Some(lines) = self.segments.get(&log).and_then(|log| log.get(&segment)) else {
            return Ok(SegmentEnd::Gone);
        };
        lines.iter().for_each(|bytes| line(bytes));
        Ok(SegmentEnd::Whole)
    }

    fn is_written(&self, log: LogId, _segment: u64) -> Result<bool, AuditError> {
        Ok(self.written.contains(&log))
    }
}

impl MemorySink {
    /// Finds what may go, and writes what a snapshot tells of it.
    pub(super) fn snapshot(
        &self,
        own_log: LogId,
        rules: &PruneRules<'_>,
    ) -> Result<Pruned, AuditError> {
        let (mut own, mut logs) = (self.own(), self.logs());
        own.size_of(own_log).ok_or(AuditError::Closed)?;
        if own.failures == 0 {
            own.begin_segment_if_due(&mut logs)?;
        }
        let writer = own.writer.as_mut().ok_or(AuditError::Closed)?;
        let first = writer.size();
        let pruned = writer.prune(&View::of(&logs), rules)?;
        if own.failures > 0 && pruned.lines > 0 {
            own.failures -= 1;
            if let Some(writer) = &mut own.writer {
                writer.rollback();
            }
            return Err(AuditError::Full);
        }
        own.flush(first, &mut logs);
        own.sync(&mut logs);
        Ok(pruned)
    }
}

impl Logs {
    /// Removes the first segment of a part that is left. Its bytes; `None` where all of it is gone.
    pub(super) fn remove_first(&mut self, part: &PrunedPart) -> Option<u64> {
        let mut of_log = self.lines.iter().filter(|(at, _)| at.log == part.log);
        let first = of_log.next()?.0.index;
        let next = of_log.find(|(_, line)| line.starts_with(SEGMENT)).map(|(at, _)| at.index);
        // What is left of a log that goes on is one segment at least.
        if !part.is_whole && next.is_none_or(|next| next > part.size) {
            return None;
        }
        let is_first = |(at, _): &(Receipt, Vec<u8>)| {
            at.log == part.log && at.index >= first && next.is_none_or(|next| at.index < next)
        };
        let (gone, left) = std::mem::take(&mut self.lines).into_iter().partition(is_first);
        self.lines = left;
        let gone: Vec<(Receipt, Vec<u8>)> = gone;
        let bytes = gone.iter().map(|(_, line)| line.len() as u64 + 1).sum();
        self.pruned.extend(gone);
        if next.is_none() {
            self.fates.remove(&part.log);
            self.ends.remove(&part.log);
            self.synced.remove(&part.log);
        }
        Some(bytes)
    }
}
