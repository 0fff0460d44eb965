//! What the own log says of the others.
//!
//! Who can write to storage and directory may cut a log back and set its registry record back with it:
//! the two agree then. The other logs of the store tell what it was, since each cites how far the
//! others have come: as it begins, and before it is registered itself.

use std::cmp::Reverse;

use strongroom_core::{Attached, AuditRecord, CitedRecord, Durability, LogId};

use super::Vault;
use super::registry::Registered;

/// A log that begins cites so many of those that ended, the last ones: so many logs cite the end of
/// each.
const ENDED: usize = 8;
/// And so many logs at a time: the others are cited the next time.
const MOST: usize = 64;

impl Vault {
    /// As the own log begins.
    pub(super) async fn cite_first(&self, registered: &Registered, attached: &Attached) {
        let mut ended: Vec<_> = attached
            .logs
            .iter()
            .filter_map(|known| Some((Reverse(known.ended?.at), known.log)))
            .collect();
        ended.sort_unstable();
        let old = ended.split_off(ended.len().min(ENDED)).into_iter().map(|(_, log)| log);
        let old: Vec<LogId> = old.collect();
        self.registry.leaves_uncited(registered.heads(self.store, &old));
        self.cite(registered).await;
    }

    /// Cites all that came since that was done last. Where it cannot be recorded now, the next time.
    pub(super) async fn cite(&self, registered: &Registered) {
        let at = self.clock.now();
        let mut due = registered.newer(self.store, |log| {
            if log == self.log { u64::MAX } else { self.registry.cited(log) }
        });
        // Who verifies has the logs of one directory.
        due.retain(|record| Some(record.directory) == self.registry.directory());
        due.truncate(MOST);
        let records: Vec<AuditRecord> = due
            .iter()
            .map(|record| {
                let (log, directory, head) = (record.log, record.directory, record.head);
                AuditRecord::Cited(CitedRecord { at, log, directory, head })
            })
            .collect();
        if !records.is_empty() && self.sink.append(&records, Durability::Held).await.is_ok() {
            self.registry.has_cited(due.iter().map(|record| (record.log, record.head.size)));
        }
    }
}
