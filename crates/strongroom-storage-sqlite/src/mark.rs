//! Whether anything was committed since.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use strongroom_core::{ChangeMark, StorageError};

use crate::connection::{self, Purpose};
use crate::shared::Shared;

/// A connection that does nothing but ask SQLite for its data version, which changes with every
/// commit made by any other connection, of this process or another.
#[derive(Debug)]
pub(crate) struct Marks {
    shared: Arc<Shared>,
    watching: Mutex<Watching>,
    tickets: AtomicU64,
    exclusive: bool,
}

#[derive(Debug, Default)]
struct Watching {
    connection: Option<Connection>,
    /// Counts the connections, since each counts versions from its own beginning.
    epoch: u32,
}

impl Marks {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (watching, tickets) = (Mutex::default(), AtomicU64::new(0));
        Self { shared, watching, tickets, exclusive: false }
    }

    /// From now on only this storage commits.
    pub(crate) const fn set_exclusive(&mut self) {
        self.exclusive = true;
    }

    pub(crate) fn current(&self) -> Option<ChangeMark> {
        if self.shared.is_forked() {
            return None;
        }
        let own = self.shared.commits();
        if self.exclusive {
            // A commit under way may be seen by one reader and not yet by the next: no mark that
            // is given out meanwhile is equal to any other.
            return Some(match own % 2 {
                0 => ChangeMark([0, own]),
                _ => ChangeMark([u64::MAX, self.tickets.fetch_add(1, Ordering::Relaxed)]),
            });
        }
        let version = self.watching.lock().unwrap_or_else(PoisonError::into_inner).version(self);
        version.ok().map(|version| ChangeMark([version, own]))
    }

    pub(crate) fn close(&self) {
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = watching.connection.take();
        if self.shared.is_forked() {
            std::mem::forget(connection);
        }
    }
}

impl Watching {
    /// The data version behind the number of the connection; 0 where there is no database.
    fn version(&mut self, marks: &Marks) -> Result<u64, StorageError> {
        let connection = match &self.connection {
            Some(connection) => connection,
            None => {
                let found = connection::open(&marks.shared.place, Purpose::Reading)?;
                let Some((connection, _)) = found else { return Ok(0) };
                self.epoch = self.epoch.wrapping_add(1);
                self.connection.insert(connection)
            }
        };
        let asked = connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut ask| ask.query_row([], |row| row.get::<_, u32>(0)));
        match asked {
            Ok(version) => Ok(u64::from(self.epoch) << 32 | u64::from(version)),
            Err(e) => {
                self.connection = None;
                Err(crate::error::sqlite("asking for changes", e))
            }
        }
    }
}
