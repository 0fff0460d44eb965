//! The first write: the database appears with its first records inside, or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::params;
use strongroom_core::{NotDoneKind, StorageError};

use crate::connection::{APPLICATION_ID, FORMAT, PAGE_BYTES, TABLE, connect};
use crate::error;
use crate::place::{Place, create_private};

/// One record of the new database: key, revision, value.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) revision: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Builds the file under another name, closes it, and links it into place without replacing.
/// Answers false where there was one meanwhile. The caller holds the writers' lock.
pub(crate) fn create(place: &Place, records: &[Record<'_>]) -> Result<bool, StorageError> {
    let building = Building::new(place);
    build(&building.0, records)?;
    match fs::hard_link(&building.0, place.database()) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            let detail = "this file system has no hard links; use another one";
            return Err(StorageError::not_done(NotDoneKind::Unsuitable, detail).because(e));
        }
        Err(e) => return Err(error::io("putting the new database in place", e)),
    }
    drop(building);
    place.sync().map_err(|e| {
        StorageError::indeterminate("the new database may not outlive a power cut").because(e)
    })?;
    Ok(true)
}

/// A file that is removed again, whatever happens.
struct Building(PathBuf);

impl Building {
    fn new(place: &Place) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(place.beside(&format!(".new-{}-{count}", process::id())))
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next writer.
        let _ = fs::remove_file(&self.0);
    }
}

fn build(path: &Path, records: &[Record<'_>]) -> Result<(), StorageError> {
    create_private(path).map_err(|e| error::io("making the new database file", e))?;
    fill(path, records).map_err(|e| error::sqlite("building the new database", e))?;
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| error::io("making the new database durable", e))
}

fn fill(path: &Path, records: &[Record<'_>]) -> rusqlite::Result<()> {
    let connection = connect(path)?;
    // Nothing is synced on the way: a crash leaves only a file that nobody looks for.
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; \
         BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {FORMAT}; {TABLE};"
    ))?;
    for record in records {
        connection.execute(
            "INSERT INTO records (k, r, v) VALUES (?1, ?2, ?3)",
            params![record.key, record.revision, record.value],
        )?;
    }
    connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")?;
    connection.close().map_err(|(_, e)| e)
}
