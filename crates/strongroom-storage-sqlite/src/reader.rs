//! Reads, on connections that are kept for them.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use strongroom_core::{Entry, Key, Listed, Page, Revision, Scan, StorageError};

use crate::connection::{self, Purpose, execute};
use crate::error;
use crate::shared::Shared;

/// How many idle connections are kept. Each concurrent read has one of its own in any case.
const KEPT: usize = 8;
/// A page has at most this many records and, but for one, this many bytes of values: a page is a
/// transaction, and the write-ahead file grows beside a long one.
const PAGE_RECORDS: u32 = 1_000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The connections for reading.
#[derive(Debug)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, idle: Mutex::new(Vec::new()) }
    }

    pub(crate) fn read(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, StorageError> {
        let found = self.with_connection(|connection| {
            if let [key] = keys {
                return Ok(vec![read_one(connection, key)?]);
            }
            execute(connection, "BEGIN")?;
            let found =
                keys.iter().map(|key| read_one(connection, key)).collect::<Result<_, _>>()?;
            execute(connection, "COMMIT")?;
            Ok(found)
        })?;
        Ok(found.unwrap_or_else(|| keys.iter().map(|_| None).collect()))
    }

    pub(crate) fn list(&self, scan: &Scan) -> Result<Page, StorageError> {
        let page = self.with_connection(|connection| list(connection, scan))?;
        Ok(page.unwrap_or(Page { entries: Vec::new(), more: false }))
    }

    /// A connection of its own for a longer transaction. `None` where there is no database.
    pub(crate) fn open(&self) -> Result<Option<Connection>, StorageError> {
        Ok(connection::open(&self.shared.place, Purpose::Reading)?
            .map(|(connection, _)| connection))
    }

    /// Closes the idle connections, or leaves them alone where they belong to another process.
    pub(crate) fn close(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        if self.shared.is_forked() {
            std::mem::forget(idle);
        }
    }

    fn with_connection<R>(
        &self,
        f: impl FnOnce(&Connection) -> rusqlite::Result<R>,
    ) -> Result<Option<R>, StorageError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => match self.open()? {
                Some(connection) => connection,
                None => return Ok(None),
            },
        };
        // A connection that failed is dropped, whatever its state.
        let found = f(&connection).map_err(|e| error::sqlite("reading from the database", e))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(connection);
        }
        Ok(Some(found))
    }
}

fn read_one(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached("SELECT r, v FROM records WHERE k = ?1")?
        .query_row([key.as_bytes()], |row| {
            let revision = Revision::new(row.get_ref(0)?.as_blob()?);
            Ok(Entry { revision, value: row.get_ref(1)?.as_blob()?.to_vec() })
        })
        .optional()
}

fn list(connection: &Connection, scan: &Scan) -> rusqlite::Result<Page> {
    let limit = scan.limit.get().min(PAGE_RECORDS);
    let (low, after) = match &scan.after {
        Some(after) if after.as_bytes() >= scan.prefix.as_slice() => (after.as_bytes(), true),
        _ => (scan.prefix.as_slice(), false),
    };
    let columns = if scan.with_values { "k, r, v" } else { "k, r" };
    let lower = if after { ">" } else { ">=" };
    let high = end_of(&scan.prefix);
    let upper = if high.is_some() { "AND k < ?2" } else { "AND ?2 IS NULL" };
    let sql =
        format!("SELECT {columns} FROM records WHERE k {lower} ?1 {upper} ORDER BY k LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![low, high, i64::from(limit) + 1])?;
    let (mut entries, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        if entries.len() >= usize::try_from(limit).unwrap_or(usize::MAX) || bytes >= PAGE_BYTES {
            return Ok(Page { entries, more: true });
        }
        let value = match scan.with_values {
            true => Some(row.get_ref(2)?.as_blob()?.to_vec()),
            false => None,
        };
        bytes += value.as_ref().map_or(0, Vec::len);
        entries.push(Listed {
            key: Key::new(row.get_ref(0)?.as_blob()?),
            revision: Revision::new(row.get_ref(1)?.as_blob()?),
            value,
        });
    }
    Ok(Page { entries, more: false })
}

/// The first key after all that begin with the prefix; `None` where that is the end of keys.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let (last, before) = prefix.split_last()?;
    match last.checked_add(1) {
        Some(next) => Some([before, &[next]].concat()),
        None => end_of(before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_skips_full_bytes() {
        assert_eq!(end_of(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(end_of(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(end_of(&[0xff, 0xff]), None);
        assert_eq!(end_of(&[]), None);
    }
}
