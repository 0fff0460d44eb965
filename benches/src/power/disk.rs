//! Files and directories of which some changes are on the medium, and some are not yet.
//!
//! A sync puts what ended before it began on the medium, of one file or one directory; a file that
//! is synced has no name by that. Of the rest, after a power cut: each write is there, or not, or
//! some of its sectors are; each new length is or not; names changed in the order in which they
//! were changed, up to some point, in each directory by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::trace::{Event, Op};
use crate::{Dice, Outcome};

const SECTOR: usize = 512;

/// A change that ended at a moment.
#[derive(Debug, Clone)]
struct Change<T> {
    end: u64,
    what: T,
}

#[derive(Debug, Clone)]
enum Data {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// New names of a directory, with what they lead to, and names that lead nowhere any more.
type Names = Vec<(PathBuf, Option<usize>)>;

#[derive(Debug)]
enum Node {
    File { synced: Vec<u8>, pending: Vec<Change<Data>> },
    Directory { synced: BTreeMap<PathBuf, usize>, pending: Vec<Change<Names>> },
}

impl Node {
    const fn file() -> Self {
        Self::File { synced: Vec::new(), pending: Vec::new() }
    }

    const fn directory() -> Self {
        Self::Directory { synced: BTreeMap::new(), pending: Vec::new() }
    }
}

/// A disk at a moment.
#[derive(Debug)]
pub(super) struct Disk {
    nodes: Vec<Node>,
    /// Where each path leads now, or led last.
    paths: BTreeMap<PathBuf, usize>,
}

/// What is found when the power is back: files, and directories as `None`.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// Whether something was lost or torn.
    pub(super) is_lossy: bool,
}

impl Disk {
    /// The directory, empty at first, at that moment. `wal_syncs`: syncs of a write-ahead file are
    /// what they say.
    pub(super) fn after(
        root: &Path,
        events: &[Event],
        moment: u64,
        wal_syncs: bool,
    ) -> Outcome<Self> {
        let mut disk = Self { nodes: vec![Node::directory()], paths: BTreeMap::new() };
        disk.paths.insert(PathBuf::new(), 0);
        let cannot = |error: String| format!("{error}, in {}", root.display());
        for event in events.iter().filter(|event| event.end < moment) {
            match &event.op {
                Op::Sync { path } if !wal_syncs && path.to_string_lossy().ends_with("-wal") => {}
                Op::Sync { path } => disk.sync(path, event.begin).map_err(cannot)?,
                op => disk.apply(op, event.end).map_err(cannot)?,
            }
        }
        // What is under way is there or not, as all that is not synced.
        for event in events.iter().filter(|event| event.begin < moment && event.end >= moment) {
            disk.apply(&event.op, event.end).map_err(cannot)?;
        }
        Ok(disk)
    }

    /// The files as a process sees them.
    pub(super) fn now(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut dice = Dice::new(0);
        let cut = self.with(&mut Luck { manner: Manner::Kept, dice: &mut dice, is_lossy: false });
        cut.files.into_iter().filter_map(|(path, bytes)| Some((path, bytes?))).collect()
    }

    /// The files as they are found after a power cut.
    pub(super) fn cut(&self, dice: &mut Dice) -> Cut {
        let manner = match dice.below(8) {
            0 => Manner::Kept,
            1 => Manner::Lost,
            2 => Manner::Torn,
            _ => Manner::Mixed,
        };
        self.with(&mut Luck { manner, dice, is_lossy: false })
    }

    fn with(&self, luck: &mut Luck<'_>) -> Cut {
        let mut files = Vec::new();
        self.collect(0, Path::new(""), luck, &mut files);
        Cut { files, is_lossy: luck.is_lossy }
    }

    fn collect(
        &self,
        node: usize,
        path: &Path,
        luck: &mut Luck<'_>,
        files: &mut Vec<(PathBuf, Option<Vec<u8>>)>,
    ) {
        match self.nodes.get(node) {
            Some(Node::File { synced, pending }) => {
                let mut bytes = synced.clone();
                pending.iter().for_each(|change| luck.change(&mut bytes, &change.what));
                files.push((path.to_path_buf(), Some(bytes)));
            }
            Some(Node::Directory { synced, pending }) => {
                files.push((path.to_path_buf(), None));
                let mut names = synced.clone();
                let kept = luck.prefix(pending.len());
                pending.iter().take(kept).for_each(|change| rename(&mut names, &change.what));
                for (name, node) in names {
                    self.collect(node, &path.join(name), luck, files);
                }
            }
            None => {}
        }
    }

    fn apply(&mut self, op: &Op, end: u64) -> Result<(), String> {
        match op {
            // A sync that has not ended has done nothing yet.
            Op::Said(_) | Op::Sync { .. } => Ok(()),
            Op::Open { path, cut } if self.is_named(path) => match cut {
                true => self.data(path, end, Data::Length(0)),
                false => Ok(()),
            },
            Op::Open { path, .. } => self.make(path, Node::file(), end),
            Op::MakeDir { path } => self.make(path, Node::directory(), end),
            Op::Write { path, offset, bytes } => {
                let offset = usize::try_from(*offset).map_err(|error| error.to_string())?;
                self.data(path, end, Data::Write { offset, bytes: bytes.clone() })
            }
            Op::Truncate { path, length } => {
                let length = usize::try_from(*length).map_err(|error| error.to_string())?;
                self.data(path, end, Data::Length(length))
            }
            Op::Link { from, to } => self.name(to, Some(self.find(from)?), end),
            Op::Unlink { path } => self.name(path, None, end),
            Op::Rename { from, to } => {
                if from.parent() != to.parent() {
                    return Err("a name was moved to another directory".to_owned());
                }
                let node = self.find(from)?;
                let names = vec![(file_name(from), None), (file_name(to), Some(node))];
                self.names(from, names, end)?;
                self.paths.insert(to.clone(), node);
                Ok(())
            }
        }
    }

    /// Whether the path leads to something for a process.
    fn is_named(&self, path: &Path) -> bool {
        let parent = self.find(parent(path)).ok().and_then(|parent| self.nodes.get(parent));
        let Some(Node::Directory { synced, pending }) = parent else { return false };
        let mut names = synced.clone();
        pending.iter().for_each(|change| rename(&mut names, &change.what));
        names.contains_key(&file_name(path))
    }

    /// Where a path leads, or led when it was removed: an open file outlives its name.
    fn find(&self, path: &Path) -> Result<usize, String> {
        let found = self.paths.get(path).copied();
        found.ok_or_else(|| format!("{} was never made", path.display()))
    }

    fn make(&mut self, path: &Path, node: Node, end: u64) -> Result<(), String> {
        self.nodes.push(node);
        self.name(path, Some(self.nodes.len() - 1), end)
    }

    fn name(&mut self, path: &Path, node: Option<usize>, end: u64) -> Result<(), String> {
        self.names(path, vec![(file_name(path), node)], end)?;
        if let Some(node) = node {
            self.paths.insert(path.to_path_buf(), node);
        }
        Ok(())
    }

    /// Changes names in the directory that this path lies in.
    fn names(&mut self, path: &Path, what: Names, end: u64) -> Result<(), String> {
        let parent = self.find(parent(path))?;
        match self.nodes.get_mut(parent) {
            Some(Node::Directory { pending, .. }) => pending.push(Change { end, what }),
            _ => return Err(format!("{} lies in no directory", path.display())),
        }
        Ok(())
    }

    fn data(&mut self, path: &Path, end: u64, what: Data) -> Result<(), String> {
        let node = self.find(path)?;
        match self.nodes.get_mut(node) {
            Some(Node::File { pending, .. }) => pending.push(Change { end, what }),
            _ => return Err(format!("{} is no file", path.display())),
        }
        Ok(())
    }

    fn sync(&mut self, path: &Path, begin: u64) -> Result<(), String> {
        let node = self.find(path)?;
        match self.nodes.get_mut(node) {
            Some(Node::File { synced, pending }) => {
                covered(pending, begin).iter().for_each(|change| take(synced, change));
            }
            Some(Node::Directory { synced, pending }) => {
                covered(pending, begin).iter().for_each(|change| rename(synced, change));
            }
            None => {}
        }
        Ok(())
    }
}

/// Takes out what ended before a sync began.
fn covered<T>(pending: &mut Vec<Change<T>>, begin: u64) -> Vec<T> {
    let count = pending.iter().take_while(|change| change.end < begin).count();
    pending.drain(..count).map(|change| change.what).collect()
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, what: &Names) {
    for (name, node) in what {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn file_name(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
}

fn take(bytes: &mut Vec<u8>, what: &Data) {
    match what {
        Data::Length(length) => bytes.resize(*length, 0),
        Data::Write { offset, bytes: new } => put(bytes, *offset, new),
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    let end = offset + new.len();
    bytes.resize(bytes.len().max(end), 0);
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(new);
    }
}

/// What becomes of that which is not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Kept,
    Lost,
    Torn,
    Mixed,
}

struct Luck<'a> {
    manner: Manner,
    dice: &'a mut Dice,
    is_lossy: bool,
}

impl Luck<'_> {
    /// How many of so many changes in order are there.
    fn prefix(&mut self, count: usize) -> usize {
        let kept = match self.manner {
            Manner::Kept => count,
            Manner::Lost => 0,
            Manner::Torn | Manner::Mixed => {
                let sides = u64::try_from(count).unwrap_or(u64::MAX).saturating_add(1);
                usize::try_from(self.dice.below(sides)).unwrap_or(count)
            }
        };
        self.is_lossy |= kept < count;
        kept
    }

    fn change(&mut self, bytes: &mut Vec<u8>, what: &Data) {
        let manner = match self.manner {
            Manner::Mixed => match self.dice.below(3) {
                0 => Manner::Kept,
                1 => Manner::Lost,
                _ => Manner::Torn,
            },
            manner => manner,
        };
        self.is_lossy |= manner != Manner::Kept;
        match (manner, what) {
            (Manner::Lost, _) => {}
            (Manner::Torn, Data::Write { offset, bytes: new }) => {
                let mut at = 0;
                while at < new.len() {
                    // Up to the next boundary of a sector of the file.
                    let end = new.len().min(at + SECTOR - (offset + at) % SECTOR);
                    if self.dice.below(2) == 0 {
                        put(bytes, offset + at, new.get(at..end).unwrap_or_default());
                    }
                    at = end;
                }
            }
            (Manner::Torn, Data::Length(_)) if self.dice.below(2) == 0 => {}
            (_, what) => take(bytes, what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(ops: Vec<Op>) -> Vec<Event> {
        let moments = (0_u64..).map(|number| (2 * number, 2 * number + 1));
        let event = |(op, (begin, end))| Event { begin, end, op };
        ops.into_iter().zip(moments).map(event).collect()
    }

    fn write(path: &str, offset: u64, bytes: &[u8]) -> Op {
        Op::Write { path: path.into(), offset, bytes: bytes.to_vec() }
    }

    /// All that a file of this name is found to be, over many cuts.
    fn found(events: &[Event], moment: u64, name: &str) -> Vec<Option<Vec<u8>>> {
        let disk = Disk::after(Path::new("/r"), events, moment, true).unwrap();
        let mut found: Vec<_> = (0..500)
            .map(|seed| {
                let cut = disk.cut(&mut Dice::new(seed));
                let file = cut.files.into_iter().find(|(path, _)| path == Path::new(name));
                file.and_then(|(_, bytes)| bytes)
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn only_what_is_synced_is_sure() {
        let events = events(vec![
            Op::Open { path: "a".into(), cut: false },
            write("a", 0, b"old"),
            Op::Sync { path: "a".into() },
            Op::Sync { path: "".into() },
            write("a", 0, b"new"),
            Op::Sync { path: "a".into() },
        ]);
        let some = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(found(&events, 0, "a"), [None]);
        // Made, written and synced, but without a name that is sure.
        assert_eq!(found(&events, 6, "a"), [None, some(b"old")]);
        assert_eq!(found(&events, 8, "a"), [some(b"old")]);
        assert_eq!(found(&events, 10, "a"), [some(b"new"), some(b"old")]);
        // A sync that is under way has done nothing yet.
        assert_eq!(found(&events, 11, "a"), [some(b"new"), some(b"old")]);
        assert_eq!(found(&events, 12, "a"), [some(b"new")]);
    }

    #[test]
    fn a_write_is_torn_between_sectors_of_the_file() {
        let events = events(vec![
            Op::Open { path: "a".into(), cut: false },
            Op::Sync { path: "".into() },
            write("a", 510, b"xxyy"),
        ]);
        let found = found(&events, 6, "a");
        let ends: Vec<_> = found.iter().flatten().map(|bytes| bytes.get(510..)).collect();
        assert_eq!(ends, [None, Some(&b"\0\0yy"[..]), Some(b"xx"), Some(b"xxyy")]);
    }

    #[test]
    fn names_change_in_order() {
        let events = events(vec![
            Op::Open { path: "draft".into(), cut: false },
            Op::Rename { from: "draft".into(), to: "log".into() },
            write("log", 0, b"x"),
            Op::Sync { path: "log".into() },
            Op::Unlink { path: "log".into() },
        ]);
        let disk = Disk::after(Path::new("/r"), &events, 10, true).unwrap();
        let mut found: Vec<Vec<_>> = (0..200)
            .map(|seed| disk.cut(&mut Dice::new(seed)).files)
            .map(|files| files.into_iter().map(|(path, _)| path).collect())
            .collect();
        found.sort_unstable();
        found.dedup();
        let root = PathBuf::new();
        let draft = vec![root.clone(), PathBuf::from("draft")];
        let log = vec![root.clone(), PathBuf::from("log")];
        assert_eq!(found, [vec![root], draft, log]);
    }
}
