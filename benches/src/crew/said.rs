//! What all members said, and what of it cannot be.

use std::collections::{BTreeMap, HashSet};

use super::released::{Read, Reads};
use crate::Outcome;
use crate::children::word;
use crate::oracle::{Ledger, Seen};

/// All that was said about one store.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) ledger: Ledger,
    /// The values that reads returned.
    pub(super) given: Reads,
    /// The tags of all puts that ever began, with their paths.
    tried: HashSet<(String, u64)>,
    /// The tag of each version that anybody told of.
    tags: BTreeMap<(String, u64), u64>,
    /// How often each kind of thing was done.
    pub(super) done: BTreeMap<String, usize>,
}

impl Said {
    /// Takes in all that one process said, and answers what of it cannot be. Not before its death:
    /// reads are compared with puts when all have been heard.
    pub(super) fn hear(&mut self, lines: &[String]) -> Vec<String> {
        let mut log = String::new();
        let wrong = |line: &&String| !self.note(line, &mut log).unwrap_or(false);
        lines.iter().filter(wrong).map(|line| format!("a process said: {line}")).collect()
    }

    /// Values that were given by reads and never put there. All processes must have been heard.
    pub(super) fn never_put(&self) -> Vec<String> {
        let given = self
            .tags
            .iter()
            .filter(|((path, _), tag)| !self.tried.contains(&(path.clone(), **tag)));
        given.map(|((path, version), _)| format!("nobody put {path}@{version}")).collect()
    }

    /// Versions that were there, of secrets that are purged.
    pub(super) fn purged(&self) -> Vec<(String, u64)> {
        let is_absent = |path: &String| {
            self.ledger.0.get(path).is_some_and(|secret| secret.seen() == Seen::Absent)
        };
        self.tags.keys().filter(|(path, _)| is_absent(path)).cloned().collect()
    }

    /// Takes in what is in force after a look, whose own puts nobody said.
    pub(super) fn looked(&mut self) {
        for (path, secret) in &self.ledger.0 {
            if let Seen::Live { version, tag } = secret.seen() {
                self.tried.insert((path.clone(), tag));
                self.tags.insert((path.clone(), version), tag);
            }
        }
    }

    fn note(&mut self, line: &str, log: &mut String) -> Outcome<bool> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let text = |at| word::<String>(&words, at);
        let number = |at| word::<u64>(&words, at);
        let verb = text(0)?;
        match verb.as_str() {
            "opened" => {
                *log = text(1)?;
                return Ok(true);
            }
            "closed" => return Ok(true),
            "changed" => {
                *self.done.entry(text(1)?).or_default() += 1;
                return Ok(true);
            }
            "given" => {
                let (path, version, tag) = (text(1)?, number(2)?, number(3)?);
                let read = Read { log: log.clone(), path: path.clone(), version };
                *self.given.entry(read).or_default() += 1;
                return Ok(self.has_tag(path, version, tag));
            }
            _ => {}
        }
        let mut is_possible = self.ledger.note(line);
        match (verb.as_str(), text(2)?.as_str()) {
            ("try", "put") => {
                self.tried.insert((text(1)?, number(3)?));
            }
            ("done", what) => {
                *self.done.entry(what.to_owned()).or_default() += 1;
                if what == "put" {
                    is_possible &= self.has_tag(text(1)?, number(3)?, number(4)?);
                }
            }
            _ => {}
        }
        Ok(is_possible)
    }

    /// Whether nobody told of another value at that version.
    fn has_tag(&mut self, path: String, version: u64, tag: u64) -> bool {
        *self.tags.entry((path, version)).or_insert(tag) == tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: &mut Said, lines: &[&str]) -> usize {
        said.hear(&lines.iter().map(ToString::to_string).collect::<Vec<_>>()).len()
    }

    #[test]
    fn reads_are_held_against_all_puts() {
        let mut said = Said::default();
        assert_eq!(heard(&mut said, &["opened a", "given p 1 7", "given p 1 7", "closed"]), 0);
        assert_eq!(said.never_put(), ["nobody put p@1"]);
        assert_eq!(heard(&mut said, &["opened b", "try p put 7", "done p put 1 7"]), 0);
        assert_eq!(said.never_put(), [""; 0]);
        let read = Read { log: "a".to_owned(), path: "p".to_owned(), version: 1 };
        assert_eq!(said.given, Reads::from([(read, 2)]));
        assert_eq!(said.done, BTreeMap::from([("put".to_owned(), 1)]));
        // Another value at that version, one that is torn, and an answer that cannot be.
        assert_eq!(heard(&mut said, &["given p 1 8", "given p 1 torn", "saw p absent"]), 3);
    }
}
