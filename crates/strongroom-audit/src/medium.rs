//! The file of a log, as little of it as is needed, so that tests can make it fail.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use strongroom_core::AuditError;

pub(crate) trait Medium: Debug + Send + Sync + 'static {
    /// Writes all bytes there; on an error any number of them may be there.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file.
    fn cut(&self, length: u64) -> io::Result<()>;
    /// Waits until all that was written is on the medium.
    fn sync(&self) -> io::Result<()>;
    /// Gives up the lock on it, though others may still hold this.
    fn unlock(&self);
}

impl Medium for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }
    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
    fn unlock(&self) {
        // Fails only for a lock that is not held.
        let _ = Self::unlock(self);
    }
}

/// The error of a sink for an I/O error.
pub(crate) fn failed(detail: &str, error: io::Error) -> AuditError {
    match error.kind() {
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::WriteZero => AuditError::Full,
        _ => AuditError::because(detail, error),
    }
}
