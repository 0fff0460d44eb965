//! Where the files of one log lie, as little of it as is needed, so that tests can make it fail.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_core::{AuditError, LogId};

use crate::medium::{Medium, failed};
use crate::tail::Tail;

/// How the name of a log's file ends.
pub(crate) const LOG: &str = "jsonl";
/// How the name of a file ends that is not whole yet.
pub(crate) const DRAFT: &str = "draft";

/// A file of a log is made under the name of a draft, and renamed once it is whole.
pub(crate) trait Folder: Debug + Send + Sync + 'static {
    /// Makes the draft of a segment, empty, for the owner alone, and locked. `None`: somebody who
    /// clears drafts away has come between.
    fn draft(&self, number: u64) -> Result<Option<Arc<dyn Medium>>, AuditError>;
    /// Gives the draft its name.
    fn publish(&self, number: u64) -> io::Result<()>;
    /// Whether a segment has its name, as far as can be told.
    fn is_published(&self, number: u64) -> bool;
    /// Waits until the names are on the medium.
    fn sync(&self) -> io::Result<()>;
    /// Removes the draft, where there is one.
    fn discard(&self, number: u64);
}

/// A file that was begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) medium: Arc<dyn Medium>,
    pub(crate) tail: Tail,
    /// It has its name, and nobody can tell whether a power cut takes that away again.
    pub(crate) doubt: Option<AuditError>,
}

/// A file that was not begun. Nothing of it is there.
#[derive(Debug)]
pub(crate) enum NotBegun {
    /// Somebody who clears drafts away has come between.
    Swept,
    Failed(AuditError),
}

/// Makes the file of a segment. It appears under its name with its first lines on the medium, and
/// locked: no crash leaves a segment without them, and no opener can take it for a dead one.
///
/// `end_last` is called once all of it is there but the name.
pub(crate) fn begin(
    folder: &dyn Folder,
    number: u64,
    lines: &[u8],
    reserve: u64,
    end_last: impl FnOnce(&Tail) -> Result<(), AuditError>,
) -> Result<Begun, NotBegun> {
    let undo = |error| {
        folder.discard(number);
        NotBegun::Failed(error)
    };
    let medium = folder.draft(number).map_err(undo)?.ok_or(NotBegun::Swept)?;
    medium.write_at(lines, 0).map_err(|error| undo(cannot(error)))?;
    let mut tail = Tail::new(Arc::clone(&medium), lines.len() as u64, reserve);
    tail.lay_out_reserve(0);
    tail.lay_out();
    medium.sync().map_err(|error| undo(cannot(error)))?;
    end_last(&tail).map_err(undo)?;
    let doubt = match folder.publish(number) {
        Ok(()) => folder.sync().err(),
        Err(error) if folder.is_published(number) => Some(error),
        Err(error) => return Err(undo(cannot(error))),
    };
    Ok(Begun { medium, tail, doubt: doubt.map(cannot) })
}

fn cannot(error: io::Error) -> AuditError {
    failed("its file cannot be made: check the directory", error)
}

/// The files of a log in a directory.
#[derive(Debug)]
pub(crate) struct LogFolder {
    dir: PathBuf,
    log: LogId,
}

impl LogFolder {
    pub(crate) fn new(dir: &Path, log: LogId) -> Self {
        Self { dir: dir.to_path_buf(), log }
    }

    fn path(&self, number: u64, ending: &str) -> PathBuf {
        self.dir.join(file_name(self.log, number, ending))
    }
}

impl Folder for LogFolder {
    fn draft(&self, number: u64) -> Result<Option<Arc<dyn Medium>>, AuditError> {
        if self.is_published(number) {
            return Err(cannot(io::ErrorKind::AlreadyExists.into()));
        }
        let file = new_file(&self.path(number, DRAFT)).map_err(cannot)?;
        let is_ours = lock(&file)? && file.metadata().map_err(cannot)?.nlink() > 0;
        Ok(is_ours.then(|| Arc::new(file) as _))
    }

    fn publish(&self, number: u64) -> io::Result<()> {
        std::fs::rename(self.path(number, DRAFT), self.path(number, LOG))
    }

    fn is_published(&self, number: u64) -> bool {
        !matches!(self.path(number, LOG).try_exists(), Ok(false))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn discard(&self, number: u64) {
        // What cannot be removed now, the next opener removes.
        let _ = std::fs::remove_file(self.path(number, DRAFT));
    }
}

/// The name of a segment's file: the first is named after the log alone.
pub(crate) fn file_name(log: LogId, number: u64, ending: &str) -> String {
    match number {
        0 => format!("{log}.{ending}"),
        _ => format!("{log}.{number:06}.{ending}"),
    }
}

/// The log and the number that a file is named after, whatever its ending.
pub(crate) fn named_after(path: &Path) -> Option<(LogId, u64)> {
    let ending = path.extension()?.to_str()?;
    let name = path.file_name()?.to_str()?;
    let (log, rest) = name.split_once('.')?;
    let log = log.parse().ok()?;
    let number = match rest.split_once('.') {
        None => 0,
        Some((number, _)) => number.parse().ok()?,
    };
    (file_name(log, number, ending) == name).then_some((log, number))
}

pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Whether the lock could be had. It is held as long as the file is open.
pub(crate) fn lock(file: &File) -> Result<bool, AuditError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => {
            Err(failed("its file cannot be locked: use a local file system", error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_spelled_in_one_way() {
        let log = LogId::from_bytes([0xab; 8]);
        for number in [0, 1, 42, 999_999, 1_000_000, u64::MAX] {
            for ending in [LOG, DRAFT] {
                let name = file_name(log, number, ending);
                assert_eq!(named_after(Path::new(&name)), Some((log, number)), "{name}");
            }
        }
        assert_eq!(file_name(log, 7, LOG), "abababababababab.000007.jsonl");
        for bad in ["000000.jsonl", "1.jsonl", "0000001.jsonl", "+00001.jsonl", "000001.x.jsonl"] {
            assert_eq!(named_after(Path::new(&format!("{log}.{bad}"))), None, "{bad}");
        }
        assert_eq!(named_after(Path::new(&log.to_string())), None);
    }
}
