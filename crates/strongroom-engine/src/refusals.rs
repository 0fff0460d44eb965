//! Equal refusals share a record, so that a caller in a loop does not fill the log.
//!
//! The first of them is recorded at once. Those that follow within a window are counted here, and one
//! record with their count is appended by the first request after its end, of whomever, or as the
//! store is sealed or closed. Nothing that was allowed is ever counted: it has a record of its own
//! before its effect.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_audit::MAX_REQUEST_ID_BYTES;
use strongroom_core::{
    AuditError, AuditRecord, AuditSink, DecisionRecord, Durability, Monotonic, Principal, Receipt,
};

/// For how long equal refusals are counted where nothing else is said.
pub const DEFAULT_REFUSAL_WINDOW: Duration = Duration::from_secs(10);

/// So many different refusals are counted at a time. Further ones have a record each.
const MAX_ENTRIES: usize = 1024;
/// So many counts go into one append, and are written by one request.
const MAX_APPENDED: usize = 64;
/// No count is waiting.
const NEVER: u64 = u64::MAX;

/// Which refusals are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Alike {
    /// Those of which all that a record tells is the same, but for the time and the request's id.
    Requests,
    /// All of a principal that has used up its budget, of whatever.
    Throttled,
}

/// The refusals of the last while.
#[derive(Debug)]
pub(crate) struct Refusals {
    window: Duration,
    hasher: RandomState,
    /// When the first window ends that has a count, in nanoseconds of the monotonic clock.
    due: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By hash; what has the same one and is not alike is not counted.
    entries: HashMap<u64, Entry>,
    /// The log ends: what is counted now would never be written.
    has_ended: bool,
}

#[derive(Debug)]
struct Entry {
    alike: Alike,
    /// The place of the first.
    receipt: Receipt,
    /// What is written with the count: the first, with the time and the request's id of the last.
    told: DecisionRecord,
    /// How many are not on record yet.
    count: u64,
    until: Monotonic,
    is_being_written: bool,
}

impl Refusals {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            window,
            hasher: RandomState::new(),
            due: AtomicU64::new(NEVER),
            table: Mutex::default(),
        }
    }

    /// For how long equal refusals are counted.
    pub(crate) const fn window(&self) -> Duration {
        self.window
    }

    /// For how long these are counted, if at all. To record each that is throttled would be no
    /// throttle.
    fn window_of(&self, alike: Alike) -> Option<Duration> {
        match alike {
            Alike::Requests => (!self.window.is_zero()).then_some(self.window),
            Alike::Throttled if self.window.is_zero() => Some(DEFAULT_REFUSAL_WINDOW),
            Alike::Throttled => Some(self.window),
        }
    }

    /// Counts a refusal with those that are like it. `None`: it needs a record of its own.
    pub(crate) fn count(
        &self,
        alike: Alike,
        record: &DecisionRecord,
        now: Monotonic,
    ) -> Option<Receipt> {
        let mut table = self.lock();
        if table.has_ended {
            return None;
        }
        let entry = table.entries.get_mut(&self.hash(alike, record))?;
        if now >= entry.until || !entry.is_like(alike, record) {
            return None;
        }
        entry.count = entry.count.checked_add(1)?;
        // All else is as the sink has taken it before: what came later may be what no sink takes, and
        // would keep the count, and others beside it, from ever being written.
        entry.told.at = record.at;
        let id = record.context.request_id.as_ref();
        entry.told.context.request_id = id.filter(|id| id.len() <= MAX_REQUEST_ID_BYTES).cloned();
        let (receipt, until) = (entry.receipt, entry.until);
        self.due.fetch_min(nanos(until), Ordering::Relaxed);
        Some(receipt)
    }

    /// Begins to count what is like a refusal that was recorded just now.
    pub(crate) fn begin(
        &self,
        alike: Alike,
        record: &DecisionRecord,
        receipt: Receipt,
        now: Monotonic,
    ) {
        let Some(window) = self.window_of(alike) else { return };
        let mut table = self.lock();
        let hash = self.hash(alike, record);
        let entries = &mut table.entries;
        // Denials cannot fill the place of those who are throttled.
        let most = match alike {
            Alike::Requests => MAX_ENTRIES,
            Alike::Throttled => 2 * MAX_ENTRIES,
        };
        if entries.len() >= most {
            entries.retain(|_, entry| entry.count > 0 || now < entry.until);
        }
        // What still has a count, or is counting, stays.
        let is_free = match entries.get(&hash) {
            Some(entry) => entry.count == 0 && now >= entry.until,
            None => entries.len() < most,
        };
        if is_free {
            let entry = Entry {
                alike,
                receipt,
                told: record.clone(),
                count: 0,
                until: now.saturating_add(window),
                is_being_written: false,
            };
            entries.insert(hash, entry);
        }
    }

    /// Appends counts whose windows have ended, some at a time, since others than who waits for it
    /// made them. Costs one load where there is none.
    ///
    /// # Errors
    /// Those of the sink. What could not be written, or was dropped meanwhile, stays counted.
    pub(crate) async fn record_due(
        &self,
        sink: &dyn AuditSink,
        durability: Durability,
        now: Monotonic,
    ) -> Result<(), AuditError> {
        let due = self.due.load(Ordering::Relaxed);
        if due == NEVER || due > nanos(now) {
            return Ok(());
        }
        self.append(sink, durability, now, MAX_APPENDED, |entry| entry.until <= now).await
    }

    /// Appends all counts, and counts nothing any more.
    ///
    /// # Errors
    /// As [`record_due`](Self::record_due).
    pub(crate) async fn end(
        &self,
        sink: &dyn AuditSink,
        durability: Durability,
        now: Monotonic,
    ) -> Result<(), AuditError> {
        self.lock().has_ended = true;
        self.append(sink, durability, now, usize::MAX, |_| true).await
    }

    async fn append(
        &self,
        sink: &dyn AuditSink,
        durability: Durability,
        now: Monotonic,
        most: usize,
        is_due: impl Fn(&Entry) -> bool,
    ) -> Result<(), AuditError> {
        let (mut writing, records) = self.take(now, most, is_due);
        let mut failed = None;
        for (n, records) in records.chunks(MAX_APPENDED).enumerate() {
            let first = n * MAX_APPENDED;
            match sink.append(records, durability).await {
                Ok(_) => {
                    writing.done(first, records.len());
                    continue;
                }
                Err(error) if records.len() == 1 => {
                    failed.get_or_insert(error);
                    continue;
                }
                Err(_) => {}
            }
            // One that is not taken keeps no other from being written.
            for (n, record) in records.iter().enumerate() {
                match sink.append(std::slice::from_ref(record), durability).await {
                    Ok(_) => writing.done(first + n, 1),
                    Err(error) => drop(failed.get_or_insert(error)),
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// The counts to be written next, the oldest first. They stay in the table until they are.
    fn take(
        &self,
        now: Monotonic,
        most: usize,
        is_due: impl Fn(&Entry) -> bool,
    ) -> (Writing<'_>, Vec<AuditRecord>) {
        let mut table = self.lock();
        let is_due = |entry: &Entry| entry.count > 0 && !entry.is_being_written && is_due(entry);
        let due = table.entries.iter().filter(|(_, entry)| is_due(entry));
        let mut due: Vec<(Receipt, u64)> =
            due.map(|(hash, entry)| (entry.receipt, *hash)).collect();
        due.sort_unstable();
        due.truncate(most);
        let (mut counts, mut records) = (Vec::new(), Vec::new());
        for (_, hash) in due {
            if let Some(entry) = table.entries.get_mut(&hash)
                && let Some(count) = NonZeroU64::new(entry.count)
            {
                entry.is_being_written = true;
                counts.push(Written { hash, count: entry.count, is_done: false });
                records.push(AuditRecord::Decision(DecisionRecord { count, ..entry.told.clone() }));
            }
        }
        self.set_due(&table);
        (Writing { refusals: self, counts, now }, records)
    }

    fn set_due(&self, table: &Table) {
        let waits = |entry: &&Entry| entry.count > 0 && !entry.is_being_written;
        let ends = table.entries.values().filter(waits).map(|entry| nanos(entry.until));
        self.due.store(ends.min().unwrap_or(NEVER), Ordering::Relaxed);
    }

    fn hash(&self, alike: Alike, record: &DecisionRecord) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        (alike, record.principal.as_ref().map(Principal::id)).hash(&mut hasher);
        match alike {
            Alike::Requests => {
                (record.action, &record.target).hash(&mut hasher);
                (record.explanation.rule(), record.explanation.reason()).hash(&mut hasher);
                (record.context.source, &record.context.reason).hash(&mut hasher);
            }
            Alike::Throttled => {}
        }
        hasher.finish()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // INVARIANT: no code that can panic runs while this lock is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_like(&self, alike: Alike, record: &DecisionRecord) -> bool {
        let (one, other) = (&self.told, record);
        self.alike == alike
            && match (&one.principal, &other.principal) {
                (Some(one), Some(other)) => match alike {
                    Alike::Requests => is_same(one, other),
                    Alike::Throttled => one.id() == other.id(),
                },
                (one, other) => one.is_none() && other.is_none(),
            }
            && match alike {
                Alike::Requests => {
                    one.action == other.action
                        && one.target == other.target
                        && one.effect == other.effect
                        && one.explanation == other.explanation
                        && one.context.source == other.context.source
                        && one.context.reason == other.context.reason
                }
                Alike::Throttled => true,
            }
    }
}

/// Whether a record tells the same of both.
fn is_same(one: &Principal, other: &Principal) -> bool {
    one.id() == other.id()
        && one.roles() == other.roles()
        && one.claims() == other.claims()
        && one.authentication_time() == other.authentication_time()
        && one.strength() == other.strength()
}

/// Counts that are being written. Dropped before they are, they go on waiting, for a window more:
/// a count may then be written twice, and is never lost.
struct Writing<'a> {
    refusals: &'a Refusals,
    counts: Vec<Written>,
    now: Monotonic,
}

struct Written {
    hash: u64,
    count: u64,
    is_done: bool,
}

impl Writing<'_> {
    fn done(&mut self, first: usize, count: usize) {
        self.counts.iter_mut().skip(first).take(count).for_each(|one| one.is_done = true);
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if self.counts.is_empty() {
            return;
        }
        let mut table = self.refusals.lock();
        for Written { hash, count, is_done } in &self.counts {
            let Some(entry) = table.entries.get_mut(hash) else { continue };
            entry.is_being_written = false;
            let window = self.refusals.window_of(entry.alike).unwrap_or_default();
            entry.until = self.now.saturating_add(window);
            if *is_done {
                entry.count = entry.count.saturating_sub(*count);
                if entry.count == 0 {
                    table.entries.remove(hash);
                }
            }
        }
        self.refusals.set_due(&table);
    }
}

fn nanos(at: Monotonic) -> u64 {
    let since = at.saturating_since(Monotonic::default());
    // INVARIANT: less than `NEVER`, which means none.
    u64::try_from(since.as_nanos()).unwrap_or(NEVER).min(NEVER - 1)
}
