//! What must be in the store: what the killed writer said, line by line.

use std::collections::BTreeMap;

/// How many versions a secret keeps.
const KEPT: usize = 10;

/// What is known of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// What its value is made of.
    pub(super) tag: u64,
    /// Whether it is deleted.
    pub(super) deleted: bool,
}

/// What a write under way will have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Put { tag: u64 },
    Delete,
}

/// What is seen of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Absent,
    Live { version: u64, tag: u64 },
    Deleted { version: u64 },
}

/// One secret: its versions, and the write that was not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Secret {
    versions: BTreeMap<u64, Known>,
    tried: Option<Tried>,
}

impl Secret {
    /// What must be in force.
    pub(super) fn seen(&self) -> Seen {
        match self.versions.last_key_value() {
            None => Seen::Absent,
            Some((&version, known)) if known.deleted => Seen::Deleted { version },
            Some((&version, known)) => Seen::Live { version, tag: known.tag },
        }
    }

    /// The versions that must still be there.
    pub(super) fn versions(&self) -> impl Iterator<Item = (u64, Known)> {
        self.versions.iter().rev().take(KEPT).map(|(&version, &known)| (version, known))
    }

    /// Whether a write was under way.
    pub(super) fn is_open(&self) -> bool {
        self.tried.is_some()
    }

    /// Takes what is found for what happened, where it can have: what was acknowledged, or that
    /// and the write that was under way. Answers whether the latter took effect.
    pub(super) fn settle(&mut self, found: Seen) -> Option<bool> {
        let tried = self.tried.take();
        if found == self.seen() {
            return Some(false);
        }
        let next = self.versions.last_key_value().map_or(1, |(last, _)| last + 1);
        let possible = match (tried?, self.seen()) {
            (Tried::Put { tag }, _) => Seen::Live { version: next, tag },
            (Tried::Delete, Seen::Live { version, .. }) => Seen::Deleted { version },
            (Tried::Delete, _) => return None,
        };
        if found != possible {
            return None;
        }
        match found {
            Seen::Live { version, tag } => self.put(version, tag),
            Seen::Deleted { version } => self.delete(version)?,
            Seen::Absent => return None,
        }
        Some(true)
    }

    /// Notes an acknowledged put.
    pub(super) fn put(&mut self, version: u64, tag: u64) {
        self.versions.insert(version, Known { tag, deleted: false });
    }

    fn delete(&mut self, version: u64) -> Option<()> {
        self.versions.get_mut(&version)?.deleted = true;
        Some(())
    }
}

/// All secrets of a store, by path.
#[derive(Debug, Default)]
pub(super) struct Ledger(pub(super) BTreeMap<String, Secret>);

impl Ledger {
    /// Notes a line of the writer; false where it makes no sense.
    pub(super) fn note(&mut self, line: &str) -> bool {
        self.take_in(line).is_some()
    }

    fn take_in(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let (verb, path, what) = (words.next()?, words.next()?, words.next()?);
        let secret = self.0.entry(path.to_owned()).or_default();
        let mut number = || words.next()?.parse::<u64>().ok();
        match (verb, what) {
            ("try", "put") => secret.tried = Some(Tried::Put { tag: number()? }),
            ("try", "delete") => secret.tried = Some(Tried::Delete),
            ("done", "nothing") => secret.tried = None,
            ("done", "put") => {
                let (version, tag) = (number()?, number()?);
                secret.tried = None;
                secret.put(version, tag);
            }
            ("done", "delete") => {
                secret.tried = None;
                secret.delete(number()?)?;
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_write_under_way_may_differ() {
        let found = |lines: &[&str], found: Seen| {
            let mut ledger = Ledger::default();
            assert!(lines.iter().all(|line| ledger.note(line)), "{lines:?}");
            ledger.0.get_mut("p").unwrap().settle(found)
        };
        let live = |version, tag| Seen::Live { version, tag };
        let acknowledged = ["try p put 7", "done p put 1 7"];
        assert_eq!(found(&acknowledged, live(1, 7)), Some(false));
        assert_eq!(found(&acknowledged, Seen::Absent), None);
        assert_eq!(found(&acknowledged, live(2, 8)), None);
        let open = ["try p put 7", "done p put 1 7", "try p put 8"];
        assert_eq!(found(&open, live(1, 7)), Some(false));
        assert_eq!(found(&open, live(2, 8)), Some(true));
        assert_eq!(found(&open, live(2, 7)), None);
        let deleting = ["try p put 7", "done p put 1 7", "try p delete"];
        assert_eq!(found(&deleting, Seen::Deleted { version: 1 }), Some(true));
        assert_eq!(found(&deleting, live(1, 7)), Some(false));
        let deleted = ["try p put 7", "done p put 1 7", "try p delete", "done p delete 1"];
        assert_eq!(found(&deleted, live(1, 7)), None);
        assert_eq!(found(&["try p delete", "done p nothing"], Seen::Absent), Some(false));
    }

    #[test]
    fn nonsense_is_told() {
        let mut ledger = Ledger::default();
        for line in ["", "try p", "try p put x", "done p delete 4", "done p put 1", "other p put 1"]
        {
            assert!(!ledger.note(line), "{line}");
        }
    }
}
