//! Room on the disk that is kept back for what takes access away.
//!
//! Beside the database lies a file of zero bytes. Where the disk is full, a batch that is
//! [essential](strongroom_core::Batch::is_essential), and whatever erases, gets as much as it needs of
//! that; what is left then is laid out again, so that others do not take it.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::place::{self, Place};

/// How much is kept back: for some twenty changes of small secrets, whose pages find room in the
/// write-ahead file again once they are carried over.
pub(crate) const RESERVE_BYTES: u64 = 512 * 1024;
/// Laid out at once.
static ZEROS: [u8; 128 * 1024] = [0; 128 * 1024];

/// So much of it is given up at a time: others may be faster to take it.
const STEP: u64 = 64 * 1024;

/// The file that keeps room back. Whoever uses it holds the lock of writers.
#[derive(Debug)]
pub(crate) struct Reserve(PathBuf);

impl Reserve {
    pub(crate) fn new(place: &Place) -> Self {
        Self(place.beside(".reserve"))
    }

    /// Lays out what is missing, as far as there is room. Whether all of it is there.
    pub(crate) fn lay_out(&self) -> bool {
        // Asked each time: another process may have used it, or somebody taken it for nothing.
        let is_whole = fs::symlink_metadata(&self.0).is_ok_and(|it| it.len() >= RESERVE_BYTES);
        is_whole || self.fill().is_ok()
    }

    fn fill(&self) -> io::Result<()> {
        let file = place::open_or_create_private(&self.0)?;
        let mut at = file.metadata()?.len();
        while at < RESERVE_BYTES {
            let missing = usize::try_from(RESERVE_BYTES - at).unwrap_or(usize::MAX);
            let zeros = ZEROS.get(..missing).unwrap_or(&ZEROS);
            file.write_all_at(zeros, at)?;
            at += zeros.len() as u64;
        }
        Ok(())
    }

    /// Gives some of the room back to the disk. `false` where no more than that is left of it.
    pub(crate) fn give_up(&self, keep: u64) -> bool {
        let cut = || {
            let file = place::open_or_create_private(&self.0)?;
            let length = file.metadata()?.len();
            let left = length.saturating_sub(STEP).max(keep);
            if left < length {
                file.set_len(left)?;
            }
            Ok::<_, io::Error>(left < length)
        };
        cut().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn it_is_given_up_in_steps_and_laid_out_again() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::resolve(&dir.path().join("secrets.db")).unwrap();
        let file = place.beside(".reserve");
        let length = || fs::metadata(&file).map_or(0, |found| found.len());
        let reserve = Reserve::new(&place);
        assert!(!reserve.give_up(0));
        assert!(reserve.lay_out());
        assert_eq!(length(), RESERVE_BYTES);
        assert!(reserve.give_up(RESERVE_BYTES - 1));
        assert!(!reserve.give_up(RESERVE_BYTES - 1));
        assert_eq!((1..20).filter(|_| reserve.give_up(0)).count(), 8);
        assert_eq!(length(), 0);
        for spoil in [|_: &File| Ok(()), |file: &File| file.set_len(100)] {
            spoil(&File::options().write(true).open(&file).unwrap()).unwrap();
            assert!(Reserve::new(&place).lay_out());
            assert_eq!(length(), RESERVE_BYTES);
        }
        // It is nothing that somebody else put there.
        fs::remove_file(&file).unwrap();
        fs::write(dir.path().join("other"), "other").unwrap();
        std::os::unix::fs::symlink(dir.path().join("other"), &file).unwrap();
        assert!(!reserve.give_up(0) && !reserve.lay_out());
        assert_eq!(fs::read(dir.path().join("other")).unwrap(), b"other");
    }
}
