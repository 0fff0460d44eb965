//! The note beside a dead log that another log has settled: who leaves it, and who believes it.
//!
//! A log with a note is not read again as a store is opened. So the note says how long the last file
//! of the log was, under the store's audit key: one that is shorter since, or is not the last one any
//! more, is read, and held against what the storage knows of it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use strongroom_core::{LogId, Receipt, StoreIdentity};
use subtle::ConstantTimeEq;

use crate::dir::{LogFile, length_of_lines};
use crate::folder::new_file;
use crate::hex;

/// How the name of a note ends.
pub(crate) const SETTLED: &str = "settled";
/// The class of a note's token. Tokens of names have others.
const CLASS: u8 = 0;
/// A note is shorter than that.
const MAX_BYTES: u64 = 256;

/// The last file of a dead log, locked until the log is settled.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) number: u64,
    pub(crate) file: File,
}

/// The note that a log has been settled.
pub(crate) fn note_of(dir: &Path, log: LogId) -> PathBuf {
    dir.join(format!("{log}.{SETTLED}"))
}

/// Leaves a note that a log has been settled, and where: in the place of one that was not believed.
pub(crate) fn leave_note(
    dir: &Path,
    log: LogId,
    last: &Locked,
    by: Receipt,
    identity: &dyn StoreIdentity,
) -> io::Result<()> {
    let said = format!("{by} {} {}", last.number, length_of_lines(&last.file)?);
    let mut note = format!("{said} ").into_bytes();
    hex::push(&mut note, &token(log, &said, identity));
    note.push(b'\n');
    let path = note_of(dir, log);
    // Removed, not overwritten: it may be a link to something else.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    new_file(&path)?.write_all(&note)
}

/// Whether a note says that a log is settled, and the log is as long as it says.
pub(crate) fn is_noted(file: &LogFile, identity: &dyn StoreIdentity) -> bool {
    let Some(last) = file.segments.last().filter(|_| file.settled) else { return false };
    let Some(dir) = last.path.parent() else { return false };
    let Some((number, length)) = read_note(dir, file.log, identity) else { return false };
    let is_as_long = || Ok::<_, io::Error>(length_of_lines(&File::open(&last.path)?)? == length);
    last.number == number && is_as_long().unwrap_or(false)
}

/// The number and the length of the last file, where the store has said so.
fn read_note(dir: &Path, log: LogId, identity: &dyn StoreIdentity) -> Option<(u64, u64)> {
    let file = File::open(note_of(dir, log)).ok()?;
    let note = io::read_to_string(io::Read::take(file, MAX_BYTES)).ok()?;
    let (said, told) = note.strip_suffix('\n')?.rsplit_once(' ')?;
    let mut words = said.split(' ').skip(1);
    let (number, length) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let told: [u8; 16] = hex::decode_array(told)?;
    let is_ours: bool = told.ct_eq(&token(log, said, identity)).into();
    is_ours.then_some((number, length))
}

fn token(log: LogId, said: &str, identity: &dyn StoreIdentity) -> [u8; 16] {
    identity.token(CLASS, &format!("{log} {said}"))
}
