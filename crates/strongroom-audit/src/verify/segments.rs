//! Segments of a log: each must go on where the one before it ended.

use std::collections::HashMap;

use strongroom_core::{Key, LogId, Outcome, RecordKind, StoreId, WriteId};

use super::snapshot::Missing;
use super::{LogState, Verifier};
use crate::carried::Carried;
use crate::certificate::is_certified;
use crate::checkpoint::{Signed, signs_segment};
use crate::line::{CarriedLine, IntentLine, Line, OpenLine, SegmentLine, TargetLine};

/// Where in its segments a log is.
#[derive(Debug, Default)]
pub(super) struct Segments {
    number: u64,
    carried: Carried,
    /// The intents that have no outcome yet. What its own writer calls `unknown` stays open.
    open: HashMap<u64, Write>,
}

#[derive(Debug, PartialEq, Eq)]
struct Write {
    kind: RecordKind,
    key: Key,
    seq: u64,
    write: WriteId,
    target: TargetLine,
}

impl Write {
    fn new(kind: RecordKind, key: &[u8], seq: u64, write: WriteId, target: TargetLine) -> Self {
        Self { kind, key: Key::new(key), seq, write, target }
    }
}

impl Segments {
    /// Whether the last segment has carried over what it should.
    pub(super) const fn is_whole(&self) -> bool {
        self.carried.is_whole()
    }

    /// Takes a line. Of what is carried over, that is held against the intent where it is known:
    /// lines below `known` are missing.
    pub(super) fn take(
        &mut self,
        log: LogId,
        index: u64,
        known: u64,
        line: &Line<'_>,
    ) -> Result<(), &'static str> {
        let order = self.carried.take(line);
        match line {
            Line::Intent(line) => {
                let IntentLine { kind, key, seq, write, target, .. } = line;
                self.open.insert(index, Write::new(*kind, key, *seq, *write, *target));
            }
            Line::Outcome(line) if line.log == log && line.outcome != Outcome::Unknown => {
                self.open.remove(&line.intent);
            }
            Line::Carried(line) => {
                let CarriedLine { kind, key, seq, write, target, .. } = line;
                let write = Write::new(*kind, key, *seq, *write, *target);
                match self.open.get(&line.intent) {
                    Some(told) if *told == write => {}
                    None if line.intent < known => {
                        self.open.insert(line.intent, write);
                    }
                    _ => return Err("it is no write that was open before its segment"),
                }
            }
            _ => {}
        }
        order
    }
}

impl Verifier {
    /// Goes on behind lines that are missing in front of a segment.
    pub(super) fn skip_to(&mut self, log: LogId, segment: &SegmentLine) {
        let state = self.logs.entry(log).or_default();
        let missing = state.skip_to(log, segment, self.expected);
        state.missing.extend(missing);
    }
}

impl LogState {
    /// The lines that are missing in front of a segment that proves itself. The log goes on behind
    /// them.
    fn skip_to(
        &mut self,
        log: LogId,
        segment: &SegmentLine,
        expected: Option<StoreId>,
    ) -> Option<Missing> {
        let is_it = segment.log.log == log
            && expected.is_none_or(|store| store == segment.log.store)
            && self.open.as_ref().is_none_or(|open| is_same(open, &segment.log))
            && is_certified(&segment.log)
            && signs_segment(segment);
        let tree = segment.tree().filter(|tree| is_it && tree.size() > self.tree.size())?;
        let (from, to, number) = (self.tree.size(), tree.size(), segment.number);
        self.tree = tree;
        self.kinds.clear();
        self.known = segment.size;
        self.records_end = segment.size;
        self.signed = Signed { size: segment.size, at: segment.log.at };
        self.segments.number = segment.number.saturating_sub(1);
        self.open.get_or_insert_with(|| segment.log.clone());
        self.is_certified = true;
        Some(Missing { from, to, number })
    }

    /// Checks the first line of a segment against the lines before it.
    pub(super) fn check_segment(&mut self, segment: &SegmentLine) -> Result<(), &'static str> {
        let goes_on = self.tree.size() > 0
            && self.open.as_ref().is_some_and(|open| is_same(open, &segment.log));
        let number = self.segments.number.saturating_add(1);
        self.segments.number = number;
        if !goes_on {
            Err("it is a segment of another log")
        } else if segment.tree().as_ref() != Some(&self.tree) || !signs_segment(segment) {
            Err("the lines before it are not those that its writer signed")
        } else if segment.number != number {
            Err("it is another segment than comes next")
        } else if self.known == 0 && segment.carried != self.segments.open.len() as u64 {
            Err("it carries over other writes than are open")
        } else {
            Ok(())
        }
    }
}

/// Whether two first lines are of one log, whatever their times.
fn is_same(one: &OpenLine, other: &OpenLine) -> bool {
    OpenLine { at: other.at, ..one.clone() } == *other
}
