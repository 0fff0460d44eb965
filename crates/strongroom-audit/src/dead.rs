//! Logs that their writers left open: found, locked, and read to their end.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use strongroom_core::{
    AuditError, DeadLog, EndedLog, Key, KnownLog, LogId, OpenIntent, Outcome, Receipt,
    StoreIdentity, TreeHead,
};

use crate::certificate::{certificate_message, store_id, verifies};
use crate::dir::{LogFile, file_name, first_line, last_line, lock};
use crate::line::{Line, NameToken, OpenLine};
use crate::medium::failed;
use crate::read::{MAX_LINE_BYTES, read_line};
use crate::tree::MerkleTree;

/// All logs, and the dead ones among them with the locks on those.
pub(crate) struct Claimed {
    pub(crate) known: Vec<KnownLog>,
    pub(crate) dead: Vec<DeadLog>,
    pub(crate) locks: HashMap<LogId, File>,
}

/// Finds, locks and reads the logs that nobody closed, settled, or writes to.
pub(crate) fn claim(
    files: &[LogFile],
    identity: &dyn StoreIdentity,
) -> Result<Claimed, AuditError> {
    let mut locks = HashMap::new();
    let (mut known, mut logs) = (Vec::with_capacity(files.len()), Vec::new());
    let mut settled = HashSet::new();
    for file in files {
        let found = if file.settled { Found::Live } else { look_at(file)? };
        let ended = if let Found::Ended(end) = &found { Some(*end) } else { None };
        known.push(KnownLog { log: file.log, ended });
        let Found::Dead(handle) = found else { continue };
        // What is settled now must not vanish in a power cut later.
        handle.sync_data().map_err(|error| failed("a dead log cannot be synced", error))?;
        logs.push(read(file, &handle, identity, &mut settled)?);
        locks.insert(file.log, handle);
    }
    for dead in &mut logs {
        dead.open.retain(|intent| !settled.contains(&intent.receipt));
    }
    Ok(Claimed { known, dead: logs, locks })
}

/// The store that a log says it belongs to. Its certificate must agree.
pub(crate) fn owner(path: &Path) -> Result<Option<OpenLine>, AuditError> {
    let Some(line) = first_line(path)? else { return Ok(None) };
    let Line::Open(open) = read_line(&line).map_err(|error| at(path, 1, error))? else {
        return Err(malformed(path, 1, "a log begins with another line"));
    };
    let message = certificate_message(open.store, open.log, &open.log_key);
    if store_id(&open.store_key) != open.store
        || !verifies(&open.store_key, &message, &open.certificate)
    {
        return Err(malformed(path, 1, "its certificate does not hold"));
    }
    Ok(Some(open))
}

/// How a log is found.
enum Found {
    /// Its writer ended it.
    Ended(EndedLog),
    /// Somebody writes it, or settles it.
    Live,
    /// Nobody does, and it is locked now.
    Dead(File),
}

fn look_at(file: &LogFile) -> Result<Found, AuditError> {
    let unreadable = |error| failed("a log cannot be read: check its permissions", error);
    let handle = File::open(&file.path).map_err(unreadable)?;
    if let Some(end) = end_of(&handle).map_err(unreadable)? {
        return Ok(Found::Ended(end));
    }
    if !lock(&handle)? {
        return Ok(Found::Live);
    }
    // Its writer may have ended it between the look and the lock.
    Ok(end_of(&handle).map_err(unreadable)?.map_or(Found::Dead(handle), Found::Ended))
}

/// The end that its writer gave to a log.
fn end_of(file: &File) -> std::io::Result<Option<EndedLog>> {
    let last = last_line(file)?;
    Ok(last.and_then(|line| match read_line(&line) {
        Ok(Line::Close(line)) => Some(EndedLog { head: line.head(), registered: line.registered }),
        _ => None,
    }))
}

fn read(
    file: &LogFile,
    handle: &File,
    identity: &dyn StoreIdentity,
    settled: &mut HashSet<Receipt>,
) -> Result<DeadLog, AuditError> {
    let path = &file.path;
    match owner(path)? {
        Some(open) if open.store != identity.store() => {
            return Err(AuditError::OtherStore { expected: identity.store(), found: open.store });
        }
        Some(open) if open.log == file.log => {}
        _ => return Err(malformed(path, 1, "it is not the log that its file is named after")),
    }
    let unreadable = |error| failed("a log cannot be read to its end", error);
    let mut lines = Lines::new(handle).map_err(unreadable)?;
    let mut reader = DeadLogReader::new(file.log);
    while let Some(bytes) = lines.next().map_err(unreadable)? {
        reader.push(bytes).map_err(|error| in_file(path, error))?;
    }
    reader.finish(identity, settled).map_err(|error| in_file(path, error))
}

/// Reads a log that its writer left open, line by line, and says what of it is not settled: for
/// sinks that keep the lines of this crate elsewhere than in a directory.
///
/// ```
/// use std::collections::HashSet;
/// use strongroom_audit::DeadLogReader;
/// use strongroom_core::LogId;
///
/// let mut reader = DeadLogReader::new(LogId::from_bytes([1; 8]));
/// assert!(reader.push(b"no line of a log").is_err());
/// ```
#[derive(Debug)]
pub struct DeadLogReader {
    log: LogId,
    tree: MerkleTree,
    checkpoints: Vec<TreeHead>,
    registered: u64,
    names: HashMap<NameToken, Vec<u8>>,
    intents: Vec<(OpenIntent, Option<NameToken>)>,
    outcomes: Vec<Receipt>,
}

impl DeadLogReader {
    /// A log of which no line was read yet.
    #[must_use]
    pub fn new(log: LogId) -> Self {
        Self {
            log,
            tree: MerkleTree::new(),
            checkpoints: Vec::new(),
            registered: 0,
            names: HashMap::new(),
            intents: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// Takes the next line, without its line end.
    ///
    /// # Errors
    /// `Malformed`, without a file, where the writer makes no such line.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), AuditError> {
        let receipt = Receipt { log: self.log, index: self.tree.size() };
        let line = read_line(bytes).map_err(|error| at_line(receipt.index + 1, error))?;
        self.tree.push(bytes);
        match line {
            Line::Open(_) if receipt.index > 0 => {
                return Err(fileless(receipt.index + 1, "a log begins once"));
            }
            Line::Open(_) => self.checkpoints.push(self.tree.head()),
            Line::Checkpoint(line) => {
                self.checkpoints.push(line.head());
                self.registered = self.registered.max(line.registered);
            }
            // A log whose last line this is has ended, and is not read here.
            Line::Close(_) => {
                return Err(fileless(receipt.index + 1, "lines follow the end of the log"));
            }
            Line::Name(name) => {
                self.names.insert(name.token, name.sealed.into_owned());
            }
            // A writer that says `unknown` of its own intent leaves it to the next opener; of
            // another log's, that is the last word.
            Line::Outcome(line) if line.outcome != Outcome::Unknown || line.log != self.log => {
                self.outcomes.push(Receipt { log: line.log, index: line.intent });
            }
            Line::Intent(line) => {
                let name = line.target.name();
                let intent = OpenIntent {
                    receipt,
                    kind: line.kind,
                    key: Key::new(line.key.into_owned()),
                    seq: line.seq,
                    write: line.write,
                    target: "/".to_owned(),
                };
                self.intents.push((intent, name));
            }
            _ => {}
        }
        Ok(())
    }

    /// The whole log, with the intents that nothing in it settles. What it settles is added to
    /// `settled`; of several dead logs, one may settle what was left open in another.
    ///
    /// # Errors
    /// `Malformed` where the name that an intent is about is not told, or does not open.
    pub fn finish(
        self,
        identity: &dyn StoreIdentity,
        settled: &mut HashSet<Receipt>,
    ) -> Result<DeadLog, AuditError> {
        let Self { log, tree, checkpoints, registered, names, intents, outcomes } = self;
        settled.extend(outcomes);
        let open = intents
            .into_iter()
            .filter(|(intent, _)| !settled.contains(&intent.receipt))
            .map(|(mut intent, name)| {
                if let Some(name) = name {
                    let line = intent.receipt.index + 1;
                    let sealed = names
                        .get(&name)
                        .ok_or_else(|| fileless(line, "no line before it tells its name"))?;
                    intent.target = identity
                        .decrypt_name(log, sealed)
                        .map_err(|_| fileless(line, "the name of its target does not open"))?;
                }
                Ok(intent)
            })
            .collect::<Result<_, AuditError>>()?;
        let (size, root) = (tree.size(), tree.root());
        Ok(DeadLog { log, size, root, checkpoints, registered, open })
    }
}

/// An error that knows no file yet.
fn fileless(line: u64, detail: &str) -> AuditError {
    AuditError::Malformed { file: "".into(), line, detail: detail.into() }
}

/// The whole lines of a log's file. It ends before the first line that has no end or a zero byte:
/// those are laid out ahead, and are what a power cut leaves of records that were not synced. In a
/// log that its writer has ended they stand behind the last line alone, so that a line with one is
/// handed out, to be refused.
pub(crate) struct Lines<'a> {
    reader: BufReader<&'a File>,
    line: Vec<u8>,
    is_ended: bool,
    at_end: bool,
}

impl<'a> Lines<'a> {
    /// The lines from where the file stands.
    pub(crate) fn new(file: &'a File) -> std::io::Result<Self> {
        // Asked before anything is read: what a live writer lays out is no fault of a log that it
        // ends meanwhile.
        let is_ended = end_of(file)?.is_some();
        let reader = BufReader::with_capacity(64 * 1024, file);
        Ok(Self { reader, line: Vec::new(), is_ended, at_end: false })
    }

    /// The next line, without its line end.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        if self.at_end {
            return Ok(None);
        }
        self.line.clear();
        // One byte more than a line can have, so that a longer one is seen to be too long.
        let limit = MAX_LINE_BYTES as u64 + 2;
        self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        if self.line.contains(&0) {
            let is_laid_out = self.line.iter().all(|byte| *byte == 0);
            if is_laid_out || !self.is_ended {
                self.at_end = true;
                self.line.clear();
                return Ok(None);
            }
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Some(&self.line));
        }
        // An overlong line is handed out, to be refused; an unended one is not there.
        Ok((self.line.len() as u64 >= limit).then_some(&self.line))
    }

    /// Whether bytes without a line end were left behind the last line.
    pub(crate) fn has_torn_end(&self) -> bool {
        !self.line.is_empty()
    }
}

pub(crate) fn malformed(path: &Path, line: u64, detail: &str) -> AuditError {
    AuditError::Malformed { file: file_name(path).into(), line, detail: detail.into() }
}

/// Names the place in an error of the strict reader.
pub(crate) fn at(path: &Path, line: u64, error: AuditError) -> AuditError {
    in_file(path, at_line(line, error))
}

fn at_line(line: u64, error: AuditError) -> AuditError {
    match error {
        AuditError::Malformed { file, detail, .. } => AuditError::Malformed { file, line, detail },
        other => other,
    }
}

fn in_file(path: &Path, error: AuditError) -> AuditError {
    match error {
        AuditError::Malformed { line, detail, .. } => {
            AuditError::Malformed { file: file_name(path).into(), line, detail }
        }
        other => other,
    }
}
