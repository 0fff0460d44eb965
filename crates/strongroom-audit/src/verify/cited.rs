//! What logs saw of one another, against what they are.
//!
//! A log that is cut back together with all that the storage has of it agrees with the storage. The
//! other logs of the store cite what it was.

use std::collections::BTreeMap;

use strongroom_core::{DirectoryId, LogId, Receipt};

use super::Verifier;
use crate::line::CitedLine;
use crate::report::{Finding, Verdict};

/// What a line says of another log.
#[derive(Debug)]
pub(super) struct Cited {
    pub(super) by: Receipt,
    pub(super) line: CitedLine,
}

impl Verifier {
    /// Holds what was cited against the logs: the largest of each that does not hold is found.
    pub(super) fn join_cited(&mut self) {
        let mut found: BTreeMap<LogId, (u64, Finding)> = BTreeMap::new();
        for cited in &self.cited {
            let line = &cited.line;
            if found.get(&line.log).is_some_and(|(size, _)| *size >= line.size) {
                continue;
            }
            if let Some(finding) = self.misfit(cited) {
                found.insert(line.log, (line.size, finding));
            }
        }
        for (log, (_, finding)) in found {
            if let Some(state) = self.logs.get_mut(&log) {
                state.is_bad = true;
            }
            self.findings.push(finding);
        }
    }

    /// The logs of which another one has cited more lines than were fed, under its signature, and how
    /// many at most, by log.
    ///
    /// ```
    /// use strongroom_audit::Verifier;
    /// assert!(Verifier::new(None).shorter_than_cited().is_empty());
    /// ```
    #[must_use]
    pub fn shorter_than_cited(&self) -> BTreeMap<LogId, u64> {
        let mut shorter = BTreeMap::new();
        for cited in &self.cited {
            let CitedLine { log, size, .. } = cited.line;
            let misfit = self.misfit(cited).filter(|_| self.is_signed(cited.by));
            if misfit.is_some_and(|finding| finding.verdict == Verdict::LogLostItsTail) {
                let most = shorter.entry(log).or_insert(size);
                *most = size.max(*most);
            }
        }
        shorter
    }

    /// Whether the writer of a log has signed that line.
    fn is_signed(&self, at: Receipt) -> bool {
        let state = self.logs.get(&at.log);
        state.is_some_and(|state| state.is_certified && at.index < state.signed.size)
    }

    /// What is wrong with a log that was cited.
    fn misfit(&self, cited: &Cited) -> Option<Finding> {
        let CitedLine { log, directory, size, root, .. } = cited.line;
        // What was pruned is held against the snapshot, and what was lost for good was accepted.
        let part = self.snapshot().and_then(|snapshot| snapshot.parts.get(&log));
        if part.is_some_and(|part| size <= part.size) || self.registry.is_lost(self.store(), log) {
            return None;
        }
        let state = self.logs.get(&log);
        if state.is_none() && !self.keeps(directory) {
            return None;
        }
        let lines = state.map_or(0, |state| state.tree.size());
        let found = state.and_then(|state| state.root_at(size));
        let (verdict, detail) = if lines < size {
            let detail = format!("it had {size} lines when {} cited it, and has {lines}", cited.by);
            (Verdict::LogLostItsTail, detail)
        } else if found != Some(root) && state.is_some_and(|state| size >= state.known) {
            let detail = format!("its first {size} lines are not those that {} cited", cited.by);
            (Verdict::LogAltered, detail)
        } else {
            return None;
        };
        Some(
            Finding::new(verdict, detail)
                .of_log(log, Some(lines.min(size)))
                .digests(Some(root), found),
        )
    }

    /// Whether that directory keeps one of the logs that are here.
    pub(super) fn keeps(&self, directory: DirectoryId) -> bool {
        let mut open = self.logs.values().filter_map(|state| state.open.as_ref());
        open.any(|open| open.directory == directory)
    }
}
