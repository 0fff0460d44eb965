//! Reads the lines of all logs of a directory back, a page at a time.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use strongroom_core::{AuditError, LogId, Receipt};

use crate::dead::Lines;
use crate::dir::logs;
use crate::medium::failed;

/// Remembers where the last page ended, so that reading all pages reads each byte once.
#[derive(Debug)]
pub(crate) struct DirReader {
    dir: PathBuf,
    place: Mutex<Option<Place>>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    after: Receipt,
    offset: u64,
}

impl DirReader {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), place: Mutex::new(None) }
    }

    pub(crate) fn read(
        &self,
        after: Option<&Receipt>,
        limit: NonZeroU32,
    ) -> Result<Vec<(Receipt, Vec<u8>)>, AuditError> {
        let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        let mut page = Vec::new();
        let mut place = *self.place.lock().unwrap_or_else(PoisonError::into_inner);
        for file in logs(&self.dir)? {
            let (mut index, mut offset) = match after {
                Some(after) if file.log < after.log => continue,
                Some(after) if file.log == after.log => match place {
                    Some(place) if place.after == *after => (after.index + 1, place.offset),
                    _ => (0, 0),
                },
                _ => (0, 0),
            };
            let first = after.filter(|after| after.log == file.log).map_or(0, |at| at.index + 1);
            let unreadable = |error| failed("a log cannot be read", error);
            let handle = at(&file.path, offset).map_err(unreadable)?;
            let mut lines = Lines::new(&handle).map_err(unreadable)?;
            while page.len() < limit {
                let Some(line) = lines.next().map_err(unreadable)? else { break };
                offset += line.len() as u64 + 1;
                if index >= first {
                    let after = receipt(file.log, index);
                    page.push((after, line.to_vec()));
                    place = Some(Place { after, offset });
                }
                index += 1;
            }
            if page.len() >= limit {
                break;
            }
        }
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        Ok(page)
    }
}

fn at(path: &Path, offset: u64) -> std::io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

const fn receipt(log: LogId, index: u64) -> Receipt {
    Receipt { log, index }
}
