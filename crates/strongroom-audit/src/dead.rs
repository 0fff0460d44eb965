//! Logs that their writers left open: found, locked, and read to their end.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use strongroom_core::{
    AuditError, DeadLog, EndedLog, Key, KnownLog, LogId, OpenIntent, Outcome, Receipt, StoreId,
    StoreIdentity, TreeHead,
};

use crate::carried::{self, Carried};
use crate::certificate::is_certified;
use crate::checkpoint::signs_segment;
use crate::dir::{LogFile, Segment, file_name, first_line, give_back, last_line};
use crate::folder::lock;
use crate::line::{CarriedLine, Line, NameToken, OpenLine, SegmentLine};
use crate::medium::failed;
use crate::read::{MAX_LINE_BYTES, read_line};
use crate::report::Verdict;
use crate::settled::{Locked, is_noted};
use crate::tree::MerkleTree;
use crate::verify::Verifier;

/// All logs, and the dead ones among them with the locks on those.
pub(crate) struct Claimed {
    pub(crate) known: Vec<KnownLog>,
    pub(crate) dead: Vec<DeadLog>,
    pub(crate) locks: HashMap<LogId, Locked>,
}

/// Finds, locks and reads the logs that nobody closed, settled, or writes to.
pub(crate) fn claim(
    files: &[LogFile],
    identity: &dyn StoreIdentity,
) -> Result<Claimed, AuditError> {
    let mut locks = HashMap::new();
    let (mut known, mut logs) = (Vec::with_capacity(files.len()), Vec::new());
    let (mut settled, mut last_files) = (HashSet::new(), Vec::new());
    for file in files {
        // A note is a hint, which whoever can write to the directory can leave, or bring back.
        let is_settled = identity.is_settled(file.log) && is_noted(file, identity);
        let found = if is_settled { Found::Live } else { look_at(file)? };
        if matches!(found, Found::Gone) {
            continue;
        }
        let Found::Dead(last, handle) = found else {
            let ended = if let Found::Ended(end) = found { Some(end) } else { None };
            known.push(KnownLog { log: file.log, ended, is_cut_short: false });
            continue;
        };
        // What is settled now must not vanish in a power cut later.
        handle.sync_data().map_err(|error| failed("a dead log cannot be synced", error))?;
        let dead = read(file.log, &last, &handle, identity, &mut settled)?;
        known.push(KnownLog { log: file.log, ended: None, is_cut_short: dead.is_none() });
        let Some(dead) = dead else { continue };
        logs.push(dead);
        locks.insert(file.log, Locked { number: last.number, file: handle });
        last_files.push((file.log, last.path));
    }
    // Once none of them refuses the opening, which then changes nothing. It is only room that others
    // could use, and on a full disk perhaps the only one for a log that is begun now. A power cut
    // may take that back: it changes no line.
    for (log, path) in last_files {
        if let Some(locked) = locks.get(&log) {
            let _ = give_back(&locked.file, &path);
        }
    }
    for dead in &mut logs {
        dead.open.retain(|intent| !settled.contains(&intent.receipt));
    }
    Ok(Claimed { known, dead: logs, locks })
}

/// The log that a segment says it belongs to. Its certificate must agree.
pub(crate) fn owner(segment: &Segment) -> Result<Option<OpenLine>, AuditError> {
    let path = &segment.path;
    let Some(line) = first_line(path)? else { return Ok(None) };
    let (open, number) = match read_line(&line).map_err(|error| at(path, 1, error))? {
        Line::Open(open) => (open, 0),
        Line::Segment(first) => (first.log, first.number),
        _ => return Err(malformed(path, 1, "a log begins with another line")),
    };
    if number != segment.number {
        return Err(malformed(path, 1, "it is not the segment that its file is named after"));
    }
    if !is_certified(&open) {
        return Err(malformed(path, 1, "its certificate does not hold"));
    }
    Ok(Some(open))
}

/// How the line of a decision begins.
const DECISION: &[u8] = br#"{"t":"decision","#;

/// How a log is found.
enum Found {
    /// Its writer ended it.
    Ended(EndedLog),
    /// Somebody writes it, or settles it.
    Live,
    /// It was listed, and its writer has taken it back since.
    Gone,
    /// Nobody does, and its last segment is locked now.
    Dead(Segment, File),
}

fn look_at(file: &LogFile) -> Result<Found, AuditError> {
    let unreadable = |error| failed("a log cannot be read: check its permissions", error);
    let Some(mut last) = file.segments.last().cloned() else { return Ok(Found::Live) };
    loop {
        let handle = match File::open(&last.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Gone),
            handle => handle.map_err(unreadable)?,
        };
        if let Some(end) = end_of(&handle).map_err(unreadable)? {
            return Ok(Found::Ended(end));
        }
        if !lock(&handle)? {
            return Ok(Found::Live);
        }
        if handle.metadata().map_err(unreadable)?.nlink() == 0 {
            return Ok(Found::Gone);
        }
        // A writer lets go of a segment when it has locked the next one: it has gone on since the
        // directory was listed, and lives, or died there.
        if let Some(next) = file.next(&last).map_err(unreadable)? {
            last = next;
            continue;
        }
        // Its writer may have ended it between the look and the lock.
        let end = end_of(&handle).map_err(unreadable)?;
        return Ok(end.map_or(Found::Dead(last, handle), Found::Ended));
    }
}

/// The end that its writer gave to a log.
fn end_of(file: &File) -> std::io::Result<Option<EndedLog>> {
    let last = last_line(file)?;
    Ok(last.and_then(|line| match read_line(&line) {
        Ok(Line::Close(line)) => {
            Some(EndedLog { at: line.at, head: line.head(), registered: line.registered })
        }
        _ => None,
    }))
}

/// Whether a log is whole, and its writer ended it: all its lines are read. It is on the medium then.
pub(crate) fn confirm_end(file: &LogFile, store: StoreId) -> Result<bool, AuditError> {
    let unreadable = |error| failed("a log cannot be read: check its permissions", error);
    let mut verifier = Verifier::new(Some(store));
    let mut is_ended = false;
    for (segment, is_last) in file.in_order() {
        let handle = File::open(&segment.path).map_err(unreadable)?;
        handle.sync_data().map_err(|error| failed("a log cannot be synced", error))?;
        let mut lines = Lines::new(&handle, is_last).map_err(unreadable)?;
        while let Some(line) = lines.next().map_err(unreadable)? {
            verifier.line(file.log, line);
        }
        verifier.end_of_log(file.log, lines.has_torn_end());
        is_ended = lines.is_ended();
    }
    // What it tells of other logs, which are not read here, is for those who read all; and so is
    // whether the lines in front were pruned.
    verifier.forget_front(file.log);
    let report = verifier.finish();
    let is_bad = report.accusations().any(|finding| {
        let is_of_lines = matches!(finding.verdict, Verdict::LogAltered | Verdict::LogLostItsTail);
        is_of_lines && finding.log == Some(file.log)
    });
    Ok(is_ended && !is_bad)
}

/// Reads the last segment of a log, which tells all that is needed to settle it. `None` where it
/// ends within the lines that it appeared with: no crash does that.
fn read(
    log: LogId,
    last: &Segment,
    handle: &File,
    identity: &dyn StoreIdentity,
    settled: &mut HashSet<Receipt>,
) -> Result<Option<DeadLog>, AuditError> {
    let path = &last.path;
    match owner(last)? {
        None => return Ok(None),
        Some(open) if open.store != identity.store() => {
            return Err(AuditError::OtherStore { expected: identity.store(), found: open.store });
        }
        Some(open) if open.log == log => {}
        _ => return Err(malformed(path, 1, "it is not the log that its file is named after")),
    }
    let unreadable = |error| failed("a log cannot be read to its end", error);
    let mut lines = Lines::new(handle, true).map_err(unreadable)?;
    let mut reader = DeadLogReader::new(log);
    while let Some(bytes) = lines.next().map_err(unreadable)? {
        reader.push(bytes).map_err(|error| in_file(path, error))?;
    }
    if !reader.carried.is_whole() {
        return Ok(None);
    }
    reader.finish(identity, settled).map(Some).map_err(|error| in_file(path, error))
}

/// Reads a log that its writer left open, line by line, and says what of it is not settled: for
/// sinks that keep the lines of this crate elsewhere than in a directory.
///
/// It begins at the first line of the log, or of any segment, which tells what is needed of the
/// segments before. What only those tell of other logs it does not learn: a settler says it again.
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
    /// Lines that were taken. Where the first is that of a segment, the tree has more.
    lines: u64,
    tree: MerkleTree,
    checkpoints: Vec<TreeHead>,
    registered: u64,
    /// What the last checkpoint says. The next one signs it.
    unsigned: u64,
    names: HashMap<NameToken, Vec<u8>>,
    intents: Vec<Told>,
    outcomes: Vec<Receipt>,
    /// What the segment still has to carry over.
    carried: Carried,
}

/// An intent, and where it is told.
#[derive(Debug)]
struct Told {
    intent: OpenIntent,
    name: Option<NameToken>,
    line: u64,
}

impl Told {
    fn is(&self, carried: &CarriedLine<'_>) -> bool {
        let intent = &self.intent;
        (intent.kind, intent.seq, intent.write) == (carried.kind, carried.seq, carried.write)
            && intent.key.as_bytes() == carried.key.as_ref()
            && self.name == carried.target.name()
    }
}

impl DeadLogReader {
    /// A log of which no line was read yet.
    #[must_use]
    pub fn new(log: LogId) -> Self {
        Self {
            log,
            lines: 0,
            tree: MerkleTree::new(),
            checkpoints: Vec::new(),
            registered: 0,
            unsigned: 0,
            names: HashMap::new(),
            intents: Vec::new(),
            outcomes: Vec::new(),
            carried: Carried::default(),
        }
    }

    /// Takes the next line, without its line end. Nothing of a decision is needed to settle what is
    /// open, and most lines are decisions: such a line is hashed and not read.
    ///
    /// # Errors
    /// `Malformed`, without a file, where the writer makes no such line.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), AuditError> {
        self.lines += 1;
        if bytes.starts_with(DECISION) && bytes.len() <= MAX_LINE_BYTES {
            self.carried.end().map_err(|detail| fileless(self.lines, detail))?;
            self.tree.push(bytes);
            return Ok(());
        }
        let line = read_line(bytes).map_err(|error| at_line(self.lines, error))?;
        let is_first = matches!(line, Line::Open(_));
        self.take(line).map_err(|detail| fileless(self.lines, detail))?;
        self.tree.push(bytes);
        if is_first {
            self.checkpoints.push(self.tree.head());
        }
        Ok(())
    }

    fn take(&mut self, line: Line<'static>) -> Result<(), &'static str> {
        let receipt = Receipt { log: self.log, index: self.tree.size() };
        self.carried.take(&line)?;
        match line {
            Line::Open(_) if self.lines > 1 => return Err("a log begins once"),
            Line::Segment(segment) => return self.segment(&segment),
            Line::Carried(carried) => return self.carry(carried),
            Line::Checkpoint(line) => {
                // What it says that it signs; that it is so, its signature says to the verifier.
                if line.head() == self.tree.head() {
                    self.checkpoints.push(line.head());
                }
                self.says_registered(line.registered);
            }
            // A log whose last line this is has ended, and is not read here.
            Line::Close(_) => return Err("lines follow the end of the log"),
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
                self.intents.push(Told { intent, name, line: self.lines });
            }
            _ => {}
        }
        Ok(())
    }

    fn says_registered(&mut self, size: u64) {
        self.registered = self.registered.max(std::mem::replace(&mut self.unsigned, size));
    }

    /// Takes what the lines before come to, or holds it against them where they were read.
    fn segment(&mut self, segment: &SegmentLine) -> Result<(), &'static str> {
        if segment.log.log != self.log || !signs_segment(segment) {
            return Err("the log's key did not sign what it says of the lines before");
        }
        let tree = segment.tree().unwrap_or_default();
        if self.lines > 1 && tree != self.tree {
            return Err("the lines before are others than it says");
        }
        self.checkpoints.push(tree.head());
        self.says_registered(segment.registered);
        self.tree = tree;
        self.names.clear();
        Ok(())
    }

    /// Takes an intent of a segment that was not read. One that was read is no other intent.
    fn carry(&mut self, line: CarriedLine<'static>) -> Result<(), &'static str> {
        // INVARIANT: they are in the order of their indices, since those of a segment lie below it.
        match self.intents.binary_search_by_key(&line.intent, |told| told.intent.receipt.index) {
            Ok(at) if self.intents.get(at).is_some_and(|told| told.is(&line)) => return Ok(()),
            Err(at) if at == self.intents.len() => {}
            _ => return Err("it is no write that was open before its segment"),
        }
        let name = line.target.name();
        let intent = OpenIntent {
            receipt: Receipt { log: self.log, index: line.intent },
            kind: line.kind,
            key: Key::new(line.key.into_owned()),
            seq: line.seq,
            write: line.write,
            target: "/".to_owned(),
        };
        self.intents.push(Told { intent, name, line: self.lines });
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
        let Self {
            log,
            lines,
            tree,
            checkpoints,
            registered,
            names,
            intents,
            outcomes,
            carried,
            ..
        } = self;
        if !carried.is_whole() {
            return Err(fileless(lines, carried::MISSING));
        }
        settled.extend(outcomes);
        let open = intents
            .into_iter()
            .filter(|told| !settled.contains(&told.intent.receipt))
            .map(|Told { mut intent, name, line }| {
                if let Some(name) = name {
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
/// handed out, to be refused. The same goes for a segment that is not the last one: all of it was on
/// the medium before the next one appeared.
pub(crate) struct Lines<'a> {
    reader: BufReader<&'a File>,
    line: Vec<u8>,
    is_last: bool,
    is_whole: bool,
    at_end: bool,
}

impl<'a> Lines<'a> {
    /// The lines of a segment from where the file stands.
    pub(crate) fn new(file: &'a File, is_last: bool) -> std::io::Result<Self> {
        // Asked before anything is read: what a live writer lays out is no fault of a log that it
        // ends meanwhile.
        let is_whole = !is_last || end_of(file)?.is_some();
        let reader = BufReader::with_capacity(64 * 1024, file);
        Ok(Self { reader, line: Vec::new(), is_last, is_whole, at_end: false })
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
            if is_laid_out || !self.is_whole {
                self.at_end = true;
                self.line.clear();
                return Ok(None);
            }
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Some(&self.line));
        }
        // An overlong line is handed out, to be refused; an unended one is not there, but where
        // another segment follows.
        let is_bad = !self.is_last && !self.line.is_empty();
        Ok((is_bad || self.line.len() as u64 >= limit).then_some(&self.line))
    }

    /// Whether this is the last segment, and its writer ended it.
    const fn is_ended(&self) -> bool {
        self.is_last && self.is_whole
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
