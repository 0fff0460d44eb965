//! Snapshots: what the logs tell of parts of them that were removed.

use std::collections::BTreeMap;

use strongroom_core::{LogId, Receipt, TreeHead};

use super::history::Histories;
use super::{LogState, Verifier};
use crate::line::{PrunedLine, Rest, SnapshotLine};
use crate::report::{Finding, Verdict};

/// How many lines of each log a snapshot tells again.
pub(crate) type Coverage = BTreeMap<LogId, u64>;

/// A snapshot, whole or not yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) number: u64,
    lines: u64,
    pub(crate) parts: BTreeMap<LogId, PrunedLine>,
    pub(crate) histories: Histories,
    /// A write in it replaced a record of a log that is kept elsewhere.
    pub(crate) elsewhere: bool,
    /// A line of it was perhaps written after the storage was read, and so perhaps what it tells.
    late: bool,
    /// Its last line.
    end: Option<Receipt>,
}

impl Snapshot {
    /// How many lines of each log it tells again.
    pub(crate) fn coverage(&self) -> Coverage {
        self.parts.iter().map(|(log, part)| (*log, part.size)).collect()
    }

    /// A log of which it tells all.
    pub(super) fn whole(&self, log: LogId) -> Option<&PrunedLine> {
        self.parts.get(&log).filter(|part| part.rest.is_nothing())
    }

    /// Whether lines may be missing of a log that it tells of, or of one that it does not know.
    fn may_lack_lines(&self) -> bool {
        self.elsewhere || self.parts.values().any(|part| part.rest == Rest::Settled)
    }
}

/// Where a log is with the snapshots that it tells.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// The one that is being told.
    begun: Option<Box<Snapshot>>,
    /// One that is whole. The next line that signs the lines before makes it count.
    unsigned: Option<Box<Snapshot>>,
}

impl Snapshots {
    /// Takes a line. `is_late`: it was perhaps written after the storage was read. `is_rest`: lines
    /// are missing in front, so that it may be the rest of a snapshot that began there.
    pub(super) fn take(
        &mut self,
        at: Receipt,
        line: &SnapshotLine,
        is_late: bool,
        is_rest: bool,
    ) -> Result<(), &'static str> {
        if let SnapshotLine::Begin(line) = line {
            let begun = Snapshot { number: line.number, ..Snapshot::default() };
            self.begun = Some(Box::new(begun));
            return Ok(());
        }
        let Some(begun) = &mut self.begun else {
            return if is_rest { Ok(()) } else { Err("it belongs to no snapshot") };
        };
        begun.late |= is_late;
        match line {
            SnapshotLine::End(line) => {
                let mut whole = self.begun.take().unwrap_or_default();
                if (line.number, line.lines) != (whole.number, whole.lines) {
                    return Err("lines of its snapshot are missing");
                }
                whole.elsewhere = line.elsewhere;
                whole.end = Some(at);
                self.unsigned = Some(whole);
                return Ok(());
            }
            SnapshotLine::Pruned(part) => {
                begun.parts.insert(part.log, *part);
            }
            line => begun.histories.keep(at, line),
        }
        begun.lines += 1;
        Ok(())
    }

    /// The lines before were signed.
    pub(super) fn sign(&mut self) -> Option<Box<Snapshot>> {
        self.unsigned.take()
    }
}

/// Lines that are missing in front of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) number: u64,
}

impl Missing {
    /// What is said of it where nothing explains it.
    pub(super) fn finding(self, log: LogId) -> Finding {
        let Self { from, to, number } = self;
        let detail = format!("{} lines are missing in front of its segment {number}", to - from);
        Finding::new(Verdict::LogLostItsTail, detail).of_log(log, Some(from))
    }
}

/// How a log stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// All its lines.
    pub(crate) head: TreeHead,
    /// The size that it says the storage had registered.
    pub(crate) registered: u64,
    /// What is left of it without them.
    pub(crate) rest: Rest,
}

impl Verifier {
    /// Takes a snapshot that counts: the newest is all that is needed.
    pub(super) fn take_snapshot(&mut self, snapshot: Box<Snapshot>) {
        if let Some(end) = snapshot.end {
            for log in snapshot.parts.values().filter(|it| it.rest.is_nothing()).map(|it| it.log) {
                let first = self.pruned_first.entry(log).or_insert((snapshot.number, end));
                *first = (snapshot.number, end).min(*first);
            }
        }
        if self.snapshot.as_ref().is_none_or(|known| known.number < snapshot.number) {
            self.snapshot = Some(snapshot);
        }
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_deref()
    }

    /// A verifier to feed everything to once more, from the first line of the first log. `None`: this
    /// one can [finish](Self::finish).
    ///
    /// What a snapshot tells is not to be told by the lines as well. That they are still here is seen
    /// when they were fed already: a process died as it removed them, or is just removing them. The
    /// verifier that comes out of this knows beforehand. Ask when all is fed.
    ///
    /// ```
    /// use strongroom_audit::Verifier;
    /// assert!(Verifier::new(None).anew().is_none());
    /// ```
    #[must_use]
    pub fn anew(&self) -> Option<Self> {
        let coverage = self.snapshot().map(Snapshot::coverage).unwrap_or_default();
        let is_late = self.snapshot().is_some_and(|snapshot| snapshot.late);
        let was_fed = |(log, size): (&LogId, &u64)| {
            self.logs.get(log).and_then(|state| state.first_told).is_some_and(|first| first < *size)
        };
        let was_left_out =
            |(log, size): (&LogId, &u64)| coverage.get(log).is_none_or(|told| told < size);
        let is_wrong =
            is_late || coverage.iter().any(was_fed) || self.covers.iter().any(was_left_out);
        is_wrong.then(|| Self { covers: coverage, ..Self::new(self.expected) })
    }

    /// How many lines a log had that was pruned, all of it, as the newest snapshot tells that was fed.
    ///
    /// ```
    /// use strongroom_audit::Verifier;
    /// use strongroom_core::LogId;
    /// assert_eq!(Verifier::new(None).pruned_lines(LogId::from_bytes([1; 8])), None);
    /// ```
    #[must_use]
    pub fn pruned_lines(&self, log: LogId) -> Option<u64> {
        self.pruned(log).map(|part| part.size)
    }

    /// The last line of the first snapshot that was fed and tells that a log was pruned, all of it. A
    /// storage that does not know of that line is from before.
    ///
    /// ```
    /// use strongroom_audit::Verifier;
    /// use strongroom_core::LogId;
    /// assert_eq!(Verifier::new(None).pruned_by(LogId::from_bytes([1; 8])), None);
    /// ```
    #[must_use]
    pub fn pruned_by(&self, log: LogId) -> Option<Receipt> {
        self.pruned_first.get(&log).map(|(_, end)| *end)
    }

    /// A verifier that knows beforehand what this one did.
    pub(crate) fn again(&self) -> Self {
        Self { covers: self.covers.clone(), ..Self::new(self.expected) }
    }

    /// Holds what is missing of the logs, and what is left of them, against the snapshot; and takes
    /// what that tells.
    pub(super) fn join_snapshot(&mut self) {
        let mut snapshot = self.snapshot.take().unwrap_or_default();
        // What is missing explains what is found behind it, and so is said first.
        let mut later = std::mem::take(&mut self.findings);
        for (log, state) in &mut self.logs {
            let part = snapshot.parts.get(log);
            let unexplained = state
                .missing
                .iter()
                .filter(|missing| part.is_none_or(|part| part.size < missing.to))
                .map(|missing| missing.finding(*log));
            let mut findings: Vec<Finding> = unexplained.collect();
            if let Some(part) = part {
                state.registered = state.registered.max(part.registered);
                findings.extend(misfit(state, part));
            }
            state.is_bad |= !findings.is_empty();
            self.findings.append(&mut findings);
        }
        for (log, part) in &snapshot.parts {
            let is_here = part.rest.is_nothing() || self.logs.contains_key(log);
            if !is_here && !self.registry.is_lost(self.store(), *log) {
                let detail = "its first lines were pruned, and the others are not there";
                self.findings.push(
                    Finding::new(Verdict::LogLostItsTail, detail).of_log(*log, Some(part.size)),
                );
            }
        }
        self.findings.append(&mut later);
        self.histories.absorb(std::mem::take(&mut snapshot.histories));
        self.snapshot = Some(snapshot);
    }

    /// Takes the lines in front of all that was fed of a log for pruned, whether they were or not.
    pub(crate) fn forget_front(&mut self, log: LogId) {
        if let Some(state) = self.logs.get_mut(&log) {
            state.missing.retain(|missing| missing.from > 0);
        }
    }

    /// How a log stands, as far as it was fed.
    pub(crate) fn standing(&self, log: LogId) -> Option<Standing> {
        let state = self.logs.get(&log)?;
        let head = state.tree.head();
        let is_settled = |closed: &&super::Closed| {
            (closed.log, closed.size, closed.root) == (log, head.size, head.root)
        };
        let rest = match self.closed.iter().find(is_settled) {
            _ if state.is_ended => Rest::Ended,
            Some(_) => Rest::Settled,
            None => Rest::Open,
        };
        Some(Standing { head, registered: state.registered, rest })
    }

    /// A log that is gone, all of it told by the snapshot.
    pub(super) fn pruned(&self, log: LogId) -> Option<&PrunedLine> {
        self.snapshot().and_then(|snapshot| snapshot.whole(log))
    }

    /// Whether lines that are pruned may have lacked others.
    pub(super) fn pruned_may_lack_lines(&self) -> bool {
        self.snapshot().is_some_and(Snapshot::may_lack_lines)
    }
}

/// What is wrong with what is left of a log.
fn misfit(state: &LogState, part: &PrunedLine) -> Option<Finding> {
    let size = state.tree.size();
    let (verdict, detail) = if size < part.size {
        // Files of a log that is gone may go in any order.
        if part.rest.is_nothing() {
            return None;
        }
        (Verdict::LogLostItsTail, format!("{} lines of it were pruned, and others left", part.size))
    } else if part.size < state.known || state.root_at(part.size) == Some(part.root) {
        return None;
    } else {
        let detail = format!("its first {} lines are not those that were pruned", part.size);
        (Verdict::LogAltered, detail)
    };
    Some(
        Finding::new(verdict, detail)
            .of_log(part.log, Some(size.min(part.size)))
            .digests(Some(part.root), state.root_at(part.size)),
    )
}
