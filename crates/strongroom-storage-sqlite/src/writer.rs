//! One transaction for as many requests as wait.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, params};
use strongroom_core::{Batch, Expect, Key, NotDoneKind, Op, Revision, StorageError, Written};

use crate::connection::{self, PAGE_BYTES, Purpose, WAL_BYTES, execute};
use crate::create::{self, Record};
use crate::error;
use crate::lock::Turn;
use crate::place::Identity;
use crate::reserve::{RESERVE_BYTES, Reserve};
use crate::shared::Shared;

/// Where automatic checkpoints cannot keep the write-ahead file below this, writers cut it.
const WAL_CUT_BYTES: u64 = 2 * WAL_BYTES;
/// What SQLite sets by itself.
const USUAL_CHECKPOINT_PAGES: u32 = 1_000;
/// So many keys are erased in what is kept back while others wait to write.
const MOST_ERASED: usize = 16;
/// How long cutting the write-ahead file waits for readers.
const CUT_PATIENCE: Duration = Duration::from_millis(100);

/// What a caller wants done.
#[derive(Debug)]
pub(crate) enum Request {
    Write(Batch),
    Erase(Vec<Key>),
}

/// What was done.
#[derive(Debug)]
pub(crate) enum Done {
    Written(Written),
    Erased,
}

/// The one connection of this storage that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    open: Option<(Connection, Identity)>,
    stamp: Option<Stamp>,
    cut_at: u64,
    reserve: Reserve,
    /// Whether what was kept back is used, so that nothing may make the database grow.
    spares_room: bool,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let reserve = Reserve::new(&shared.place);
        Self { shared, open: None, stamp: None, cut_at: WAL_CUT_BYTES, reserve, spares_room: false }
    }

    /// Does what it can of the requests and answers each. A conflict of one concerns no other.
    pub(crate) fn run(&mut self, requests: &[Request]) -> Vec<Result<Done, StorageError>> {
        self.try_run(requests).unwrap_or_else(|e| repeated(e, requests.len()))
    }

    /// Closes the connection, or leaves it alone where it belongs to another process.
    pub(crate) fn close(&mut self, forked: bool) {
        // Without the lock: what two lay out at a time is the same.
        if !forked && self.spares_room && self.reserve.lay_out() {
            self.spare_room(false);
        }
        let open = self.open.take();
        if forked {
            std::mem::forget(open);
        }
    }

    fn try_run(
        &mut self,
        requests: &[Request],
    ) -> Result<Vec<Result<Done, StorageError>>, StorageError> {
        let shared = Arc::clone(&self.shared);
        let here = shared.place.identity()?;
        if here.is_none() {
            if self.open.is_some() {
                return Err(connection::replaced());
            }
            // Nothing appears on disk for requests that change nothing.
            if !requests.iter().any(is_first) {
                return Ok(requests.iter().map(on_nothing).collect());
            }
            shared.place.make_directory()?;
        }
        let mut turnstile = shared.turnstile();
        let turn = turnstile.acquire(&shared.stop)?;
        if self.open.is_none() {
            shared.place.remove_unfinished();
        }
        let here = shared.place.identity()?;
        let created = match here {
            None => self.create(&turn, requests)?,
            Some(_) => None,
        };
        self.reopened()?;
        let Some((open, identity)) = &self.open else { return Err(connection::replaced()) };
        if shared.place.identity()? != Some(*identity) {
            self.open = None;
            return Err(connection::replaced());
        }
        if self.stamp.is_none() {
            self.stamp = Some(Stamp::new(open)?);
        }
        let mut answers = Vec::with_capacity(requests.len());
        match created {
            // The requests before the one that made the database met nothing.
            Some((at, written)) => {
                answers.extend(requests.iter().take(at).map(on_nothing));
                answers.push(Ok(Done::Written(written)));
                let later = requests.get(at + 1..).unwrap_or_default();
                answers.extend(self.transact(&turn, later));
            }
            None => answers.extend(self.transact(&turn, requests)),
        }
        self.cut_wal(requests.iter().any(|request| matches!(request, Request::Erase(_))));
        if self.reserve.lay_out() && self.spares_room {
            self.spare_room(false);
            self.cut_wal(true);
        }
        Ok(answers)
    }

    /// Makes the database with the first request that can be its beginning. `None` where another
    /// process was faster.
    fn create(
        &mut self,
        turn: &Turn<'_>,
        requests: &[Request],
    ) -> Result<Option<(usize, Written)>, StorageError> {
        let Some((at, Request::Write(batch))) =
            requests.iter().enumerate().find(|(_, request)| is_first(request))
        else {
            return Ok(None);
        };
        let stamp = match &mut self.stamp {
            Some(stamp) => stamp,
            none => {
                let memory = Connection::open_in_memory();
                let memory = memory.map_err(|e| error::sqlite("opening SQLite", e))?;
                none.insert(Stamp::new(&memory)?)
            }
        };
        let revisions: Vec<_> = batch.ops().iter().map(|_| stamp.next()).collect();
        let records: Vec<_> = batch
            .ops()
            .iter()
            .zip(&revisions)
            .filter_map(|(op, revision)| match op {
                Op::Put { key, value, .. } => {
                    Some(Record { key: key.as_bytes(), revision: revision.as_bytes(), value })
                }
                Op::Check { .. } => None,
            })
            .collect();
        let counting = turn.counting(|| stamp.number())?;
        let _commit = self.shared.commit_begins();
        let created = create::create(&self.shared.place, &records)?;
        counting.done();
        Ok(created.then_some((at, Written::Committed { revisions })))
    }

    fn transact(
        &mut self,
        turn: &Turn<'_>,
        requests: &[Request],
    ) -> Vec<Result<Done, StorageError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        match self.transaction(turn, requests) {
            Ok(done) => done.into_iter().map(Ok).collect(),
            // One that cannot be done must not take the others along.
            Err(StorageError::NotDone { .. }) if requests.len() > 1 => requests
                .chunks(1)
                .flat_map(|one| match self.reopened().and_then(|()| self.transaction(turn, one)) {
                    Ok(done) => done.into_iter().map(Ok).collect(),
                    Err(e) => vec![self.spend_reserve(turn, one, e)],
                })
                .collect(),
            Err(e) if requests.len() == 1 => vec![self.spend_reserve(turn, requests, e)],
            Err(e) => repeated(e, requests.len()),
        }
    }

    /// Does what there was no room for in that which is kept back for it.
    fn spend_reserve(
        &mut self,
        turn: &Turn<'_>,
        one: &[Request],
        refused: StorageError,
    ) -> Result<Done, StorageError> {
        match one {
            _ if !is_full(&refused) => Err(refused),
            [Request::Write(batch)] if batch.is_essential() => self.spend(turn, one, 0, refused),
            [Request::Erase(keys)] => self.erase_in_reserve(turn, keys, refused),
            _ => Err(refused),
        }
    }

    /// Erases key by key: the pages of each are overwritten, by way of the write-ahead file, and what
    /// one has used of the room there the next one uses again where it can be carried over. What is to
    /// be erased nobody can read any more, so half of the room stays for what they can.
    fn erase_in_reserve(
        &mut self,
        turn: &Turn<'_>,
        keys: &[Key],
        refused: StorageError,
    ) -> Result<Done, StorageError> {
        let mut erased = 0;
        for key in keys.iter().take(MOST_ERASED) {
            if self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let one = [Request::Erase(vec![key.clone()])];
            match self.spend(turn, &one, RESERVE_BYTES / 2, error::again(&refused)) {
                Ok(_) => erased += 1,
                Err(StorageError::NotDone { .. }) => break,
                Err(unknown) => return Err(unknown),
            }
            self.cut_wal(true);
            self.reserve.lay_out();
        }
        match erased {
            0 => Err(refused),
            all if all == keys.len() => Ok(Done::Erased),
            _ => Err(StorageError::indeterminate(
                "the disk is full, and some of it was erased: make room, then try again",
            )),
        }
    }

    /// Does one request, giving up room step by step until so much is left.
    fn spend(
        &mut self,
        turn: &Turn<'_>,
        one: &[Request],
        keep: u64,
        mut refused: StorageError,
    ) -> Result<Done, StorageError> {
        while self.reserve.give_up(keep) {
            let done = self.reopened().and_then(|()| {
                self.spare_room(true);
                self.transaction(turn, one)
            });
            match done {
                Err(error) if is_full(&error) => refused = error,
                done => return Ok(done?.into_iter().next().unwrap_or(Done::Erased)),
            }
        }
        Err(refused)
    }

    fn reopened(&mut self) -> Result<(), StorageError> {
        if self.open.is_none() {
            self.open = connection::open(&self.shared.place, Purpose::Writing)?;
            self.spares_room = false;
        }
        Ok(())
    }

    fn transaction(
        &mut self,
        turn: &Turn<'_>,
        requests: &[Request],
    ) -> Result<Vec<Done>, StorageError> {
        let (Some((connection, _)), Some(stamp)) = (&self.open, &mut self.stamp) else {
            return Err(connection::replaced());
        };
        let doing = "writing to the database";
        execute(connection, "BEGIN IMMEDIATE").map_err(|e| error::sqlite(doing, e))?;
        let mut done = Vec::with_capacity(requests.len());
        for request in requests {
            match apply(connection, stamp, request) {
                Ok(answer) => done.push(answer),
                Err(e) => {
                    // SQLite has rolled back by itself after some errors.
                    if !connection.is_autocommit() && execute(connection, "ROLLBACK").is_err() {
                        self.open = None;
                    }
                    return Err(error::sqlite(doing, e));
                }
            }
        }
        let committed = {
            let counting = match turn.counting(|| stamp.number()) {
                Ok(counting) => counting,
                Err(e) => {
                    if execute(connection, "ROLLBACK").is_err() {
                        self.open = None;
                    }
                    return Err(e);
                }
            };
            let _commit = self.shared.commit_begins();
            let committed = execute(connection, "COMMIT");
            if committed.is_ok() {
                counting.done();
            }
            committed
        };
        if let Err(e) = committed {
            // What the connection holds in memory may differ from what is on disk.
            self.open = None;
            return Err(error::commit(e));
        }
        Ok(done)
    }

    /// While the reserve is used: pages that are new go to the write-ahead file and no second time to
    /// the database, which would take all that was given up.
    fn spare_room(&mut self, spares: bool) {
        let Some((connection, _)) = self.open.as_ref().filter(|_| self.spares_room != spares)
        else {
            return;
        };
        // Where one of them cannot be set, less is spared.
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, spares);
        let pages = if spares { 0 } else { USUAL_CHECKPOINT_PAGES };
        let _ = connection.pragma_update(None, "wal_autocheckpoint", pages);
        self.spares_room = spares;
    }

    /// Whether the database has pages that are in the write-ahead file alone.
    fn would_grow(&self, connection: &Connection) -> bool {
        let pages = connection.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0));
        let length = fs::metadata(self.shared.place.database()).map_or(0, |found| found.len());
        pages.is_ok_and(|pages| u64::from(pages) * u64::from(PAGE_BYTES) > length)
    }

    /// Keeps the write-ahead file small beside readers, and takes erased bytes out of it. The
    /// caller holds the lock. Nothing rests on its success.
    fn cut_wal(&mut self, erased: bool) {
        let Some((connection, _)) = &self.open else { return };
        let size = || fs::metadata(self.shared.place.beside("-wal")).map_or(0, |found| found.len());
        if self.spares_room && size() < self.cut_at && self.would_grow(connection) {
            return;
        }
        if !erased && size() < self.cut_at {
            return;
        }
        let usual = self.shared.busy_timeout;
        let _ = connection.busy_timeout(CUT_PATIENCE);
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let _ = connection.busy_timeout(usual);
        self.cut_at = (size() + WAL_BYTES).max(WAL_CUT_BYTES);
    }
}

fn is_full(error: &StorageError) -> bool {
    error.kind() == Some(NotDoneKind::Full)
}

/// Whether a request can be the first of a database: it puts, and expects nothing to be there.
fn is_first(request: &Request) -> bool {
    let absent = |op: &Op| matches!(op, Op::Put { expect: Expect::Absent, .. });
    matches!(request, Request::Write(batch) if batch.ops().iter().all(absent))
}

/// The answer to a request that finds no database and does not make one.
fn on_nothing(request: &Request) -> Result<Done, StorageError> {
    let absent = |op: &&Op| !matches!(op, Op::Put { expect: Expect::Absent, .. });
    Ok(match request {
        Request::Erase(_) => Done::Erased,
        Request::Write(batch) => match batch.ops().iter().find(absent) {
            Some(op) => Done::Written(Written::Conflict { key: op.key().clone() }),
            None => return Err(connection::replaced()),
        },
    })
}

/// Does one request inside the open transaction: first all expectations, then all changes.
fn apply(connection: &Connection, stamp: &mut Stamp, request: &Request) -> rusqlite::Result<Done> {
    let batch = match request {
        Request::Write(batch) => batch,
        Request::Erase(keys) => {
            let mut delete = connection.prepare_cached("DELETE FROM records WHERE k = ?1")?;
            for key in keys {
                delete.execute([key.as_bytes()])?;
            }
            return Ok(Done::Erased);
        }
    };
    let mut find = connection.prepare_cached("SELECT r FROM records WHERE k = ?1")?;
    for op in batch.ops() {
        let mut holds = |expected: Option<&[u8]>| {
            let found = find.query_row([op.key().as_bytes()], |row| {
                let found = row.get_ref(0)?.as_blob()?;
                Ok(expected == Some(found))
            });
            Ok::<_, rusqlite::Error>(found.optional()?.unwrap_or(expected.is_none()))
        };
        let holds = match op {
            Op::Put { expect: Expect::Absent, .. } => holds(None)?,
            Op::Put { expect: Expect::Revision(revision), .. } | Op::Check { revision, .. } => {
                holds(Some(revision.as_bytes()))?
            }
        };
        if !holds {
            return Ok(Done::Written(Written::Conflict { key: op.key().clone() }));
        }
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO records (k, r, v) VALUES (?1, ?2, ?3)")?;
    let mut update = connection.prepare_cached("UPDATE records SET r = ?2, v = ?3 WHERE k = ?1")?;
    let mut revisions = Vec::with_capacity(batch.ops().len());
    for op in batch.ops() {
        let (key, expect, value) = match op {
            Op::Check { revision, .. } => {
                revisions.push(revision.clone());
                continue;
            }
            Op::Put { key, expect, value } => (key, expect, value),
        };
        let revision = stamp.next();
        let statement = match expect {
            Expect::Absent => &mut insert,
            Expect::Revision(_) => &mut update,
        };
        statement.execute(params![key.as_bytes(), revision.as_bytes(), value])?;
        revisions.push(revision);
    }
    Ok(Done::Written(Written::Committed { revisions }))
}

/// One error for each of several requests.
fn repeated(error: StorageError, times: usize) -> Vec<Result<Done, StorageError>> {
    let copies: Vec<_> = (1..times).map(|_| Err(error::again(&error))).collect();
    std::iter::once(Err(error)).chain(copies).collect()
}

/// Revisions that never repeat: eight bytes drawn anew by every writer and whenever the counter
/// behind them is used up.
#[derive(Debug)]
struct Stamp {
    drawn: u64,
    count: u32,
}

impl Stamp {
    fn new(connection: &Connection) -> Result<Self, StorageError> {
        let drawn = connection
            .query_row("SELECT randomblob(8)", [], |row| row.get::<_, [u8; 8]>(0))
            .map_err(|e| error::sqlite("drawing a number", e))?;
        Ok(Self { drawn: u64::from_be_bytes(drawn), count: 0 })
    }

    /// A number that lies far from all others.
    fn number(&mut self) -> u64 {
        let number = self.drawn ^ (u64::from(self.count) << 32);
        self.next();
        number
    }

    fn next(&mut self) -> Revision {
        let mut bytes = [0; 12];
        let (drawn, count) = bytes.split_at_mut(8);
        drawn.copy_from_slice(&self.drawn.to_be_bytes());
        count.copy_from_slice(&self.count.to_be_bytes());
        // INVARIANT: a carry moves on to numbers that another writer draws with chance 2^-64.
        let (count, carried) = self.count.overflowing_add(1);
        self.count = count;
        self.drawn = self.drawn.wrapping_add(u64::from(carried));
        Revision::new(bytes)
    }
}
