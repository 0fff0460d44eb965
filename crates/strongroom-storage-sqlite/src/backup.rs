//! A copy of the whole database while others write.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use strongroom_core::{NotDoneKind, StorageError};

use crate::connection::connect;
use crate::error;
use crate::place::{create_private, sync_directory};

/// Pages that are copied at a time.
const STEP_PAGES: i32 = 1_000;

/// Fixes what the connection sees from now on.
pub(crate) fn fix_content(source: &Connection) -> Result<(), StorageError> {
    source
        .execute_batch("BEGIN")
        .and_then(|()| {
            source.query_row("SELECT count(*) FROM (SELECT 1 FROM records LIMIT 1)", [], |_| Ok(()))
        })
        .map_err(|e| error::sqlite("beginning the backup", e))
}

/// Copies what the connection sees into a new file, durably.
pub(crate) fn copy(source: &Connection, target: &Path) -> Result<(), StorageError> {
    match create_private(target) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let detail = format!("{} exists; a backup replaces nothing", target.display());
            return Err(StorageError::not_done(NotDoneKind::Denied, detail));
        }
        Err(e) => return Err(error::io("making the file of the backup", e)),
    }
    let copied = copy_pages(source, target)
        .map_err(|e| error::sqlite("copying the database", e))
        .and_then(|()| {
            let synced = File::open(target).and_then(|file| file.sync_all());
            let directory = target.parent().map_or(Ok(()), sync_directory);
            synced.and(directory).map_err(|e| error::io("making the backup durable", e))
        });
    if copied.is_err() {
        // Half a copy helps nobody; where it stays, it is refused when it is opened.
        let _ = fs::remove_file(target);
    }
    copied
}

fn copy_pages(source: &Connection, target: &Path) -> rusqlite::Result<()> {
    let mut copy = connect(target)?;
    copy.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF")?;
    let backup = Backup::new(source, &mut copy)?;
    while backup.step(STEP_PAGES)? != StepResult::Done {}
    drop(backup);
    copy.execute_batch("PRAGMA journal_mode = WAL")?;
    copy.close().map_err(|(_, e)| e)
}
