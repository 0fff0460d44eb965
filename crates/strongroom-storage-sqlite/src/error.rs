//! What the operating system and SQLite say, in the words of the storage trait.

use std::io;

use rusqlite::ffi::{self, ErrorCode};
use strongroom_core::{NotDoneKind, StorageError};

/// An error of SQLite before or outside of a commit: nothing was done.
pub(crate) fn sqlite(doing: &str, error: rusqlite::Error) -> StorageError {
    StorageError::not_done(kind_of(&error), doing).because(error)
}

/// An error of the operating system: nothing was done.
pub(crate) fn io(doing: &str, error: io::Error) -> StorageError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => NotDoneKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NotDoneKind::Full,
        io::ErrorKind::ReadOnlyFilesystem => NotDoneKind::ReadOnly,
        _ => NotDoneKind::Unreachable,
    };
    StorageError::not_done(kind, doing).because(error)
}

/// An error of SQLite out of a commit. Only where SQLite never began to write, or where the
/// medium took no more, it is known that the commit did not happen.
pub(crate) fn commit(error: rusqlite::Error) -> StorageError {
    match kind_of(&error) {
        kind @ (NotDoneKind::Busy | NotDoneKind::Full | NotDoneKind::ReadOnly) => {
            StorageError::not_done(kind, "committing to the database").because(error)
        }
        _ => StorageError::indeterminate("the database failed while committing").because(error),
    }
}

/// The same error once more, for another request that it met. The cause goes along as words.
pub(crate) fn again(error: &StorageError) -> StorageError {
    match error {
        StorageError::NotDone { kind, detail, source } => {
            let copy = StorageError::not_done(*kind, detail.clone());
            source.iter().fold(copy, |copy, source| copy.because(source.to_string()))
        }
        StorageError::Indeterminate { detail, source } => {
            let copy = StorageError::indeterminate(detail.clone());
            source.iter().fold(copy, |copy, source| copy.because(source.to_string()))
        }
    }
}

/// Whether the file was not recognised as a database at all.
pub(crate) fn is_not_a_database(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::NotADatabase)
}

fn kind_of(error: &rusqlite::Error) -> NotDoneKind {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        // A column of another type than our table has, or the like.
        return NotDoneKind::Damaged;
    };
    match failure.extended_code {
        // It is made as a database is opened that nobody has open. Where there is no room for it, there
        // is none for anything.
        ffi::SQLITE_IOERR_SHMSIZE => return NotDoneKind::Full,
        ffi::SQLITE_IOERR_SHMOPEN | ffi::SQLITE_IOERR_SHMLOCK | ffi::SQLITE_IOERR_SHMMAP => {
            return NotDoneKind::Unsuitable;
        }
        _ => {}
    }
    match failure.code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OperationInterrupted
        | ErrorCode::OutOfMemory => NotDoneKind::Busy,
        ErrorCode::DiskFull => NotDoneKind::Full,
        ErrorCode::ReadOnly => NotDoneKind::ReadOnly,
        ErrorCode::PermissionDenied
        | ErrorCode::CannotOpen
        | ErrorCode::AuthorizationForStatementDenied => NotDoneKind::Denied,
        ErrorCode::TooBig => NotDoneKind::TooLarge,
        ErrorCode::SystemIoFailure => NotDoneKind::Unreachable,
        _ => NotDoneKind::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn codes_become_what_a_host_can_act_on() {
        let cases = [
            (ffi::SQLITE_FULL, NotDoneKind::Full),
            (ffi::SQLITE_READONLY, NotDoneKind::ReadOnly),
            (ffi::SQLITE_BUSY, NotDoneKind::Busy),
            (ffi::SQLITE_CORRUPT, NotDoneKind::Damaged),
            (ffi::SQLITE_CANTOPEN, NotDoneKind::Denied),
            (ffi::SQLITE_PERM, NotDoneKind::Denied),
            (ffi::SQLITE_IOERR, NotDoneKind::Unreachable),
            (ffi::SQLITE_IOERR_SHMMAP, NotDoneKind::Unsuitable),
            (ffi::SQLITE_IOERR_SHMOPEN, NotDoneKind::Unsuitable),
            (ffi::SQLITE_IOERR_SHMSIZE, NotDoneKind::Full),
        ];
        for (code, kind) in cases {
            assert_eq!(sqlite("x", failure(code)).kind(), Some(kind), "{code}");
        }
    }

    #[test]
    fn an_io_error_out_of_commit_is_not_known() {
        assert_eq!(commit(failure(ffi::SQLITE_IOERR_FSYNC)).kind(), None);
        assert_eq!(commit(failure(ffi::SQLITE_IOERR_WRITE)).kind(), None);
        assert_eq!(commit(failure(ffi::SQLITE_FULL)).kind(), Some(NotDoneKind::Full));
    }
}
