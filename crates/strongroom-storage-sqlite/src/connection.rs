//! Connections to a database that has proved to be ours.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use strongroom_core::{NotDoneKind, StorageError};

use crate::error;
use crate::place::{Identity, Place};

/// Stands in the header of the file: "strm".
pub(crate) const APPLICATION_ID: i32 = 0x7374_726d;
/// The format of the table, in the header's user version.
pub(crate) const FORMAT: i32 = 1;
pub(crate) const PAGE_BYTES: u32 = 4096;
/// The key's index and the rows are apart, so that rows fill their pages in the order of arrival.
pub(crate) const TABLE: &str =
    "CREATE TABLE records (k BLOB NOT NULL UNIQUE, r BLOB NOT NULL, v BLOB NOT NULL)";

/// SQLite's own waiting, for the short moments when another process opens, recovers or closes.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead file is cut to this size when it is begun anew.
pub(crate) const WAL_BYTES: u64 = 4 * 1024 * 1024;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Reading,
    Writing,
}

/// Opens the database at a place. `None` where there is none; it is never created here.
pub(crate) fn open(
    place: &Place,
    purpose: Purpose,
) -> Result<Option<(Connection, Identity)>, StorageError> {
    let Some(identity) = place.identity()? else { return Ok(None) };
    let failed = |e| {
        if place.is_read_only() {
            // SQLite says only that it cannot open: reading takes a `-shm` file beside it as well.
            let detail =
                "the database is on a read-only mount, and in use it needs files beside it";
            return StorageError::not_done(NotDoneKind::ReadOnly, detail).because(e);
        }
        error::sqlite("opening the database", e)
    };
    let connection = connect(place.database()).map_err(failed)?;
    let (application, format) = match header(&connection) {
        Ok(found) => found,
        Err(e) => {
            drop(connection);
            return Err(if error::is_not_a_database(&e) {
                not_a_database(place).because(e)
            } else {
                failed(e)
            });
        }
    };
    check_header(place, application, format)?;
    prepare(&connection, purpose).map_err(failed)??;
    if place.identity()? != Some(identity) {
        return Err(replaced());
    }
    Ok(Some((connection, identity)))
}

/// A plain connection to a file that exists.
pub(crate) fn connect(path: &std::path::Path) -> rusqlite::Result<Connection> {
    // No URI: a path is a path. No mutex: a connection is used by one thread at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// Runs a statement that is prepared once.
pub(crate) fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// The database under a connection is no longer the one that its name leads to.
pub(crate) fn replaced() -> StorageError {
    StorageError::not_done(
        NotDoneKind::Damaged,
        "the database file was removed or replaced while it was in use; put it back, then open \
         the store again",
    )
}

fn header(connection: &Connection) -> rusqlite::Result<(i32, i32)> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((pragma("application_id")?, pragma("user_version")?))
}

fn check_header(place: &Place, application: i32, format: i32) -> Result<(), StorageError> {
    let path = place.database().display();
    if application != APPLICATION_ID {
        // One flipped bit is damage; anything further away is somebody else's.
        return Err(if (application ^ APPLICATION_ID).count_ones() == 1 {
            StorageError::not_done(NotDoneKind::Damaged, format!("the header of {path} is altered"))
        } else {
            let detail = format!("{path} is an SQLite database of another program");
            StorageError::not_done(NotDoneKind::Foreign, detail)
        });
    }
    match format {
        FORMAT => Ok(()),
        newer if newer > FORMAT => Err(StorageError::not_done(
            NotDoneKind::TooNew,
            format!("{path} has format {newer}; this build knows {FORMAT}"),
        )),
        _ => {
            let detail = format!("the header of {path} names a format that never was");
            Err(StorageError::not_done(NotDoneKind::Damaged, detail))
        }
    }
}

fn prepare(
    connection: &Connection,
    purpose: Purpose,
) -> rusqlite::Result<Result<(), StorageError>> {
    if purpose == Purpose::Reading {
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024")?;
        return Ok(Ok(()));
    }
    let mode = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Ok(Err(StorageError::not_done(
            NotDoneKind::Unsuitable,
            "there is no shared memory between processes on this file system; use a local one",
        )));
    }
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -2048; \
         PRAGMA journal_size_limit = {WAL_BYTES}"
    ))?;
    Ok(Ok(()))
}

/// Why SQLite does not know the file. It may be opened by hand here, since no connection of this
/// process can have it open as a database.
fn not_a_database(place: &Place) -> StorageError {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let path = place.database().display();
    let mut header = Vec::new();
    let read =
        File::open(place.database()).and_then(|file| file.take(100).read_to_end(&mut header));
    let flipped: u32 = header.iter().zip(MAGIC).map(|(a, b)| (a ^ b).count_ones()).sum();
    let ours = header.get(68..72) == Some(&APPLICATION_ID.to_be_bytes());
    if read.is_ok() && (ours || (header.len() >= MAGIC.len() && flipped <= 8)) {
        let detail = format!("the header of {path} is altered");
        return StorageError::not_done(NotDoneKind::Damaged, detail);
    }
    StorageError::not_done(NotDoneKind::Foreign, format!("{path} is no database"))
}
