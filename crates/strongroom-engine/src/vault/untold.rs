//! What disagrees because it was pruned, told apart from what was set back.

use strongroom_audit::{RegistryRecord, Verifier};
use strongroom_core::{AuditSink, LogId, Receipt, Storage, StoreId};

use super::registry::stored_entry;
use super::verify::feed;
use crate::error::{Error, Tampered};

/// Those of the logs that are not what was registered, or of which too little is, of which no snapshot
/// tells that they were pruned. The record of a log that was is erased, perhaps since the log was looked
/// at, and one that was on its way may land behind that: so rarely that all logs can be read over it.
pub(super) async fn untold(
    storage: &dyn Storage,
    sink: &dyn AuditSink,
    store: StoreId,
    misfits: Vec<Tampered>,
) -> Result<Vec<Tampered>, Error> {
    let Some(reader) = sink.reader().filter(|_| !misfits.is_empty()) else { return Ok(misfits) };
    let mut verifier = Verifier::new(Some(store));
    feed(reader, &mut verifier, &mut Vec::new()).await?;
    let mut untold = Vec::new();
    for misfit in misfits {
        let is_told = match misfit {
            Tampered::AuditLogRolledBack { log, size } => was_pruned(&verifier, log, size),
            // A storage that shows less than it did is not set back where it has what came after: the
            // log that tells why is registered before a record is erased.
            Tampered::StorageRolledBack { log, registered, .. } => {
                let by = verifier.pruned_by(log).filter(|_| was_pruned(&verifier, log, registered));
                match by {
                    Some(by) => knows_of(storage, store, by).await?,
                    None => false,
                }
            }
            _ => false,
        };
        if !is_told {
            untold.push(misfit);
        }
    }
    Ok(untold)
}

/// Whether all of a log was pruned, and so many lines.
fn was_pruned(verifier: &Verifier, log: LogId, lines: u64) -> bool {
    verifier.pruned_lines(log).is_some_and(|pruned| pruned >= lines)
}

/// Whether a line is among those that the storage has registered.
async fn knows_of(storage: &dyn Storage, store: StoreId, line: Receipt) -> Result<bool, Error> {
    let Some((key, entry)) = stored_entry(storage, line.log).await? else { return Ok(false) };
    let record = RegistryRecord::verify(store, &key, &entry.value);
    Ok(record.is_ok_and(|record| record.head.size > line.index))
}
