//! Prunes the directory: writes the snapshot into the own log, and removes files.

use strongroom_core::{AuditError, Importance, LogId, PruneRules, Pruned, Removed};

use super::{FileLog, OpenLog};
use crate::cut;
use crate::line::SnapshotLine;
use crate::prune::{Plan, Rules, plan, remove};

/// So many lines of a snapshot are written at once; records may come between.
const LINES: usize = 256;

impl FileLog {
    /// Finds what may go, and writes what a snapshot tells of it.
    pub(super) async fn snapshot(
        &self,
        own: LogId,
        rules: &PruneRules<'_>,
    ) -> Result<Pruned, AuditError> {
        // INVARIANT: one at a time, so that each snapshot tells all that the one before it told.
        let handle = cut::hold_citations(&self.dir)?;
        self.flush()?;
        let of = |open: &mut OpenLog| Ok((open.writer.store(), open.writer.now()));
        let (store, now) = self.own(own)?.with(of)?.ok_or(AuditError::Closed)?;
        let Plan { lines, pruned } = plan(&self.dir, &Rules { store, own, of: rules }, now)?;
        if lines.is_empty() {
            return Ok(pruned);
        }
        for lines in lines.chunks(LINES) {
            self.own(own)?.with(|open| open.append_snapshot(lines))?;
        }
        let signed = self.own(own)?.with(|open| {
            open.checkpoint()?;
            Ok(open.reach(open.writer.size()))
        })?;
        signed.ok_or(AuditError::Closed)?.await?;
        drop(handle);
        Ok(pruned)
    }

    /// Removes what the snapshot tells of.
    pub(super) fn remove_pruned(&self, own: LogId, pruned: &Pruned) -> Result<Removed, AuditError> {
        // It is on the medium: who asks this was told so.
        drop(self.own(own)?);
        remove(&self.dir, own, pruned)
    }
}

impl OpenLog {
    fn append_snapshot(&mut self, lines: &[SnapshotLine]) -> Result<(), AuditError> {
        self.rotate_if_due()?;
        let _ = self.end_group();
        self.writer.append_snapshot(lines);
        // What takes access away goes first.
        if let Err(error) = self.admit(Some(Importance::Ordinary)).and_then(|()| self.flush()) {
            self.writer.rollback();
            return Err(error);
        }
        Ok(())
    }
}
