//! What the intents of all logs say of each storage key, said plainly: all of them are kept. What
//! runs is `history`, which is held against this.

use std::collections::{BTreeSet, HashMap, HashSet};

use strongroom_core::{Digest, Key, Outcome, Receipt};

use crate::report::{Finding, Verdict};

/// One write that was announced, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Intent {
    pub(super) receipt: Receipt,
    pub(super) seq: u64,
    pub(super) prev: Digest,
    pub(super) next: Digest,
    /// It, or its outcome, was perhaps written after the storage was read.
    pub(super) late: bool,
    pub(super) outcome: Option<Outcome>,
}

impl Intent {
    fn is_done(&self) -> bool {
        self.outcome == Some(Outcome::Done)
    }

    fn is_lost(&self) -> bool {
        self.outcome == Some(Outcome::Lost)
    }
}

/// All intents, by storage key.
#[derive(Debug, Default)]
pub(super) struct Histories {
    by_key: HashMap<Key, Vec<Intent>>,
    /// Prefixes of keys that a write ends, with the intent of that write.
    erased: Vec<(Vec<u8>, Receipt)>,
    lost: HashSet<Receipt>,
}

impl Histories {
    pub(super) fn push(&mut self, key: Key, intent: Intent, erases: &[Vec<u8>]) {
        let receipt = intent.receipt;
        self.erased.extend(erases.iter().map(|prefix| (prefix.clone(), receipt)));
        self.by_key.entry(key).or_default().push(intent);
    }

    /// Joins the outcomes to the intents, and sorts each history by sequence number.
    pub(super) fn resolve(&mut self, outcomes: &HashMap<Receipt, (Outcome, bool)>) {
        for intents in self.by_key.values_mut() {
            for intent in intents.iter_mut() {
                if let Some((outcome, late)) = outcomes.get(&intent.receipt) {
                    intent.outcome = Some(*outcome);
                    // What is told to be unknown is as open as it was.
                    intent.late |= *late && *outcome != Outcome::Unknown;
                }
                if intent.is_lost() {
                    self.lost.insert(intent.receipt);
                }
            }
            intents.sort_by_key(|intent| (intent.seq, intent.receipt));
        }
    }

    /// The last write of each key that is known to have taken effect before the storage was read.
    pub(super) fn last_done(&self) -> impl Iterator<Item = (&Key, &Intent)> {
        self.by_key.iter().filter_map(|(key, intents)| {
            let done = intents.iter().rfind(|intent| intent.is_done() && !intent.late)?;
            Some((key, done))
        })
    }

    /// Whether a write that may have taken effect ended the namespace that the key lies in.
    pub(super) fn is_erased(&self, key: &Key) -> bool {
        self.erased.iter().any(|(prefix, intent)| {
            key.as_bytes().starts_with(prefix) && !self.lost.contains(intent)
        })
    }

    /// The keys that have two histories, but for keys in a namespace that was ended.
    pub(super) fn forked(&self) -> BTreeSet<&Key> {
        let mut forked = BTreeSet::new();
        for (key, intents) in &self.by_key {
            let mut last: Option<&Intent> = None;
            for intent in intents.iter().filter(|intent| intent.is_done()) {
                let is_fork = last.is_some_and(|last| {
                    (last.seq == intent.seq && last.next != intent.next)
                        || (last.seq + 1 == intent.seq && last.next != intent.prev)
                });
                if is_fork && !self.is_erased(key) {
                    forked.insert(key);
                }
                last = Some(intent);
            }
        }
        forked
    }

    /// What a stored record is; `None` where it is current. `gap`: intents may be missing
    /// without anybody's fault.
    pub(super) fn judge(&self, key: &Key, digest: Digest, gap: bool) -> Option<Finding> {
        let found =
            |verdict, detail: &str| Finding::new(verdict, detail).digests(None, Some(digest));
        let intents = self.by_key.get(key).map(Vec::as_slice).unwrap_or_default();
        let done = || intents.iter().filter(|intent| intent.is_done() && !intent.late);
        let evidence = |verdict, intent: &Intent, detail: &str| {
            found(verdict, detail)
                .of_log(intent.receipt.log, Some(intent.receipt.index))
                .at_seq(intent.seq)
                .digests(Some(intent.next), Some(digest))
        };
        let named = intents.iter().rfind(|intent| intent.next == digest && !intent.is_lost());
        // A write that could not take effect any more, and is stored all the same.
        let Some(named) = named.or_else(|| intents.iter().rfind(|intent| intent.next == digest))
        else {
            return if let Some(next) = done().find(|intent| intent.prev == digest) {
                let last = done().next_back().unwrap_or(next);
                Some(evidence(Verdict::RolledBack, last, "a later record was written"))
            } else if is_keyring(key) && done().next().is_none() {
                // The first keyring is older than any log.
                intents.last().map(|open| evidence(Verdict::Open, open, "a write is not settled"))
            } else if gap {
                Some(found(Verdict::Gap, "no intent names it, and a log may lack lines"))
            } else if intents.is_empty() {
                Some(found(Verdict::Unlogged, "no log tells of it"))
            } else {
                Some(found(Verdict::Altered, "no intent names it"))
            };
        };
        if let Some(newer) = done().rfind(|intent| intent.seq > named.seq) {
            return Some(evidence(Verdict::RolledBack, newer, "a later record was written"));
        }
        let other = |intent: &&Intent| intent.seq == named.seq && intent.next != digest;
        if let Some(other) = done().find(other) {
            return Some(evidence(
                Verdict::Forked,
                other,
                "another record was written in its place",
            ));
        }
        if named.is_lost() {
            return Some(evidence(Verdict::Altered, named, "its write did not take effect"));
        }
        let open = |intent: &&Intent| {
            intent.seq > named.seq && !intent.is_done() && !intent.is_lost() && !intent.late
        };
        intents
            .iter()
            .rfind(open)
            .map(|open| evidence(Verdict::Open, open, "a later write is not settled"))
    }
}

fn is_keyring(key: &Key) -> bool {
    key.as_bytes() == [1]
}
