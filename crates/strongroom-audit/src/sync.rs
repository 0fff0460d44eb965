//! Group commit: one sync for all records that were written before it began.
//!
//! To wake a task from another thread is slow. Where the next sync is due already, the thread that
//! syncs wakes one of those who waited for the last and begins the next; that one wakes the others,
//! from within its executor. If it does not come to that, the end of the next sync wakes them.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use strongroom_core::AuditError;

use crate::medium::Medium;

/// Syncs one file, on a thread of its own that starts with the first wait, or in place.
#[derive(Debug)]
pub(crate) struct Syncer {
    medium: Arc<dyn Medium>,
    inline: bool,
    /// How many records are with the kernel.
    written: AtomicU64,
    state: Mutex<State>,
    wanted: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many records are on the medium.
    synced: u64,
    /// How many records somebody waits for.
    wanted: u64,
    /// A sync failed: nobody can tell any more what is on the medium, so none is tried again.
    failed: bool,
    syncing: bool,
    stop: bool,
    waiters: Vec<Waiter>,
    next_waiter: u64,
    worker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    records: u64,
    waker: Waker,
}

impl State {
    /// Takes those out who need not wait any more, if so many records are on the medium.
    fn released(&mut self, synced: u64) -> Vec<Waiter> {
        let failed = self.failed;
        self.waiters.extract_if(.., |waiter| failed || waiter.records <= synced).collect()
    }

    /// Whom to wake after a sync, when so many records were on the medium before it.
    fn take_due(&mut self, before: u64) -> Vec<Waiter> {
        if self.stop || self.wanted <= self.synced {
            return self.released(self.synced);
        }
        let mut late = self.released(before);
        let next = self.waiters.iter().position(|waiter| waiter.records <= self.synced);
        late.extend(next.map(|next| self.waiters.swap_remove(next)));
        late
    }
}

fn wake(waiters: Vec<Waiter>) {
    waiters.into_iter().for_each(|waiter| waiter.waker.wake());
}

impl Syncer {
    pub(crate) fn new(medium: Arc<dyn Medium>, inline: bool, synced: u64) -> Arc<Self> {
        Arc::new(Self {
            medium,
            inline,
            written: AtomicU64::new(synced),
            state: Mutex::new(State { synced, ..State::default() }),
            wanted: Condvar::new(),
        })
    }

    /// So many records are with the kernel now.
    pub(crate) fn has_written(&self, records: u64) {
        self.written.store(records, Ordering::Release);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.lock().failed
    }

    /// Ends the log: nobody can tell what a power cut leaves of it.
    pub(crate) fn fail(&self) {
        self.lock().failed = true;
    }

    /// Whether so many records are on the medium, or can never be.
    pub(crate) fn has_reached(&self, records: u64) -> bool {
        let state = self.lock();
        state.synced >= records || state.failed
    }

    /// Waits until so many records are on the medium. They must be with the kernel already.
    pub(crate) fn reach(self: &Arc<Self>, records: u64) -> Reached {
        Reached { syncer: Arc::clone(self), records, waiter: None }
    }

    /// Ends the thread and waits for it; whoever still waits is told that the log is closed.
    pub(crate) fn stop(&self) {
        let (worker, waiters) = {
            let mut state = self.lock();
            state.stop = true;
            (state.worker.take(), std::mem::take(&mut state.waiters))
        };
        self.wanted.notify_all();
        if let Some(worker) = worker {
            // A panic of the worker has been seen by those who wait; there is nothing to add.
            let _ = worker.join();
        }
        wake(waiters);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // INVARIANT: no code that can panic runs while this lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs once, with the lock let go of meanwhile, and sees to it that all who waited are woken.
    fn sync_once<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.syncing = true;
        drop(state);
        let reached = self.written.load(Ordering::Acquire);
        let done = self.medium.sync();
        let mut state = self.lock();
        state.syncing = false;
        let before = state.synced;
        match done {
            Ok(()) => state.synced = before.max(reached),
            Err(_) => state.failed = true,
        }
        let waiters = state.take_due(before);
        drop(state);
        self.wanted.notify_all();
        wake(waiters);
        self.lock()
    }

    fn work(&self) {
        let mut state = self.lock();
        while !state.stop {
            state = if state.wanted > state.synced && !state.failed && !state.syncing {
                self.sync_once(state)
            } else {
                self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Syncs now, on this thread; `false` where that or an earlier sync has failed. The kernel tells
    /// of an error once: whoever syncs, all hear of it here.
    pub(crate) fn sync_now(&self) -> bool {
        let mut state = self.lock();
        while state.syncing {
            state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.failed {
            state = self.sync_once(state);
        }
        !state.failed
    }

    /// Starts the thread if there is none; `false` where it cannot be started.
    fn has_worker(self: &Arc<Self>, state: &mut State) -> bool {
        if state.worker.is_none() {
            let syncer = Arc::clone(self);
            let name = "strongroom-audit-sync".to_owned();
            state.worker = std::thread::Builder::new().name(name).spawn(move || syncer.work()).ok();
        }
        state.worker.is_some()
    }

    /// Syncs in place, or waits for the sync that another thread has begun.
    fn sync_in_place(&self, records: u64) {
        let mut state = self.lock();
        while state.synced < records && !state.failed && !state.stop {
            state = if state.syncing {
                self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.sync_once(state)
            };
        }
    }
}

/// A wait for a sync. Dropping it changes nothing.
#[derive(Debug)]
pub(crate) struct Reached {
    syncer: Arc<Syncer>,
    records: u64,
    waiter: Option<u64>,
}

impl Future for Reached {
    type Output = Result<(), AuditError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.syncer.inline {
            this.syncer.sync_in_place(this.records);
        }
        let mut state = this.syncer.lock();
        if !state.stop && !state.failed && state.synced < this.records {
            if this.syncer.has_worker(&mut state) {
                state.wanted = state.wanted.max(this.records);
                let id = *this.waiter.get_or_insert(state.next_waiter);
                if id == state.next_waiter {
                    state.next_waiter += 1;
                }
                match state.waiters.iter_mut().find(|waiter| waiter.id == id) {
                    Some(waiter) => waiter.waker.clone_from(context.waker()),
                    None => {
                        let waker = context.waker().clone();
                        state.waiters.push(Waiter { id, records: this.records, waker });
                    }
                }
                this.syncer.wanted.notify_all();
                return Poll::Pending;
            }
            drop(state);
            this.syncer.sync_in_place(this.records);
            state = this.syncer.lock();
        }
        Poll::Ready(if state.synced >= this.records {
            Ok(())
        } else if state.failed {
            Err(broken())
        } else {
            Err(AuditError::Closed)
        })
    }
}

impl Drop for Reached {
    /// Whoever has waited wakes those who waited with it, and takes its own waker away.
    fn drop(&mut self) {
        let Some(id) = self.waiter else { return };
        let mut state = self.syncer.lock();
        // A waker is somebody else's code: it is dropped without the lock.
        let own: Vec<Waiter> = state.waiters.extract_if(.., |waiter| waiter.id == id).collect();
        let synced = state.synced;
        let released = state.released(synced);
        drop(state);
        drop(own);
        wake(released);
    }
}

/// The error of a log whose medium failed.
pub(crate) fn broken() -> AuditError {
    AuditError::unavailable(
        "its medium failed to keep what was written: check the disk, then open the store again",
    )
}
