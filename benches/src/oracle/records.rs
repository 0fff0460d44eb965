//! Whether the log has the record of each write that led to what is stored.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use strongroom_audit::{Line, read_line};

use crate::Outcome;
use crate::room::database;

/// Of one storage key: by the digest of a record, those of records that it replaced.
type Replaced = HashMap<[u8; 32], Vec<[u8; 32]>>;

/// Heads and namespace records whose history the logs do not tell back to their first record. The
/// store must not be open in this process.
pub(super) fn unrecorded(dir: &Path) -> Outcome<Vec<String>> {
    let mut replaced: HashMap<Vec<u8>, Replaced> = HashMap::new();
    for file in std::fs::read_dir(dir.join("audit"))? {
        let bytes = std::fs::read(file?.path())?;
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(Line::Intent(line)) = read_line(line) {
                let key = replaced.entry(line.key.to_vec()).or_default();
                key.entry(*line.next.as_bytes()).or_default().push(*line.prev.as_bytes());
            }
        }
    }
    let database = Connection::open(database(dir))?;
    // Keys of namespace records begin with 2, those of heads with 3.
    let mut records =
        database.prepare("SELECT k, v FROM records WHERE k >= x'02' AND k < x'04'")?;
    let mut records = records.query([])?;
    let mut unrecorded = Vec::new();
    while let Some(row) = records.next()? {
        let (key, record): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let known = replaced.remove(&key).unwrap_or_default();
        if !leads_to_nothing(&known, Sha256::digest(&record).into()) {
            unrecorded.push(format!("the log lacks a write that led to the record {key:02x?}"));
        }
    }
    Ok(unrecorded)
}

/// Whether some way from this record, to what each replaced, ends where there was none.
fn leads_to_nothing(replaced: &Replaced, from: [u8; 32]) -> bool {
    let (mut met, mut next) = (HashSet::new(), vec![from]);
    while let Some(digest) = next.pop() {
        if digest == [0; 32] {
            return true;
        }
        if met.insert(digest) {
            next.extend(replaced.get(&digest).into_iter().flatten());
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_has_no_gap() {
        let [none, first, second] = [[0; 32], [1; 32], [2; 32]];
        let whole = HashMap::from([(second, vec![first]), (first, vec![none])]);
        assert!(leads_to_nothing(&whole, second));
        assert!(!leads_to_nothing(&whole, [3; 32]));
        let torn = HashMap::from([(second, vec![first]), (first, vec![second])]);
        assert!(!leads_to_nothing(&torn, second));
    }
}
