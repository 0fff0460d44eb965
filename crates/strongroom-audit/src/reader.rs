//! Reads the lines of all logs of a directory back, a page at a time.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use strongroom_core::{AuditError, Receipt};

use crate::dead::Lines;
use crate::dir::logs;
use crate::line::Line;
use crate::medium::failed;
use crate::read::read_line;

/// Remembers where the last page ended, so that reading all pages reads each byte once.
#[derive(Debug)]
pub(crate) struct DirReader {
    dir: PathBuf,
    place: Mutex<Option<Place>>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    after: Receipt,
    segment: u64,
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
            let after = match after {
                Some(after) if file.log < after.log => continue,
                after => after.filter(|after| file.log == after.log),
            };
            let first = after.map_or(0, |after| after.index.saturating_add(1));
            let known = place.filter(|place| after == Some(&place.after));
            let mut index = known.map_or(0, |_| first);
            for (segment, is_last) in file.in_order() {
                let mut offset = match known {
                    Some(place) if segment.number < place.segment => continue,
                    Some(place) if segment.number == place.segment => place.offset,
                    _ => 0,
                };
                let unreadable = |error| failed("a log cannot be read", error);
                let handle = match at(&segment.path, offset) {
                    // It was pruned since it was listed.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    handle => handle.map_err(unreadable)?,
                };
                let mut lines = Lines::new(&handle, is_last).map_err(unreadable)?;
                while page.len() < limit {
                    let Some(line) = lines.next().map_err(unreadable)? else { break };
                    if offset == 0 {
                        index = index.max(begins_at(line));
                    }
                    offset += line.len() as u64 + 1;
                    if index >= first {
                        let after = Receipt { log: file.log, index };
                        page.push((after, line.to_vec()));
                        place = Some(Place { after, segment: segment.number, offset });
                    }
                    index += 1;
                }
                if page.len() >= limit {
                    break;
                }
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

/// The index that a first line says it has. Where segments are missing in front of it, the lines
/// behind keep theirs.
fn begins_at(line: &[u8]) -> u64 {
    match read_line(line) {
        Ok(Line::Segment(segment)) => segment.size,
        _ => 0,
    }
}
