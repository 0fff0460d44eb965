//! Writes snapshots of what is pruned.

use strongroom_core::{AuditError, PruneRules, Pruned, StoreId};

use super::LineWriter;
use crate::line::{Line, SnapshotLine};
use crate::prune::{Plan, PrunableLogs, Rules, plan_of};

impl LineWriter {
    /// Finds what may be removed of these logs, of which this writer's is one, and appends what a
    /// snapshot tells of it, signed. It is undone by [`rollback`](Self::rollback), as an `append` is.
    /// One at a time may do so, and none before what another one appended is there.
    ///
    /// ```
    /// use strongroom_audit::{LineWriter, PrunableLogs, SegmentEnd};
    /// use strongroom_core::{AuditError, LogId, PruneRules, Timestamp};
    ///
    /// /// One log, in one piece.
    /// struct Memory(LogId, Vec<Vec<u8>>);
    ///
    /// impl PrunableLogs for Memory {
    ///     fn segments(&self) -> Result<Vec<(LogId, Vec<u64>)>, AuditError> {
    ///         Ok(vec![(self.0, vec![0])])
    ///     }
    ///     fn read(
    ///         &self,
    ///         _log: LogId,
    ///         _segment: u64,
    ///         _is_last: bool,
    ///         line: &mut dyn FnMut(&[u8]),
    ///     ) -> Result<SegmentEnd, AuditError> {
    ///         self.1.iter().for_each(|bytes| line(bytes));
    ///         Ok(SegmentEnd::Whole)
    ///     }
    ///     fn is_written(&self, _log: LogId, _segment: u64) -> Result<bool, AuditError> {
    ///         Ok(true)
    ///     }
    /// }
    ///
    /// /// The log that is written stays.
    /// fn prunes_nothing(writer: &mut LineWriter, logs: &Memory) -> Result<(), AuditError> {
    ///     let rules = PruneRules { before: Timestamp::default(), open: &[], lost: &[] };
    ///     assert_eq!(writer.prune(logs, &rules)?.lines, 0);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// `Suspect` where something is wrong with the logs; where they cannot be read.
    pub fn prune(
        &mut self,
        logs: &dyn PrunableLogs,
        rules: &PruneRules<'_>,
    ) -> Result<Pruned, AuditError> {
        let rules = Rules { store: self.store(), own: self.log(), of: rules };
        let Plan { lines, pruned } = plan_of(logs, &rules, self.now())?;
        self.mark();
        if !lines.is_empty() {
            self.push_snapshot(&lines);
            self.sign(self.now());
        }
        Ok(pruned)
    }

    /// Appends lines of a snapshot. It is undone by [`rollback`](Self::rollback), as an `append` is.
    pub(crate) fn append_snapshot(&mut self, lines: &[SnapshotLine]) {
        self.mark();
        self.push_snapshot(lines);
    }

    fn push_snapshot(&mut self, lines: &[SnapshotLine]) {
        for line in lines {
            let now = self.now();
            if self.signed.is_old(self.size(), now) {
                self.sign(now);
            }
            self.push(&Line::Snapshot(line.clone()));
        }
    }

    /// The store that the log belongs to.
    pub(crate) fn store(&self) -> StoreId {
        self.identity.store()
    }
}
