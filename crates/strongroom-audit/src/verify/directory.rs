//! Verifies a directory of logs from its files, without a store.

use std::fs::File;
use std::path::Path;

use strongroom_core::{AuditError, Key, StoreId};

use super::Verifier;
use crate::dead::Lines;
use crate::dir::logs;
use crate::medium::failed;
use crate::report::Report;

/// Verifies the logs of a directory against all that is stored, offline. Take both from one
/// backup, or from a store that nobody has open.
///
/// ```
/// use strongroom_audit::verify_dir;
///
/// let stored = []; // keys and values, as the storage lists them
/// assert!(!verify_dir("no/such/audit", None, stored)?.accuses());
/// # Ok::<(), strongroom_core::AuditError>(())
/// ```
///
/// # Errors
/// Where a file cannot be read. What a file holds is never an error, but a finding.
pub fn verify_dir(
    dir: impl AsRef<Path>,
    expected: Option<StoreId>,
    stored: impl IntoIterator<Item = (Key, Vec<u8>)>,
) -> Result<Report, AuditError> {
    let mut verifier = read_dir(dir.as_ref(), expected)?;
    for (key, record) in stored {
        verifier.stored(&key, &record);
    }
    verifier.storage_was_read();
    Ok(verifier.finish())
}

/// Verifies the logs of a directory alone.
///
/// ```
/// use strongroom_audit::verify_logs;
///
/// assert!(!verify_logs("no/such/audit", None)?.accuses());
/// # Ok::<(), strongroom_core::AuditError>(())
/// ```
///
/// # Errors
/// As [`verify_dir`].
pub fn verify_logs(dir: impl AsRef<Path>, expected: Option<StoreId>) -> Result<Report, AuditError> {
    Ok(read_dir(dir.as_ref(), expected)?.finish())
}

fn read_dir(dir: &Path, expected: Option<StoreId>) -> Result<Verifier, AuditError> {
    let mut verifier = Verifier::new(expected);
    feed_dir(&mut verifier, dir)?;
    // Nobody prunes meanwhile, so that once more is enough.
    if let Some(anew) = verifier.anew() {
        verifier = anew;
        feed_dir(&mut verifier, dir)?;
    }
    Ok(verifier)
}

fn feed_dir(verifier: &mut Verifier, dir: &Path) -> Result<(), AuditError> {
    for file in logs(dir)? {
        let unreadable = |error| failed("a log cannot be read: check its permissions", error);
        let mut has_torn_end = false;
        for (segment, is_last) in file.in_order() {
            let handle = File::open(&segment.path).map_err(unreadable)?;
            let mut lines = Lines::new(&handle, is_last).map_err(unreadable)?;
            while let Some(line) = lines.next().map_err(unreadable)? {
                verifier.line(file.log, line);
            }
            has_torn_end = lines.has_torn_end();
        }
        verifier.end_of_log(file.log, has_torn_end);
    }
    Ok(())
}
