//! Writes snapshots of what is pruned.

use strongroom_core::StoreId;

use super::LineWriter;
use crate::line::{Line, SnapshotLine};

impl LineWriter {
    /// Appends lines of a snapshot. It is undone by [`rollback`](Self::rollback), as an `append` is.
    pub(crate) fn append_snapshot(&mut self, lines: &[SnapshotLine]) {
        self.mark();
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
