//! Room on the disk that is kept back for what takes access away.
//!
//! Beside the database lies a file of zero bytes. Where the disk is full, a batch that is
//! [essential](strongroom_core::Batch::is_essential), and whatever erases, gets what this gives up;
//! what of it is left is laid out again, so that others do not take it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::place::{self, Place};

/// How much is kept back: for some twenty changes of small secrets, whose pages find room in the
/// write-ahead file again once they are carried over.
pub(crate) const RESERVE_BYTES: u64 = 512 * 1024;
/// Laid out at once.
static ZEROS: [u8; 128 * 1024] = [0; 128 * 1024];

/// The file that keeps room back. Whoever uses it holds the lock of writers.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    /// Whether all of it was seen, or laid out. Another process may have given it up since.
    is_whole: bool,
}

impl Reserve {
    pub(crate) fn new(place: &Place) -> Self {
        Self { path: place.beside(".reserve"), is_whole: false }
    }

    /// Lays out what is missing, as far as there is room.
    pub(crate) fn lay_out(&mut self) {
        self.is_whole = self.is_whole || self.fill().is_ok();
    }

    pub(crate) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    fn fill(&self) -> io::Result<()> {
        let file = place::open_or_create_private(&self.path)?;
        let mut at = file.metadata()?.len();
        while at < RESERVE_BYTES {
            let missing = usize::try_from(RESERVE_BYTES - at).unwrap_or(usize::MAX);
            let zeros = ZEROS.get(..missing).unwrap_or(&ZEROS);
            at += file.write_at(zeros, at)? as u64;
        }
        Ok(())
    }

    /// Gives the room back to the disk: so many bytes.
    pub(crate) fn give_up(&mut self) -> u64 {
        self.is_whole = false;
        let emptied = OpenOptions::new().write(true).open(&self.path).and_then(|file: File| {
            let length = file.metadata()?.len();
            file.set_len(0)?;
            Ok(length)
        });
        emptied.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_laid_out_once_and_again_when_it_was_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::resolve(&dir.path().join("secrets.db")).unwrap();
        let length = || fs::metadata(place.beside(".reserve")).map_or(0, |found| found.len());
        let mut reserve = Reserve::new(&place);
        assert_eq!(reserve.give_up(), 0);
        reserve.lay_out();
        assert_eq!(length(), RESERVE_BYTES);
        let mut other = Reserve::new(&place);
        assert_eq!(other.give_up(), RESERVE_BYTES);
        assert_eq!(length(), 0);
        other.lay_out();
        assert_eq!(length(), RESERVE_BYTES);
        // A file that is cut is made whole by the next one.
        File::options().write(true).open(place.beside(".reserve")).unwrap().set_len(100).unwrap();
        Reserve::new(&place).lay_out();
        assert_eq!(length(), RESERVE_BYTES);
    }
}
