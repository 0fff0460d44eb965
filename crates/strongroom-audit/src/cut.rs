//! How much of a directory of logs goes into a backup, while others write to it.
//!
//! Logs cite one another, and each is looked at a moment later than the one before. So none cites
//! while their lengths are taken: whatever a log of the backup cites was there before, and the
//! backup has it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use strongroom_core::AuditError;

use crate::dir::{file_name, length_of_lines, whole_entries};
use crate::folder::{LOG, named_after};
use crate::medium::failed;
use crate::settled::SETTLED;

/// How often, and how long apart, a cut waits for those who cite.
const WAITS: u32 = 200;
const WAIT: Duration = Duration::from_millis(5);

/// Keeps all others from citing, and from pruning and copying, as long as the answer is held.
///
/// # Errors
/// `Unavailable` where one of them does not get on for a second.
pub(crate) fn hold_citations(dir: &Path) -> Result<File, AuditError> {
    let handle = File::open(dir).map_err(unlockable)?;
    for _ in 0..WAITS {
        match handle.try_lock() {
            Ok(()) => return Ok(handle),
            Err(TryLockError::WouldBlock) => sleep(WAIT),
            Err(TryLockError::Error(error)) => return Err(unlockable(error)),
        }
    }
    Err(AuditError::unavailable(
        "somebody else prunes it or copies it, or does not get on with what it writes: try once more",
    ))
}

/// Lets this one cite as long as the answer is held.
///
/// # Errors
/// `Unavailable` while lengths are taken: a citation can wait.
pub(crate) fn may_cite(dir: &Path) -> Result<File, AuditError> {
    let handle = File::open(dir).map_err(unlockable)?;
    match handle.try_lock_shared() {
        Ok(()) => Ok(handle),
        Err(TryLockError::WouldBlock) => {
            Err(AuditError::unavailable("a backup begins: cite the other log later"))
        }
        Err(TryLockError::Error(error)) => Err(unlockable(error)),
    }
}

fn unlockable(error: io::Error) -> AuditError {
    failed("its directory cannot be locked: use a local file system", error)
}

/// The files of a backup: name and length of each segment and marker.
pub(crate) fn files(dir: &Path) -> Result<Vec<(String, u64)>, AuditError> {
    let mut files = Vec::new();
    for path in whole_entries(dir)? {
        let is_ours = path.extension().is_some_and(|text| text == LOG || text == SETTLED);
        if is_ours && named_after(&path).is_some() {
            match File::open(&path).and_then(|file| length_of_lines(&file)) {
                Ok(length) => files.push((file_name(&path), length)),
                // It was pruned since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let detail = "a file cannot be read: check its permissions";
                    return Err(failed(detail, error));
                }
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}
