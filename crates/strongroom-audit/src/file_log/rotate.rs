//! A log goes on in a new file where the last one is long or old.

use std::sync::Arc;

use strongroom_core::{AuditError, Timestamp};

use super::OpenLog;
use crate::folder::{Begun, Folder, LOG, begin, file_name};
use crate::sync::{Syncer, broken};
use crate::tail::Tail;

/// A rotation that failed is tried again after so many bytes more,
const RETRY_BYTES: u64 = 1024 * 1024;
/// or so many milliseconds later.
const RETRY_MILLIS: u64 = 60_000;

/// When a segment ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) millis: u64,
    /// So much room is kept in each for records of importance.
    pub(super) reserve: u64,
}

impl Limits {
    pub(super) const LEAST_BYTES: u64 = 4096;
    pub(super) const LEAST_MILLIS: u64 = 60_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 * 1024 * 1024, millis: 24 * 60 * 60 * 1000, reserve: 256 * 1024 }
    }
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Segments {
    folder: Box<dyn Folder>,
    limits: Limits,
    began: Timestamp,
    /// The length of the lines that it began with.
    head: u64,
    /// Where and when a rotation failed.
    pub(super) failed: Option<(u64, Timestamp)>,
}

impl Segments {
    pub(super) fn new(folder: impl Folder, limits: Limits, began: Timestamp, head: u64) -> Self {
        Self { folder: Box::new(folder), limits, began, head, failed: None }
    }

    /// Whether a segment of that length ends before the record that comes next.
    fn is_due(&self, length: u64, now: Timestamp) -> bool {
        let age = |then: Timestamp| now.as_millis().abs_diff(then.as_millis());
        // What is carried over may be long: a segment has at least as much of its own.
        let is_long = length >= self.limits.bytes.max(self.head.saturating_mul(2));
        let is_old = length > self.head && age(self.began) >= self.limits.millis;
        (is_long || is_old)
            && self.failed.is_none_or(|(at, then)| {
                length >= at.saturating_add(RETRY_BYTES) || age(then) >= RETRY_MILLIS
            })
    }
}

impl OpenLog {
    /// Goes on in a new file where this one is long or old. Where that is not possible now, for want
    /// of room, say, this one is written on.
    ///
    /// # Errors
    /// Where nobody can tell any more what the medium holds, which ends the log.
    pub(super) fn rotate_if_due(&mut self) -> Result<(), AuditError> {
        let now = self.writer.now();
        let length = self.tail.length() + self.writer.pending().len() as u64;
        if !self.segments.is_due(length, now) || self.check().is_err() {
            return Ok(());
        }
        self.segments.failed = Some((length, now));
        if self.flush().is_err() {
            return Ok(());
        }
        if !self.syncer.sync_now() {
            return Err(broken());
        }
        let Ok(number) = self.writer.begin_segment() else { return Ok(()) };
        let (folder, reserve) = (&*self.segments.folder, self.segments.limits.reserve);
        // INVARIANT: a segment is whole, and so on the medium, before the next one can be seen. What
        // is laid out in it is given up only for as much in the next one.
        let end_last = |next: &Tail| {
            if !next.has_reserve() {
                return Err(AuditError::Full);
            }
            self.tail.cut()?;
            if self.syncer.sync_now() { Ok(()) } else { Err(broken()) }
        };
        match begin(folder, number, self.writer.pending(), reserve, end_last) {
            Ok(begun) => self.go_on(begun, number, now),
            Err(_) => {
                self.writer.rollback();
                if self.syncer.has_failed() {
                    return Err(broken());
                }
                // It may have been cut off for the next one: before others take that room.
                self.tail.lay_out_reserve(0);
                Ok(())
            }
        }
    }

    fn go_on(&mut self, begun: Begun, number: u64, now: Timestamp) -> Result<(), AuditError> {
        let Begun { medium, tail, doubt } = begun;
        self.writer.written();
        let syncer = Syncer::new(Arc::clone(&medium), self.inline, self.writer.size());
        // All that anybody waits for is on the medium: nobody is told that the log is closed.
        std::mem::replace(&mut self.syncer, syncer).stop();
        // INVARIANT: the new file is locked already, so that the log is never without a lock.
        std::mem::replace(&mut self.medium, medium).unlock();
        self.file = file_name(self.writer.log(), number, LOG);
        self.segments.began = now;
        self.segments.head = tail.length();
        self.segments.failed = None;
        self.tail = tail;
        match doubt {
            None => Ok(()),
            Some(error) => {
                // A power cut may take the file, and all that would be written to it.
                self.syncer.fail();
                Err(error)
            }
        }
    }
}
