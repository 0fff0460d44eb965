//! How much of a directory of logs goes into a backup, while others write to it.
//!
//! Logs cite one another, and each is looked at a moment later than the one before. So lengths are
//! taken twice, the second time without what was cited since the first: whatever a log of the backup
//! cites, the others have.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use strongroom_core::{AuditError, LogId};

use crate::dir::{file_name, length_of_lines, whole_entries};
use crate::folder::{LOG, named_after};
use crate::medium::failed;
use crate::settled::SETTLED;

/// How the line begins that cites another log, after the end of the line before it.
const CITED: &[u8] = b"\n{\"t\":\"cited\",";

/// Name and length of each segment and marker.
pub(crate) fn files(dir: &Path) -> Result<Vec<(String, u64)>, AuditError> {
    let before: HashMap<String, u64> =
        lengths(dir)?.into_iter().map(|file| (file.name, file.length)).collect();
    let (mut files, mut cut) = (Vec::new(), HashMap::<LogId, u64>::new());
    // Of a log in order: what follows what was cut off is left out, too.
    for Found { log, number, name, length } in lengths(dir)? {
        if cut.get(&log).is_some_and(|last| number > *last) {
            continue;
        }
        let known = before.get(&name).copied().unwrap_or_default();
        let cited = File::open(dir.join(&name)).and_then(|file| first_cited(&file, known, length));
        let Some(cited) = unless_pruned(cited)? else { continue };
        if cited.is_some() {
            cut.insert(log, number);
        }
        files.push((name, cited.unwrap_or(length)));
    }
    Ok(files)
}

struct Found {
    log: LogId,
    number: u64,
    name: String,
    length: u64,
}

/// What there is, in order of logs and segments.
fn lengths(dir: &Path) -> Result<Vec<Found>, AuditError> {
    let mut files = Vec::new();
    for path in whole_entries(dir)? {
        let is_ours = path.extension().is_some_and(|text| text == LOG || text == SETTLED);
        if is_ours
            && let Some((log, number)) = named_after(&path)
            && let Some(length) =
                unless_pruned(File::open(&path).and_then(|file| length_of_lines(&file)))?
        {
            files.push(Found { log, number, name: file_name(&path), length });
        }
    }
    files.sort_unstable_by(|a, b| (a.log, a.number, &a.name).cmp(&(b.log, b.number, &b.name)));
    Ok(files)
}

/// Where the first line between two places begins that cites another log.
fn first_cited(file: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    // With what was there of a line when the length was taken, and the line end before it.
    let from = from.saturating_sub(CITED.len() as u64);
    let size = usize::try_from(to.saturating_sub(from)).unwrap_or_default();
    let mut part = vec![0; size];
    match file.read_exact_at(&mut part, from) {
        // What could not be written whole was cut off again.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let found = part.windows(CITED.len()).position(|window| window == CITED);
    Ok(found.map(|at| from + at as u64 + 1))
}

/// `None` where the file was pruned since it was listed.
fn unless_pruned<T>(read: io::Result<T>) -> Result<Option<T>, AuditError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("a file cannot be read: check its permissions", error)),
    }
}
