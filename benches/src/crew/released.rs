//! Whether each value that a process was given has its record, told by the log files alone.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use strongroom::AuditorKey;
use strongroom_audit::{Line, read_line};
use strongroom_core::{ActionName, Effect};

use crate::Outcome;

/// The read of a version of a secret, under the log of the process that read it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Read {
    pub(super) log: String,
    pub(super) path: String,
    pub(super) version: u64,
}

/// How often there was each read.
pub(super) type Reads = BTreeMap<Read, usize>;

/// The files of a directory of logs as they are now.
pub(super) fn files(dir: &Path) -> Outcome<Vec<Vec<u8>>> {
    let files = std::fs::read_dir(dir)?.map(|file| {
        let path = file?.path();
        Ok(if path.is_file() { std::fs::read(path)? } else { Vec::new() })
    });
    files.collect()
}

/// Reads with fewer records than values that were given.
pub(super) fn without_record(given: &Reads, files: &[Vec<u8>], key: &AuditorKey) -> Vec<String> {
    let mut recorded = Reads::new();
    for (read, _) in files.iter().flat_map(|file| allowed(file, key)) {
        *recorded.entry(read).or_default() += 1;
    }
    let told = |read| recorded.get(read).copied().unwrap_or_default();
    let lacking = given.iter().filter(|(read, count)| told(read) < **count);
    lacking
        .map(|(read, count)| {
            let Read { log, path, version } = read;
            let told = told(read);
            format!("log {log} allows {told} reads of {path}@{version}, and {count} were answered")
        })
        .collect()
}

/// Takes one record out of a copy of the files, that of a read which has just as many as it needs,
/// and looks whether that is seen. `None` where no read has.
pub(super) fn control_is_seen(given: &Reads, files: &[Vec<u8>], key: &AuditorKey) -> Option<bool> {
    let records: Vec<Vec<_>> = files.iter().map(|file| allowed(file, key)).collect();
    let count = |wanted: &Read| records.iter().flatten().filter(|(read, _)| read == wanted).count();
    let (wanted, _) = given.iter().find(|(read, needed)| count(read) == **needed)?;
    let mut files = files.to_vec();
    for (file, records) in files.iter_mut().zip(&records) {
        if let Some((_, line)) = records.iter().find(|(read, _)| read == wanted) {
            file.drain(line.clone());
            break;
        }
    }
    Some(without_record(given, &files, key).len() == 1)
}

/// The records of a file that allow a read of a version that was there, and where they stand.
fn allowed(file: &[u8], key: &AuditorKey) -> Vec<(Read, Range<usize>)> {
    let (mut log, mut names, mut start) = (None, HashMap::new(), 0);
    let mut allowed = Vec::new();
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let range = start..start + line.len();
        start = range.end;
        // What a killed process did not end is no record, and neither is what is laid out after.
        let Some(line) = line.strip_suffix(b"\n") else { break };
        match read_line(line) {
            Ok(Line::Open(line)) => log = Some(line.log),
            Ok(Line::Segment(line)) => log = Some(line.log.log),
            Ok(Line::Name(line)) => {
                let name = log.and_then(|log| key.name(log, &line.sealed).ok());
                names.extend(name.map(|name| (line.token, name)));
            }
            Ok(Line::Decision(line)) => {
                let is_read = line.action == ActionName::Read && line.effect == Effect::Allow;
                let path = line.target.name().and_then(|token| names.get(&token));
                let version = line.head.and_then(|head| head.version);
                if let (true, Some(log), Some(path), Some(version)) = (is_read, log, path, version)
                {
                    let (log, path) = (log.to_string(), path.clone());
                    allowed.push((Read { log, path, version }, range));
                }
            }
            _ => {}
        }
    }
    allowed
}
