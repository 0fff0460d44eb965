//! What `strace -f -y -xx` tells, as operations on the files of a directory. All strings are in
//! hexadecimal, so that nothing within them looks like something else.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::within;
use crate::Outcome;

/// The calls that are recorded.
pub(super) const CALLS: [&str; 21] = [
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "fsync",
    "fdatasync",
    "ftruncate",
    "truncate",
    "fallocate",
    "openat",
    "creat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "lseek",
];

/// One call that was done. Each line of the trace is two moments: a call that no other interrupts
/// begins at the first and ends at the second.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) op: Op,
}

/// What it did; paths are below the directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Something was written to the standard output.
    Said(Vec<u8>),
    /// A file is there from now on, if it was not, and empty, if that is asked.
    Open {
        path: PathBuf,
        cut: bool,
    },
    Write {
        path: PathBuf,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        length: u64,
    },
    /// Of a file or a directory.
    Sync {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
    MakeDir {
        path: PathBuf,
    },
}

/// Reads the traces of processes that ran one after the other.
#[derive(Debug)]
pub(super) struct Parser {
    root: PathBuf,
    lines: u64,
}

/// Where the next `write` of an open file goes, by its descriptor.
type Positions = HashMap<String, u64>;

impl Parser {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), lines: 0 }
    }

    /// The operations of one process, in the order in which they ended.
    pub(super) fn parse(&mut self, trace: &str) -> Outcome<Vec<Event>> {
        let mut begun: HashMap<&str, (u64, String)> = HashMap::new();
        let (mut events, mut positions) = (Vec::new(), Positions::new());
        for line in trace.lines() {
            self.lines += 1;
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            let (mut begin, end) = (2 * self.lines, 2 * self.lines + 1);
            let mut text = rest.to_owned();
            if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
                begun.insert(thread, (begin, start.to_owned()));
                continue;
            }
            if let Some((_, more)) = rest.split_once(" resumed>") {
                let (at, start) = begun.remove(thread).ok_or("a call ended that did not begin")?;
                (begin, text) = (at, start + more);
            }
            let op = self.op(&text, &mut positions);
            let op = op.map_err(|error| format!("{error}: {}", cut_short(&text)))?;
            events.extend(op.map(|op| Event { begin, end, op }));
        }
        Ok(events)
    }

    fn op(&self, text: &str, positions: &mut Positions) -> Outcome<Option<Op>> {
        let Some((call, answer)) = text.rsplit_once(" = ") else { return Ok(None) };
        let call = call.trim_end().strip_suffix(')').and_then(|call| call.split_once('('));
        let Some((name, words)) = call else { return Ok(None) };
        let digits: String = answer.chars().take_while(char::is_ascii_digit).collect();
        // What failed did nothing.
        let Ok(done) = digits.parse::<u64>() else { return Ok(None) };
        let words: Vec<&str> = words.split(", ").collect();
        let word = |at: usize| words.get(at).copied().ok_or("a call without its words");
        let number = |at: usize| -> Outcome<u64> { Ok(word(at)?.parse()?) };
        let named =
            |at: usize| -> Outcome<Option<PathBuf>> { Ok(within(&self.root, &path(word(at)?)?)) };
        let written = |at: usize| -> Outcome<Vec<u8>> {
            let mut bytes = decoded(word(at)?.trim_matches('"'))?;
            bytes.truncate(usize::try_from(done)?);
            Ok(bytes)
        };
        Ok(match name {
            "write" => {
                let file = word(0)?;
                if file.starts_with("1<") {
                    return Ok(Some(Op::Said(written(1)?)));
                }
                let Some(path) = named(0)? else { return Ok(None) };
                let position = positions.entry(descriptor(file).to_owned()).or_insert(0);
                let offset = *position;
                *position += done;
                Some(Op::Write { path, offset, bytes: written(1)? })
            }
            "pwrite64" => match named(0)? {
                Some(path) => Some(Op::Write { path, offset: number(3)?, bytes: written(1)? }),
                None => None,
            },
            "fsync" | "fdatasync" => named(0)?.map(|path| Op::Sync { path }),
            "ftruncate" => match named(0)? {
                Some(path) => Some(Op::Truncate { path, length: number(1)? }),
                None => None,
            },
            "openat" => {
                positions.insert(descriptor(answer).to_owned(), 0);
                let flags = word(2)?;
                let cut = flags.contains("O_TRUNC");
                if flags.contains("O_APPEND") && named(1)?.is_some() {
                    return Err("a file is opened to be appended to".into());
                }
                let makes = cut || flags.contains("O_CREAT");
                named(1)?.filter(|_| makes).map(|path| Op::Open { path, cut })
            }
            "lseek" => {
                positions.insert(descriptor(word(0)?).to_owned(), done);
                None
            }
            "rename" => both(named(0)?, named(1)?)?.map(|(from, to)| Op::Rename { from, to }),
            "renameat" | "renameat2" => {
                both(named(1)?, named(3)?)?.map(|(from, to)| Op::Rename { from, to })
            }
            "link" => both(named(0)?, named(1)?)?.map(|(from, to)| Op::Link { from, to }),
            "linkat" => both(named(1)?, named(3)?)?.map(|(from, to)| Op::Link { from, to }),
            "unlink" => named(0)?.map(|path| Op::Unlink { path }),
            "unlinkat" => named(1)?.map(|path| Op::Unlink { path }),
            "mkdir" => named(0)?.map(|path| Op::MakeDir { path }),
            _ => {
                let is_ours = |path: PathBuf| within(&self.root, &path).is_some();
                if words.iter().any(|word| path(word).is_ok_and(is_ours)) {
                    return Err("a call on the store that is not understood".into());
                }
                None
            }
        })
    }
}

fn both(from: Option<PathBuf>, to: Option<PathBuf>) -> Outcome<Option<(PathBuf, PathBuf)>> {
    match (from, to) {
        (Some(from), Some(to)) => Ok(Some((from, to))),
        (None, None) => Ok(None),
        _ => Err("a name that leads out of the directory".into()),
    }
}

/// The number of an open file, of `7<path>`.
fn descriptor(word: &str) -> &str {
    word.split('<').next().unwrap_or_default()
}

/// The path of `"path"` or `7<path>`, perhaps with `(deleted)` behind it.
fn path(word: &str) -> Outcome<PathBuf> {
    let within = match word.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => word.trim_matches('"'),
    };
    Ok(PathBuf::from(OsString::from_vec(decoded(within)?)))
}

/// The bytes of `\x41\x42`.
fn decoded(text: &str) -> Outcome<Vec<u8>> {
    let bytes = text.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>()?;
    if bytes.len() * 4 == text.len() { Ok(bytes) } else { Err("a string that is not whole".into()) }
}

fn cut_short(text: &str) -> String {
    text.chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
    }

    #[test]
    fn calls_become_operations_in_the_order_in_which_they_end() {
        let (a, b, dir) = (hex("/r/a"), hex("/r/b"), hex("/r"));
        let trace = [
            format!("1 openat(AT_FDCWD<{}>, \"{a}\", O_RDWR|O_CREAT, 0600) = 3<{a}>", hex("/")),
            format!("1 write(3<{a}>, \"{}\", 2) = 2", hex("xy")),
            format!("2 fsync(3<{a}> <unfinished ...>"),
            format!("1 pwrite64(3<{a}>, \"{}\", 3, 2) = 2", hex("zzz")),
            "2 <... fsync resumed>)      = 0".to_owned(),
            format!("1 rename(\"{a}\", \"{b}\") = 0"),
            format!("1 fsync(4<{dir}>) = -1 EIO (Input/output error)"),
            format!("1 write(1<{}>, \"{}\", 3) = 3", hex("pipe:[1]"), hex("ok\n")),
            format!("1 write(5<{}>, \"{}\", 3) = 3", hex("/elsewhere"), hex("ok\n")),
        ];
        let events = Parser::new(Path::new("/r")).parse(&trace.join("\n")).unwrap();
        let (a, b) = (PathBuf::from("a"), PathBuf::from("b"));
        let ops: Vec<_> = events.iter().map(|event| &event.op).collect();
        assert_eq!(
            ops,
            [
                &Op::Open { path: a.clone(), cut: false },
                &Op::Write { path: a.clone(), offset: 0, bytes: b"xy".to_vec() },
                &Op::Write { path: a.clone(), offset: 2, bytes: b"zz".to_vec() },
                &Op::Sync { path: a.clone() },
                &Op::Rename { from: a, to: b },
                &Op::Said(b"ok\n".to_vec()),
            ]
        );
        assert_eq!((events[3].begin, events[3].end), (6, 11));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let trace = format!("1 fallocate(3<{}>, 0, 0, 7) = 0", hex("/r/a"));
        assert!(Parser::new(Path::new("/r")).parse(&trace).is_err());
        let other = format!("1 fallocate(3<{}>, 0, 0, 7) = 0", hex("/s/a"));
        assert!(Parser::new(Path::new("/r")).parse(&other).unwrap().is_empty());
    }
}
