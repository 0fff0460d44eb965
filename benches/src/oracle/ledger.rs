//! What must be in the store: what its writer said, line by line.
//!
//! | line | what it says |
//! | --- | --- |
//! | `try PATH put TAG`, and `delete`, `destroy` or `purge` with no tag | this write begins |
//! | `done PATH put VERSION TAG`, `done PATH purge` | it took effect |
//! | `done PATH delete VERSION`, `done PATH destroy VERSION` | likewise |
//! | `done PATH nothing` | there was nothing to delete, destroy or purge |
//! | `not-done PATH` | it did not, and will not |
//! | `unknown PATH` | nobody knows |
//! | `resolved PATH took-effect`, `resolved PATH did-not` | of the write before, somebody knows now |
//! | `saw PATH live VERSION TAG`, `saw PATH absent` | a read's answer |
//! | `saw PATH deleted VERSION`, `saw PATH destroyed VERSION` | likewise |

use std::collections::BTreeMap;

/// How many versions a secret keeps.
const KEPT: usize = 10;

/// What is known of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// What its value is made of.
    pub(crate) tag: u64,
    /// What became of it.
    pub(crate) fate: Fate,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Live,
    Deleted,
    Destroyed,
}

/// What a write under way will have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Put { tag: u64 },
    Delete,
    Destroy,
    Purge,
}

/// What is seen of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Absent,
    Live { version: u64, tag: u64 },
    Deleted { version: u64 },
    Destroyed { version: u64 },
}

/// A state that a secret can be in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// The last version ever put: numbers do not come back after a purge.
    last: u64,
    versions: BTreeMap<u64, Known>,
}

impl State {
    fn seen(&self) -> Seen {
        match self.versions.last_key_value() {
            None => Seen::Absent,
            Some((&version, known)) => match known.fate {
                Fate::Live => Seen::Live { version, tag: known.tag },
                Fate::Deleted => Seen::Deleted { version },
                Fate::Destroyed => Seen::Destroyed { version },
            },
        }
    }

    /// The state after that write; `None` where there is nothing that it could be done to.
    fn after(&self, tried: Tried) -> Option<Self> {
        let mut next = self.clone();
        match (tried, self.seen()) {
            (Tried::Put { tag }, _) => {
                next.last += 1;
                next.versions.insert(next.last, Known { tag, fate: Fate::Live });
            }
            (Tried::Delete, Seen::Live { version, .. } | Seen::Deleted { version }) => {
                next.versions.get_mut(&version)?.fate = Fate::Deleted;
            }
            (
                Tried::Destroy,
                Seen::Live { version, .. }
                | Seen::Deleted { version }
                | Seen::Destroyed { version },
            ) => next.versions.get_mut(&version)?.fate = Fate::Destroyed,
            (Tried::Delete, Seen::Destroyed { .. }) | (_, Seen::Absent) => return None,
            (Tried::Purge, _) => next.versions.clear(),
        }
        Some(next)
    }
}

/// One secret: the states that it can be in, and the write that was not answered.
#[derive(Debug)]
pub(crate) struct Secret {
    may_be: Vec<State>,
    tried: Option<Tried>,
    /// Without and with the last write that nobody knew of.
    doubt: Option<[Vec<State>; 2]>,
}

impl Default for Secret {
    fn default() -> Self {
        Self { may_be: vec![State::default()], tried: None, doubt: None }
    }
}

impl Secret {
    /// What must be in force, if no write under way or in doubt took effect.
    pub(crate) fn seen(&self) -> Seen {
        self.may_be.first().map_or(Seen::Absent, State::seen)
    }

    /// The versions that must still be there, with what each can be.
    pub(crate) fn versions(&self) -> Vec<(u64, Vec<Known>)> {
        let Some((first, others)) = self.may_be.split_first() else { return Vec::new() };
        let numbers = first.versions.keys().rev().take(KEPT);
        let known =
            numbers.filter(|number| others.iter().all(|state| state.versions.contains_key(number)));
        known
            .map(|number| {
                let all = self.may_be.iter();
                (*number, all.filter_map(|state| state.versions.get(number).copied()).collect())
            })
            .collect()
    }

    /// Whether a write was under way, or is in doubt.
    pub(crate) fn is_open(&self) -> bool {
        self.tried.is_some() || self.may_be.len() > 1
    }

    /// Takes what is found for what happened, where it can have: what was acknowledged, or that
    /// and the writes that were not. Answers whether one of the latter took effect.
    pub(crate) fn settle(&mut self, found: Seen) -> Option<bool> {
        let before = self.seen();
        self.doubt();
        let possible = self.may_be.iter().filter(|state| state.seen() == found);
        // Several where a purge hides what was before it.
        let possible = possible.cloned().collect();
        self.doubt = None;
        self.keep(possible).then_some(found != before)
    }

    /// Notes an acknowledged put; false where no state leads to that version.
    pub(crate) fn put(&mut self, version: u64, tag: u64) -> bool {
        self.took_effect(Tried::Put { tag }, |state| state.last == version)
    }

    /// The write under way may have taken effect or not.
    fn doubt(&mut self) {
        let Some(tried) = self.tried.take() else { return };
        let without = self.may_be.clone();
        let with: Vec<_> = without.iter().filter_map(|state| state.after(tried)).collect();
        for state in &with {
            if !self.may_be.contains(state) {
                self.may_be.push(state.clone());
            }
        }
        self.doubt = Some([without, with]);
    }

    fn took_effect(&mut self, tried: Tried, fits: impl Fn(&State) -> bool) -> bool {
        (self.tried, self.doubt) = (None, None);
        let after = self.may_be.iter().filter_map(|state| state.after(tried));
        let after: Vec<_> = after.filter(fits).collect();
        self.keep(after)
    }

    fn keep(&mut self, states: Vec<State>) -> bool {
        let is_possible = !states.is_empty();
        if is_possible {
            self.may_be = states;
        }
        is_possible
    }

    fn note(&mut self, verb: &str, what: &[&str]) -> Option<bool> {
        let number = |at: usize| what.get(at)?.parse::<u64>().ok();
        Some(match (verb, *what.first().unwrap_or(&"")) {
            ("try", act) => {
                self.tried = Some(match act {
                    "put" => Tried::Put { tag: number(1)? },
                    "delete" => Tried::Delete,
                    "destroy" => Tried::Destroy,
                    "purge" => Tried::Purge,
                    _ => return None,
                });
                true
            }
            ("done", "put") => self.put(number(1)?, number(2)?),
            ("done", "delete") => {
                let wanted = Seen::Deleted { version: number(1)? };
                self.took_effect(Tried::Delete, |state| state.seen() == wanted)
            }
            ("done", "destroy") => {
                let wanted = Seen::Destroyed { version: number(1)? };
                self.took_effect(Tried::Destroy, |state| state.seen() == wanted)
            }
            ("done", "purge") => self.took_effect(Tried::Purge, |_| true),
            ("done", "nothing") => {
                let tried = self.tried.take()?;
                let same = self.may_be.iter().filter(|state| state.after(tried).is_none());
                self.keep(same.cloned().collect())
            }
            ("not-done", _) => self.tried.take().is_some(),
            ("unknown", _) => {
                let is_open = self.tried.is_some();
                self.doubt();
                is_open
            }
            ("resolved", what @ ("took-effect" | "did-not")) => {
                let [without, with] = self.doubt.take()?;
                self.keep(if what == "did-not" { without } else { with })
            }
            ("saw", "live") => self.shows(Seen::Live { version: number(1)?, tag: number(2)? }),
            ("saw", "deleted") => self.shows(Seen::Deleted { version: number(1)? }),
            ("saw", "destroyed") => self.shows(Seen::Destroyed { version: number(1)? }),
            ("saw", "absent") => self.shows(Seen::Absent),
            _ => return None,
        })
    }

    fn shows(&self, seen: Seen) -> bool {
        self.may_be.iter().any(|state| state.seen() == seen)
    }
}

/// Whether a line is one of those in the table above.
pub(crate) fn is_of_ledger(line: &str) -> bool {
    const VERBS: [&str; 6] = ["try", "done", "not-done", "unknown", "resolved", "saw"];
    line.split_once(' ').is_some_and(|(verb, _)| VERBS.contains(&verb))
}

/// All secrets of a store, by path.
#[derive(Debug, Default)]
pub(crate) struct Ledger(pub(crate) BTreeMap<String, Secret>);

impl Ledger {
    /// Notes a line of the writer; false where it makes no sense, or cannot be after what was said
    /// before.
    pub(crate) fn note(&mut self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        let [verb, path, what @ ..] = words.as_slice() else { return false };
        let secret = self.0.entry((*path).to_owned()).or_default();
        secret.note(verb, what) == Some(true)
    }

    /// The writer of the secrets below this prefix was killed: of its writes under way, nobody
    /// knows.
    pub(crate) fn writer_is_gone(&mut self, prefix: &str) {
        let its = self.0.iter_mut().filter(|(path, _)| path.starts_with(prefix));
        its.for_each(|(_, secret)| secret.doubt());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(lines: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        assert!(lines.iter().all(|line| ledger.note(line)), "{lines:?}");
        ledger
    }

    #[test]
    fn only_the_write_under_way_may_differ() {
        let found =
            |lines: &[&str], found: Seen| noted(lines).0.get_mut("p").unwrap().settle(found);
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
        let again = [&deleted[..], &["try p delete", "done p delete 1"]].concat();
        assert_eq!(found(&again, Seen::Deleted { version: 1 }), Some(false));
        assert_eq!(found(&["try p delete", "done p nothing"], Seen::Absent), Some(false));
        let purging = ["try p put 7", "done p put 1 7", "try p purge"];
        assert_eq!(found(&purging, Seen::Absent), Some(true));
    }

    #[test]
    fn what_is_in_doubt_may_be_either_way_until_it_is_resolved() {
        let doubt = ["try p put 7", "unknown p", "try p put 8", "unknown p"];
        for (version, tag) in [(1, 7), (1, 8), (2, 8)] {
            let seen = Seen::Live { version, tag };
            assert_eq!(noted(&doubt).0.get_mut("p").unwrap().settle(seen), Some(true));
        }
        let mut ledger = noted(&doubt);
        assert!(ledger.note("try p put 9") && ledger.note("done p put 3 9"));
        assert_eq!(ledger.0["p"].seen(), Seen::Live { version: 3, tag: 9 });
        assert!(!ledger.0["p"].is_open());
        // Of a purged secret nobody sees which number comes next.
        let purged = [&doubt[..2], &["try p purge", "unknown p"]].concat();
        for next in [1, 2] {
            let mut ledger = noted(&purged);
            let secret = ledger.0.get_mut("p").unwrap();
            assert_eq!(secret.settle(Seen::Absent), Some(false));
            assert!(secret.put(next, 9), "{next}");
        }
        let resolved = noted(&["try p put 7", "unknown p", "resolved p did-not"]);
        assert_eq!(resolved.0["p"].seen(), Seen::Absent);
        let mut refused = noted(&["try p put 7", "not-done p"]);
        assert_eq!(refused.0.get_mut("p").unwrap().settle(Seen::Live { version: 1, tag: 7 }), None);
    }

    #[test]
    fn a_destroyed_version_stays_so_until_a_purge() {
        let destroyed = ["try p put 7", "done p put 1 7", "try p destroy", "done p destroy 1"];
        let after = |more: &[&str]| noted(&[&destroyed[..], more].concat()).0["p"].seen();
        assert_eq!(after(&["saw p destroyed 1"]), Seen::Destroyed { version: 1 });
        let nothing = ["try p delete", "done p nothing"];
        assert_eq!(after(&nothing), Seen::Destroyed { version: 1 });
        assert_eq!(after(&["try p purge", "done p purge"]), Seen::Absent);
        assert!(!noted(&destroyed).note("saw p live 1 7"));
        assert!(!noted(&destroyed).note("saw p deleted 1"));
    }

    #[test]
    fn what_a_writer_left_behind_may_be_either_way() {
        let left = ["try a/p put 7", "done a/p put 1 7", "try a/p put 8", "try b/p put 9"];
        let mut ledger = noted(&left);
        ledger.writer_is_gone("a/");
        assert!(ledger.note("saw a/p live 1 7") && ledger.note("saw a/p live 2 8"));
        assert!(ledger.note("try a/p put 6") && ledger.note("done a/p put 3 6"));
        assert!(!ledger.0["a/p"].is_open() && ledger.0["b/p"].is_open());
    }

    #[test]
    fn a_number_does_not_come_back() {
        let purged = ["try p put 7", "done p put 1 7", "try p purge", "done p purge"];
        let mut ledger = noted(&purged);
        assert!(ledger.note("saw p absent") && ledger.note("try p put 8"));
        assert!(!ledger.note("done p put 1 8"));
    }

    #[test]
    fn nonsense_is_told() {
        for line in [
            "",
            "try p",
            "try p put x",
            "done p delete 4",
            "done p put 1",
            "other p put 1",
            "saw p live 1 1",
            "not-done p",
            "resolved p did-not",
        ] {
            assert!(!Ledger::default().note(line), "{line}");
        }
    }
}
