//! The directory as it is pruned: how its logs are read, and what is removed of it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use strongroom_core::{AuditError, LogId, Pruned, PrunedPart, Removed, Timestamp};

use super::{Plan, PrunableLogs, Rules, SegmentEnd, plan_of};
use crate::dead::Lines;
use crate::dir::{LogFile, first_line, logs};
use crate::folder::{LOG, file_name, lock};
use crate::line::Line;
use crate::medium::failed;
use crate::read::read_line;
use crate::settled;

/// Reads all logs of a directory, and finds what may go.
///
/// # Errors
/// `Suspect` where something is wrong with the logs; where they cannot be read.
pub(crate) fn plan(dir: &Path, rules: &Rules<'_>, at: Timestamp) -> Result<Plan, AuditError> {
    plan_of(&Directory(dir), rules, at)
}

struct Directory<'a>(&'a Path);

impl Directory<'_> {
    /// `None` where the file is gone.
    fn open(&self, log: LogId, segment: u64) -> Result<Option<File>, AuditError> {
        match File::open(self.0.join(file_name(log, segment, LOG))) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            file => file.map(Some).map_err(unreadable),
        }
    }
}

fn unreadable(error: std::io::Error) -> AuditError {
    failed("a log cannot be read: check its permissions", error)
}

impl PrunableLogs for Directory<'_> {
    fn segments(&self) -> Result<Vec<(LogId, Vec<u64>)>, AuditError> {
        let numbers = |file: &LogFile| file.segments.iter().map(|it| it.number).collect();
        Ok(logs(self.0)?.iter().map(|file| (file.log, numbers(file))).collect())
    }

    fn read(
        &self,
        log: LogId,
        segment: u64,
        is_last: bool,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<SegmentEnd, AuditError> {
        let Some(file) = self.open(log, segment)? else { return Ok(SegmentEnd::Gone) };
        let mut lines = Lines::new(&file, is_last).map_err(unreadable)?;
        while let Some(bytes) = lines.next().map_err(unreadable)? {
            line(bytes);
        }
        Ok(if lines.has_torn_end() { SegmentEnd::Torn } else { SegmentEnd::Whole })
    }

    fn is_written(&self, log: LogId, segment: u64) -> Result<bool, AuditError> {
        let file = self.open(log, segment)?;
        file.map_or(Ok(false), |file| Ok(!lock(&file)?))
    }
}

/// Removes what a snapshot tells of. A crash in between leaves the end of a log, and the next one who
/// prunes goes on.
pub(crate) fn remove(dir: &Path, own: LogId, pruned: &Pruned) -> Result<Removed, AuditError> {
    let mut removed = Removed::default();
    for part in &pruned.parts {
        let file = LogFile::find(dir, part.log)?;
        for path in to_remove(&file, part, own)? {
            removed.add(remove_file(&path)?);
        }
        if part.is_whole && part.log != own {
            removed.add(remove_file(&settled::note_of(dir, part.log))?);
        }
    }
    let cannot = |error| failed("its directory cannot be synced", error);
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(cannot)?;
    Ok(removed)
}

/// The files of a part, the oldest first.
fn to_remove(file: &LogFile, part: &PrunedPart, own: LogId) -> Result<Vec<PathBuf>, AuditError> {
    if part.is_whole && part.log != own {
        return Ok(file.segments.iter().map(|segment| segment.path.clone()).collect());
    }
    let mut paths = Vec::new();
    for pair in file.segments.windows(2) {
        let [segment, next] = pair else { continue };
        let begins = first_line(&next.path)?.and_then(|line| read_line(&line).ok());
        match begins {
            Some(Line::Segment(begins)) if begins.size <= part.size => {
                paths.push(segment.path.clone());
            }
            _ => break,
        }
    }
    Ok(paths)
}

/// The bytes that it had; `None` where it is gone already.
fn remove_file(path: &Path) -> Result<Option<u64>, AuditError> {
    let gone = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Ok(None),
        _ => Err(failed("a file cannot be removed: check the directory's permissions", error)),
    };
    match std::fs::metadata(path) {
        Ok(found) => std::fs::remove_file(path).map(|()| Some(found.len())).or_else(gone),
        Err(error) => gone(error),
    }
}
