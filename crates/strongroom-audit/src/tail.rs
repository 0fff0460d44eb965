//! The end of a log's file, where its writer appends.
//!
//! Zero bytes are laid out ahead of it. A record that is written over them changes neither the
//! length of the file nor where its blocks are, so that its sync waits for its own bytes and for
//! nothing that the file system keeps about the file. No line has a zero byte: whatever a power cut
//! leaves of records that were not synced, a reader sees where the log ends.

use std::sync::Arc;

use strongroom_core::AuditError;

use crate::medium::{Medium, failed};
use crate::sync::{Syncer, broken};

/// So many zero bytes are laid out at a time.
pub(crate) const STEP: usize = 64 * 1024;
static ZEROS: [u8; STEP] = [0; STEP];

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
}

impl Tail {
    /// The tail of a file that has so many bytes of lines, and zero bytes or nothing behind them.
    pub(crate) const fn new(medium: Arc<dyn Medium>, length: u64) -> Self {
        Self { medium, length, laid_out: 0, torn: false }
    }

    /// Bytes of the file that are whole lines and count.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Whether a write that failed has left something that is still to be cut off.
    pub(crate) const fn is_torn(&self) -> bool {
        self.torn
    }

    /// Lays out zero bytes where there are none. Called before a sync, which then takes the new
    /// length along, and never for lines that nobody syncs.
    ///
    /// Nothing rests on its success: where the disk is full, records that fit are still taken.
    pub(crate) fn lay_out(&mut self) {
        if self.length >= self.laid_out && self.medium.write_at(&ZEROS, self.length).is_ok() {
            self.laid_out = self.length + STEP as u64;
        }
    }

    /// Writes the last line, with nothing laid out behind it but for a power cut.
    pub(crate) fn end(&mut self, line: &[u8], syncer: &Syncer) -> Result<(), AuditError> {
        self.cut()?;
        self.append(line, syncer)
    }

    /// Writes whole lines, all or none of them.
    pub(crate) fn append(&mut self, lines: &[u8], syncer: &Syncer) -> Result<(), AuditError> {
        if self.torn {
            self.mend(syncer)?;
        }
        if let Err(error) = self.medium.write_at(lines, self.length) {
            self.torn = true;
            // Done again, and waited for, before anything follows: a reader need not see it.
            let _ = self.cut();
            return Err(failed("its file cannot be written: check the disk", error));
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed write has left, and waits until that is so on the medium: after a
    /// power cut it must not stand among the lines that are written next.
    fn mend(&mut self, syncer: &Syncer) -> Result<(), AuditError> {
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
