//! The end of a log's file, where its writer appends.
//!
//! Zero bytes are laid out ahead of it. A record that is written over them changes neither the
//! length of the file nor where its blocks are, so that its sync waits for its own bytes and for
//! nothing that the file system keeps about the file. No line has a zero byte: whatever a power cut
//! leaves of records that were not synced, a reader sees where the log ends.
//!
//! They are room, too, which nobody else on the disk can take: a part of it, the reserve, is kept for
//! records that must be taken though the disk is full.

use std::sync::Arc;

use strongroom_core::{AuditError, Importance};

use crate::medium::{Medium, failed};
use crate::sync::{Syncer, broken};

/// So many zero bytes are laid out at a time.
pub(crate) const STEP: usize = 64 * 1024;
static ZEROS: [u8; STEP] = [0; STEP];
/// And no fewer than so many, where the disk is nearly full.
const LEAST_STEP: usize = 512;

/// The largest reserve.
pub(crate) const MAX_RESERVE: u64 = 4 * 1024 * 1024;
/// The most zero bytes that a writer lays out ahead.
pub(crate) const MAX_LAID_OUT: u64 = 2 * MAX_RESERVE + 1024 * 1024;
/// Where no more could be laid out, it is tried again after so many bytes of lines.
const RETRY: u64 = STEP as u64 / 4;

/// Where the next line goes.
#[derive(Debug)]
pub(crate) struct Tail {
    medium: Arc<dyn Medium>,
    /// Bytes of the file that are whole lines and count.
    length: u64,
    /// Up to here the file has zero bytes behind them; 0 where it has none.
    laid_out: u64,
    /// A write failed, and what it left is not known to be gone from the medium.
    torn: bool,
    /// So much room is kept for records of importance.
    reserve: u64,
    /// Where it is tried again to lay out more, after that failed.
    retry: Option<u64>,
}

impl Tail {
    /// The tail of a file that has so many bytes of lines, and zero bytes or nothing behind them.
    pub(crate) const fn new(medium: Arc<dyn Medium>, length: u64, reserve: u64) -> Self {
        Self { medium, length, laid_out: 0, torn: false, reserve, retry: None }
    }

    /// Bytes of the file that are whole lines and count.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Whether a write that failed has left something that is still to be cut off.
    pub(crate) const fn is_torn(&self) -> bool {
        self.torn
    }

    /// Whether no more could be laid out when that was tried last.
    pub(crate) const fn is_scarce(&self) -> bool {
        self.retry.is_some()
    }

    /// Whether the reserve is there.
    pub(crate) const fn has_reserve(&self) -> bool {
        self.has_room(0, self.reserve)
    }

    /// Whether lines of so many bytes leave so much of what is laid out. Without a reserve nothing is
    /// kept, and what does not fit is found out by writing it.
    const fn has_room(&self, bytes: u64, left: u64) -> bool {
        self.reserve == 0 || self.length.saturating_add(bytes).saturating_add(left) <= self.laid_out
    }

    /// Lays out zero bytes where there are none. Called before a sync, which then takes the new
    /// length along, and never for lines that nobody syncs, but for the reserve.
    ///
    /// Nothing rests on its success: where the disk is full, records that fit are still taken.
    pub(crate) fn lay_out(&mut self) {
        if self.length >= self.laid_out {
            self.laid_out = self.length;
            self.extend(self.length + 1);
        }
    }

    /// Lays out so much that lines of so many bytes leave twice the reserve, as far as there is room.
    pub(crate) fn lay_out_reserve(&mut self, bytes: u64) {
        let end = self.length.saturating_add(bytes);
        if self.reserve == 0 || self.torn {
            return;
        }
        self.laid_out = self.laid_out.max(self.length);
        let is_there = self.extend(end.saturating_add(2 * self.reserve));
        self.retry = (!is_there).then(|| end.saturating_add(RETRY));
    }

    /// Lays out zero bytes up to there at least; `false` where there is no room for all of them. Then
    /// what there is room for is laid out, but for less than the least step.
    fn extend(&mut self, until: u64) -> bool {
        let mut zeros = ZEROS.as_slice();
        while self.laid_out < until {
            if self.medium.write_at(zeros, self.laid_out).is_ok() {
                self.laid_out += zeros.len() as u64;
            } else if zeros.len() > LEAST_STEP {
                zeros = zeros.get(..zeros.len() / 2).unwrap_or_default();
            } else {
                return false;
            }
        }
        true
    }

    /// Whether lines of so many bytes leave all that is wanted, but for a last step.
    pub(crate) fn has_all(&self, bytes: u64) -> bool {
        let wanted = (2 * self.reserve).saturating_sub(STEP as u64).max(self.reserve);
        self.retry.is_none() && self.has_room(bytes, wanted)
    }

    /// Whether lines of so many bytes that are to be written may be: room for what is more important
    /// must be left. Lays more out where that is due.
    ///
    /// # Errors
    /// `Full`.
    pub(crate) fn admit(&mut self, bytes: u64, importance: Importance) -> Result<(), AuditError> {
        let left = match importance {
            Importance::Ordinary => self.reserve,
            Importance::Refusal => self.reserve / 2,
            Importance::Essential => 0,
        };
        let is_due = match self.retry {
            None => true,
            Some(at) => self.length.saturating_add(bytes) >= at || !self.has_room(bytes, left),
        };
        if is_due {
            self.lay_out_reserve(bytes);
        }
        if self.has_room(bytes, left) { Ok(()) } else { Err(AuditError::Full) }
    }

    /// Writes the last line, and cuts off what is laid out behind it. In this order, since on a full
    /// disk the line has no other room than that. A sync must follow, of both.
    pub(crate) fn end(&mut self, line: &[u8], syncer: &Syncer) -> Result<(), AuditError> {
        self.append(line, syncer)?;
        // A power cut may leave one without the other. Cut off without the line there are zero bytes
        // where it should be, and the log is dead; zero bytes behind the line are no harm, so that
        // the log is ended though they cannot be cut off.
        let _ = self.cut();
        Ok(())
    }

    /// Writes whole lines, all or none of them. What does not fit into what is laid out is not tried
    /// where there is a reserve: a write that fails gives all of that to whoever fills the disk.
    pub(crate) fn append(&mut self, lines: &[u8], syncer: &Syncer) -> Result<(), AuditError> {
        self.mend(syncer)?;
        let bytes = lines.len() as u64;
        if !self.has_room(bytes, 0) {
            self.lay_out_reserve(bytes);
            if !self.has_room(bytes, 0) {
                return Err(AuditError::Full);
            }
        }
        if let Err(error) = self.medium.write_at(lines, self.length) {
            self.torn = true;
            // Done again, and waited for, before anything follows: a reader need not see it.
            let _ = self.cut();
            return Err(failed("its file cannot be written: check the disk", error));
        }
        self.length += bytes;
        Ok(())
    }

    /// Cuts off what a failed write has left, if one has, and waits until that is so on the medium:
    /// after a power cut it must not stand among the lines that are written next.
    pub(crate) fn mend(&mut self, syncer: &Syncer) -> Result<(), AuditError> {
        if !self.torn {
            return Ok(());
        }
        self.cut()?;
        if !syncer.sync_now() {
            return Err(broken());
        }
        self.torn = false;
        Ok(())
    }

    /// Cuts off all that stands behind the last line.
    pub(crate) fn cut(&mut self) -> Result<(), AuditError> {
        self.medium
            .cut(self.length)
            .map_err(|error| failed("its file cannot be cut to its last line", error))?;
        self.laid_out = 0;
        Ok(())
    }
}
