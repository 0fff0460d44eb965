//! Group commit of writes: decisions of callers who append at the same time go to the kernel by one
//! write.
//!
//! A caller leaves its line, lets the other tasks of its executor have a turn, and then writes what
//! all have left, unless another one has done so. That costs a caller who is alone a turn for
//! nothing, so it is done where the last such group had several, and now and then to see whether the
//! next one has.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use strongroom_core::{AuditError, AuditRecord, Durability, Importance, Receipt};

use super::{FileLog, MAX_HELD_BYTES, OpenLog};
use crate::sync::Reached;

/// A caller who is alone looks for others once in so many records.
const LOOKS_EVERY: u32 = 64;

/// Lines that wait for one write. While a group gathers, the writer's mark is where it began.
#[derive(Debug, Default)]
pub(super) struct Group(OnceLock<Result<(), Failure>>);

/// The places of a caller's records, and the group that they are part of.
pub(super) type Joined = (Vec<Receipt>, Arc<Group>);

/// Why a group was not written, as each of it is told.
#[derive(Debug, Clone, Copy)]
enum Failure {
    Full,
    Other,
}

impl Failure {
    const fn of(error: &AuditError) -> Self {
        match error {
            AuditError::Full => Self::Full,
            _ => Self::Other,
        }
    }

    fn told(self) -> AuditError {
        match self {
            Self::Full => AuditError::Full,
            Self::Other => AuditError::unavailable("its file cannot be written: check the disk"),
        }
    }
}

/// The group that gathers, and whether callers come together.
#[derive(Debug, Default)]
pub(super) struct Groups {
    open: Option<Arc<Group>>,
    members: u32,
    /// The last group had several.
    is_crowd: bool,
    /// Records since a caller who was alone has looked for others.
    alone: u32,
}

impl Groups {
    fn gathers(&mut self) -> bool {
        if self.open.is_some() || self.is_crowd {
            return true;
        }
        self.alone = (self.alone + 1) % LOOKS_EVERY;
        self.alone == 0
    }

    pub(super) fn end(&mut self, written: Result<(), &AuditError>) {
        if let Some(group) = self.open.take() {
            self.is_crowd = std::mem::take(&mut self.members) > 1;
            let _ = group.0.set(written.map_err(Failure::of));
        }
    }
}

impl OpenLog {
    /// Leaves a decision in the group that gathers, where that is worth it. `None` where it is not, and
    /// nothing was done.
    pub(super) fn join(
        &mut self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Option<Joined>, AuditError> {
        // What a group that failed has decided, nothing came of. A write that was begun is something
        // else, and its caller knows at once whether it is on record.
        // Where one is refused for want of room all are, so nothing joins that may use the reserve.
        let is_decision = matches!(records, [record @ AuditRecord::Decision(_)]
            if record.importance() == Importance::Ordinary);
        let is_plain = is_decision && at_least > Durability::Held;
        if !is_plain || self.tail.is_torn() || self.tail.is_scarce() || !self.groups.gathers() {
            return Ok(None);
        }
        let joined = if self.groups.open.is_some() {
            self.writer.append_on(records)
        } else {
            self.writer.append(records)
        };
        // Of a record that was refused at most the names are there, which are as good as others.
        let receipts = joined?;
        let group = Arc::clone(self.groups.open.get_or_insert_default());
        self.groups.members += 1;
        if let Err(error) = self.admit(records.iter().map(AuditRecord::importance).min()) {
            self.groups.end(Err(&error));
            self.writer.rollback();
            return Err(error);
        }
        if self.writer.pending().len() > MAX_HELD_BYTES {
            self.end_group()?;
        }
        Ok(Some((receipts, group)))
    }

    /// Writes the group that gathers, if there is one, and tells it. What could not be written is
    /// undone.
    pub(super) fn end_group(&mut self) -> Result<(), AuditError> {
        if self.groups.open.is_none() {
            return Ok(());
        }
        self.flush().inspect_err(|error| {
            self.groups.end(Err(error));
            self.writer.rollback();
        })
    }
}

impl FileLog {
    /// Writes the group, unless another one of it has; then what is to be waited for.
    pub(super) async fn end_group(
        &self,
        group: &Group,
        receipt: &Receipt,
        at_least: Durability,
    ) -> Result<Option<Reached>, AuditError> {
        next_turn().await;
        let is_written = group.0.get().is_some_and(Result::is_ok);
        if is_written && at_least < Durability::Synced {
            return Ok(None);
        }
        let mut current = self.lock()?;
        let open = current.as_mut().filter(|open| open.writer.log() == receipt.log);
        let open = open.ok_or(AuditError::Closed)?;
        if group.0.get().is_none() {
            open.end_group()?;
        }
        match group.0.get() {
            Some(Ok(())) => {}
            Some(Err(failure)) => return Err(failure.told()),
            None => return Err(AuditError::Closed),
        }
        Ok((at_least == Durability::Synced).then(|| open.reach(receipt.index.saturating_add(1))))
    }
}

/// Lets the other tasks of this executor have a turn.
async fn next_turn() {
    let mut had = false;
    poll_fn(|context| {
        if std::mem::replace(&mut had, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
