//! The directory of the logs: what is in it, and how its files are made.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use strongroom_core::{AuditError, DirectoryId, LogId, StoreIdentity};

use crate::folder::{self, Begun, DRAFT, LOG, LogFolder, NotBegun, lock, named_after, new_file};
use crate::medium::failed;
use crate::read::MAX_LINE_BYTES;
use crate::settled::SETTLED;
use crate::tail::{MAX_LAID_OUT, STEP};
use crate::writer::LineWriter;

/// A log of the directory.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    pub(crate) log: LogId,
    /// In the order of their numbers.
    pub(crate) segments: Vec<Segment>,
    /// A note lies beside it that another log has settled it. A hint, which `verify` does not trust.
    pub(crate) settled: bool,
}

/// A file of a log.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
}

impl LogFile {
    /// The log of that id: its files as far as one follows another. The first of them may be gone.
    pub(crate) fn find(dir: &Path, log: LogId) -> Result<Self, AuditError> {
        let none = Self { log, segments: Vec::new(), settled: false };
        Ok(logs(dir)?.into_iter().find(|file| file.log == log).unwrap_or(none))
    }

    /// The segment that its writer has begun after this one, if any.
    pub(crate) fn next(&self, segment: &Segment) -> io::Result<Option<Segment>> {
        let number = segment.number.saturating_add(1);
        let path = segment.path.with_file_name(folder::file_name(self.log, number, LOG));
        Ok(path.try_exists()?.then_some(Segment { number, path }))
    }

    /// Each segment, and whether it is the last one. All others are whole.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (&Segment, bool)> {
        let last = self.segments.last().map(|last| last.number);
        self.segments.iter().map(move |segment| (segment, Some(segment.number) == last))
    }
}

/// The logs, by id. None where there is no directory.
pub(crate) fn logs(dir: &Path) -> Result<Vec<LogFile>, AuditError> {
    let (mut logs, mut settled) = (BTreeMap::<LogId, Vec<Segment>>::new(), Vec::new());
    for path in whole_entries(dir)? {
        let Some((log, number)) = named_after(&path) else { continue };
        match path.extension().and_then(|text| text.to_str()) {
            Some(LOG) => logs.entry(log).or_default().push(Segment { number, path }),
            Some(SETTLED) if number == 0 => settled.push(log),
            _ => {}
        }
    }
    settled.sort_unstable();
    let file = |(log, mut segments): (LogId, Vec<Segment>)| {
        segments.sort_unstable_by_key(|segment| segment.number);
        LogFile { log, segments, settled: settled.binary_search(&log).is_ok() }
    };
    Ok(logs.into_iter().map(file).collect())
}

/// The same as [`entries`], listed until no segment is left out: one that appears meanwhile may be,
/// and the next one be there.
pub(crate) fn whole_entries(dir: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let mut paths = entries(dir)?;
    for _ in 0..3 {
        if !has_hole(&paths) {
            break;
        }
        paths = entries(dir)?;
    }
    Ok(paths)
}

fn has_hole(paths: &[PathBuf]) -> bool {
    let is_log = |path: &&PathBuf| path.extension().is_some_and(|text| text == LOG);
    let mut found: Vec<_> =
        paths.iter().filter(is_log).filter_map(|path| named_after(path)).collect();
    found.sort_unstable();
    found.windows(2).any(|pair| {
        matches!(pair, [(log, one), (other, next)] if log == other && one.checked_add(1) != Some(*next))
    })
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let unreadable =
        |error| failed("its directory cannot be read: check path and permissions", error);
    match std::fs::read_dir(dir) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(unreadable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(error)),
    }
}

/// The file's name without the directory, for messages and backups.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Makes the directory where it is missing, readable by the owner alone from the start, and its
/// names durable: what is synced in it later must not be lost with it.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    let named = |path: &&Path| !path.as_os_str().is_empty();
    let missing: Vec<&Path> =
        dir.ancestors().filter(named).take_while(|path| !path.exists()).collect();
    for path in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(path) {
            // Somebody else has just made it; what is no directory is in the way.
            Err(error) if !path.is_dir() => return Err(error),
            _ => {}
        }
        let parent = path.parent().filter(named).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Waits until nobody else begins the first log of the directory, and keeps others waiting as long
/// as the answer is held.
pub(crate) fn lock_all(dir: &Path) -> Result<File, AuditError> {
    let cannot = |error| failed("its directory cannot be locked: use a local file system", error);
    let handle = File::open(dir).map_err(cannot)?;
    handle.lock().map_err(cannot)?;
    Ok(handle)
}

/// Makes the file of a new log.
pub(crate) fn create_log(
    dir: &Path,
    directory: Option<DirectoryId>,
    identity: &Arc<dyn StoreIdentity>,
    reserve: u64,
) -> Result<(LineWriter, LogFolder, Begun), AuditError> {
    loop {
        let mut writer = match directory {
            Some(directory) => LineWriter::begin_in(directory, Arc::clone(identity))?,
            None => LineWriter::begin(Arc::clone(identity))?,
        };
        let folder = LogFolder::new(dir, writer.log());
        match folder::begin(&folder, 0, writer.pending(), reserve, |_| Ok(())) {
            Ok(Begun { doubt: Some(error), .. }) | Err(NotBegun::Failed(error)) => {
                return Err(error);
            }
            Ok(begun) => {
                writer.written();
                return Ok((writer, folder, begun));
            }
            Err(NotBegun::Swept) => {}
        }
    }
}

/// Removes what a crash left of logs and segments that never began.
pub(crate) fn clear_drafts(dir: &Path) -> Result<(), AuditError> {
    for path in entries(dir)? {
        let is_draft =
            path.extension().is_some_and(|text| text == DRAFT) && named_after(&path).is_some();
        if let Some(file) = is_draft.then(|| File::open(&path).ok()).flatten()
            && lock(&file)?
        {
            // Whoever else removes it does what is wanted.
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}

/// The first line, without its line end; `None` where the file has no whole line.
pub(crate) fn first_line(path: &Path) -> Result<Option<Vec<u8>>, AuditError> {
    let mut start = Vec::new();
    let file = match File::open(path) {
        // It was pruned since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file,
    };
    file.and_then(|file| file.take(MAX_LINE_BYTES as u64 + 1).read_to_end_of_line(&mut start))
        .map_err(|error| failed("a file cannot be read: check its permissions", error))?;
    Ok((start.pop() == Some(b'\n')).then_some(start))
}

trait ReadLine {
    fn read_to_end_of_line(self, into: &mut Vec<u8>) -> io::Result<()>;
}

impl<R: Read> ReadLine for R {
    fn read_to_end_of_line(self, into: &mut Vec<u8>) -> io::Result<()> {
        let mut reader = io::BufReader::with_capacity(1024, self);
        io::BufRead::read_until(&mut reader, b'\n', into).map(drop)
    }
}

/// The last whole line, found from the end so that the length of the log does not matter.
pub(crate) fn last_line(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut length = length_of_lines(file)?;
    let mut window: u64 = 1024;
    loop {
        let start = length.saturating_sub(window);
        let size = usize::try_from(length - start).unwrap_or(usize::MAX);
        let mut tail = vec![0; size];
        match file.read_exact_at(&mut tail, start) {
            Ok(()) => {}
            // Its writer has just cut off what a failed write left.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                length = length_of_lines(file)?;
                continue;
            }
            Err(error) => return Err(error),
        }
        let whole = tail.iter().rposition(|byte| *byte == b'\n');
        let line = whole.and_then(|end| {
            let before = tail.get(..end)?;
            match before.iter().rposition(|byte| *byte == b'\n') {
                Some(begin) => before.get(begin + 1..),
                None if start == 0 => Some(before),
                None => None,
            }
        });
        if line.is_some() || start == 0 || window > 2 * MAX_LINE_BYTES as u64 {
            return Ok(line.map(<[u8]>::to_vec));
        }
        window *= 4;
    }
}

/// The length of a file without the zero bytes that are laid out at its end.
pub(crate) fn length_of_lines(file: &File) -> io::Result<u64> {
    let (mut length, mut part) = (file.metadata()?.len(), vec![0; STEP]);
    let mut end = length;
    // More zero bytes than a writer lays out are somebody else's, and are not looked through.
    while end > 0 && length - end <= MAX_LAID_OUT {
        let size = usize::try_from(end).unwrap_or(STEP).min(STEP);
        let part = part.get_mut(..size).unwrap_or_default();
        match file.read_exact_at(part, end - size as u64) {
            Ok(()) => {}
            // Its writer has just ended it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                length = file.metadata()?.len();
                end = length;
                continue;
            }
            Err(error) => return Err(error),
        }
        end -= size as u64;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            return Ok(end + last as u64 + 1);
        }
    }
    Ok(if end == 0 { 0 } else { length })
}

/// Gives back the room that was laid out in a locked file that nobody writes any more. It has that
/// name; where the name is a link, or leads to another file by now, nothing is done.
pub(crate) fn give_back(locked: &File, path: &Path) -> io::Result<()> {
    // Nobody waits at what is no file of a log, such as a pipe.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let (ours, found) = (locked.metadata()?, file.metadata()?);
    if (ours.dev(), ours.ino()) != (found.dev(), found.ino()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let length = length_of_lines(locked)?;
    if length < found.len() { file.set_len(length) } else { Ok(()) }
}

/// Copies the first `length` bytes into a new file.
pub(crate) fn copy(from: &Path, to: &Path, length: u64) -> io::Result<()> {
    let mut target = new_file(to)?;
    let copied = io::copy(&mut File::open(from)?.take(length), &mut target)?;
    if copied < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    target.sync_all()
}

/// What of the directory others than its owner may do, in words.
pub(crate) fn loose_modes(dir: &Path) -> Vec<String> {
    let mut paths = entries(dir).unwrap_or_default();
    paths.insert(0, dir.to_path_buf());
    paths
        .into_iter()
        .filter_map(|path| {
            let mode = std::fs::metadata(&path).ok()?.permissions().mode() & 0o7777;
            (mode & 0o077 != 0).then(|| {
                format!(
                    "{} has mode {mode:04o}, so others than its owner may use it: chmod go= it",
                    path.display()
                )
            })
        })
        .collect()
}
