//! How many commits there were, in the lock file: what a reader of another process can ask for
//! without a lock.
//!
//! ```text
//! count u64 | its complement u64        big-endian, odd from before a commit can be seen until after
//! ```
//!
//! Only who holds the lock counts. A writer that was killed between the two, or whose commit failed,
//! leaves an odd count, which says nothing: readers then ask SQLite itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use strongroom_core::StorageError;

use crate::error;

const BYTES: usize = 16;

/// The count; `None` where there is none yet, or where it is being written.
pub(crate) fn read(file: &File) -> Option<u64> {
    let mut bytes = [0; BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let (count, complement) = bytes.split_first_chunk()?;
    let (count, complement) =
        (u64::from_be_bytes(*count), u64::from_be_bytes(*complement.first_chunk()?));
    // A reader may meet half of a write.
    (count == !complement).then_some(count)
}

fn write(file: &File, count: u64) -> io::Result<()> {
    let mut bytes = [0; BYTES];
    let (start, end) = bytes.split_at_mut(BYTES / 2);
    start.copy_from_slice(&count.to_be_bytes());
    end.copy_from_slice(&(!count).to_be_bytes());
    file.write_all_at(&bytes, 0)
}

/// A commit under way: the count is odd, and stays so where this is dropped.
#[derive(Debug)]
#[must_use = "a count that is not ended makes every reader ask SQLite"]
pub(crate) struct Counting<'a> {
    file: &'a File,
    count: u64,
}

impl<'a> Counting<'a> {
    /// Counts a commit before it can be seen. The caller holds the lock.
    ///
    /// A file without a count, which is new or was cut, begins at `first`: a number that no file of
    /// that name was at before, since readers may still hold a mark with it.
    pub(crate) fn begin(file: &'a File, first: impl FnOnce() -> u64) -> Result<Self, StorageError> {
        // The first count after a killed writer's must differ from it too.
        let count = match read(file).unwrap_or_else(first) {
            even if even.is_multiple_of(2) => even.wrapping_add(1),
            odd => odd.wrapping_add(2),
        };
        write(file, count).map_err(|e| error::io("counting a commit in the lock file", e))?;
        Ok(Self { file, count })
    }

    /// Ends the count of a commit that was done. One that failed is not ended: nobody knows then
    /// whether and when it can be seen.
    pub(crate) fn done(self) {
        // Where this fails the count stays odd, and readers ask SQLite.
        let _ = write(self.file, self.count.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_odd_during_a_commit_and_new_after_it() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(read(&file), None);
        let counting = Counting::begin(&file, || 100).unwrap();
        assert_eq!(read(&file), Some(101));
        counting.done();
        assert_eq!(read(&file), Some(102));
        // One that failed says nothing until the next one is done.
        drop(Counting::begin(&file, || 0).unwrap());
        assert_eq!(read(&file), Some(103));
        let counting = Counting::begin(&file, || 0).unwrap();
        assert_eq!(read(&file), Some(105));
        counting.done();
        assert_eq!(read(&file), Some(106));
    }

    #[test]
    fn half_a_count_is_none() {
        let file = tempfile::tempfile().unwrap();
        Counting::begin(&file, || 0).unwrap().done();
        file.write_all_at(&[1], 7).unwrap();
        assert_eq!(read(&file), None);
    }
}
