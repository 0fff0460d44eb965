//! Whether anything was committed since.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use strongroom_core::{ChangeMark, StorageError};

use crate::connection::{self, Purpose};
use crate::count;
use crate::shared::Shared;

/// How often at least SQLite itself is asked, in calls. The count in the lock file tells of every
/// commit that strongroom makes and costs a tenth of that; SQLite's own number tells of others too,
/// and of a lock file that was removed.
const ASK_EVERY: u32 = 64;

/// Marks of what was committed by any process.
#[derive(Debug)]
pub(crate) struct Marks {
    shared: Arc<Shared>,
    watching: Mutex<Watching>,
    tickets: AtomicU64,
    exclusive: bool,
}

#[derive(Debug, Default)]
struct Watching {
    /// The lock file, to read the count in it.
    count: Option<File>,
    /// A connection that does nothing but ask SQLite for its data version, which changes with every
    /// commit made by any other connection, of this process or another.
    connection: Option<Connection>,
    /// Counts the connections, since each counts versions from its own beginning.
    epoch: u32,
    /// The last answer of SQLite, and for how many calls it may still stand.
    version: u64,
    calls_left: u32,
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
        if self.exclusive {
            let own = self.shared.commits();
            // A commit under way may be seen by one reader and not yet by the next: no mark that
            // is given out meanwhile is equal to any other.
            return Some(match own % 2 {
                // No mark from before exclusive use begins like this.
                0 => ChangeMark([u64::MAX - 1, own]),
                _ => ChangeMark([u64::MAX, self.tickets.fetch_add(1, Ordering::Relaxed)]),
            });
        }
        self.watching.lock().unwrap_or_else(PoisonError::into_inner).mark(&self.shared)
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
    fn mark(&mut self, shared: &Shared) -> Option<ChangeMark> {
        if self.count.is_none() {
            self.count = File::open(shared.place.beside(".lock")).ok();
        }
        let count = self.count.as_ref().and_then(count::read);
        // INVARIANT: the count is read first. It is even and new before a commit is acknowledged,
        // and odd as long as one may be seen by one reader and not yet by the next.
        if let Some(even) = count.filter(|count| count.is_multiple_of(2))
            && self.calls_left > 0
        {
            self.calls_left -= 1;
            return Some(ChangeMark([self.version, even]));
        }
        let version = self.ask(shared).ok()?;
        if version != self.version {
            // Where the lock file was replaced, this is the moment to notice.
            self.count = None;
        }
        (self.version, self.calls_left) = (version, ASK_EVERY);
        Some(ChangeMark([self.version, count.unwrap_or(0)]))
    }

    /// SQLite's data version behind the number of the connection; 0 where there is no database.
    fn ask(&mut self, shared: &Shared) -> Result<u64, StorageError> {
        let connection = match &self.connection {
            Some(connection) => connection,
            None => {
                let found = connection::open(&shared.place, Purpose::Reading)?;
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
