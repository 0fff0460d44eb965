//! What the intents of all logs say of each storage key, kept small: a log may have millions of them.
//!
//! Of the writes of a key that took effect, runs of consecutive numbers are kept by their two ends,
//! and four bytes of each record's digest: enough to tell an older record from one that nobody
//! wrote, and no evidence by itself. Whole intents are kept while nobody has told their outcome.

use std::collections::{HashMap, HashSet};

use strongroom_core::{Digest, Key, LogId, Outcome, Receipt};

use crate::line::{IntentLine, NameToken};
use crate::report::{Finding, Verdict};

mod kept;

/// One write that was announced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intent {
    pub(super) receipt: Receipt,
    pub(super) seq: u64,
    pub(super) prev: Digest,
    pub(super) next: Digest,
    /// It, or its outcome, was perhaps written after the storage was read.
    pub(super) late: bool,
}

/// What is said of an intent, and whether perhaps after the storage was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) outcome: Outcome,
    pub(crate) late: bool,
}

/// The last write of a key that took effect before the storage was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastDone {
    pub(super) receipt: Receipt,
    pub(super) seq: u64,
    pub(super) next: Digest,
}

/// Two records in one place of a history.
#[derive(Debug, Clone)]
pub(super) struct Fork {
    pub(super) at: Receipt,
    pub(super) seq: u64,
    /// What the other one has there, where that is still known.
    pub(super) expected: Option<Digest>,
    pub(super) found: Digest,
    pub(super) detail: &'static str,
}

/// All intents, by storage key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histories {
    places: HashMap<Key, u32>,
    all: Vec<History>,
    /// Intents whose outcome is not known, or known to be unknown.
    open: HashMap<Receipt, (u32, Intent)>,
    /// Outcomes of intents that are not here, or not yet.
    told: HashMap<Receipt, Told>,
    prev_logs: HashSet<LogId>,
    /// Prefixes of keys that a write ends, with the intent of that write.
    erased: Vec<(Vec<u8>, Receipt)>,
    /// Writes among those that did not take effect.
    not_erased: HashSet<Receipt>,
}

/// The writes of one key.
#[derive(Debug, Clone, Default)]
struct History {
    run: Option<Run>,
    /// The first bytes of the digests of all records that were written, in no order.
    done: Vec<u32>,
    name: Option<NameToken>,
    rare: Option<Box<Rare>>,
}

/// What most keys have nothing of.
#[derive(Debug, Clone, Default)]
struct Rare {
    /// More runs, where writes between them are not known: several logs, or a gap.
    runs: Vec<Run>,
    /// Took effect, perhaps after the storage was read.
    late: Vec<Intent>,
    /// Number and first bytes of the digest of what did not take effect.
    lost: Vec<(u64, u32)>,
    /// Nobody told what became of them.
    open: Vec<Intent>,
    forks: Vec<Fork>,
}

/// Writes of consecutive numbers that took effect, each on the record of the one before it.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u64,
    first_prev: Digest,
    last: u64,
    last_next: Digest,
    last_receipt: Receipt,
}

impl Run {
    const fn of(intent: &Intent) -> Self {
        Self {
            first: intent.seq,
            first_prev: intent.prev,
            last: intent.seq,
            last_next: intent.next,
            last_receipt: intent.receipt,
        }
    }
}

impl Histories {
    /// Takes the line of an intent.
    pub(crate) fn intent(&mut self, receipt: Receipt, line: &IntentLine<'_>, late: bool) {
        let IntentLine { seq, prev, next, .. } = *line;
        let intent = Intent { receipt, seq, prev, next, late };
        self.push(&line.key, intent, line.prev_log, &line.erases);
        self.history(&line.key, |history| history.take_name(line.target.name()));
    }

    /// The token of the path that the record of a key is about.
    pub(super) fn name_of(&self, key: &Key) -> Option<NameToken> {
        self.of(key)?.name
    }

    pub(super) fn push(&mut self, key: &[u8], intent: Intent, prev_log: LogId, erases: &[Vec<u8>]) {
        self.prev_logs.insert(prev_log);
        self.announce(key, intent, erases);
    }

    fn announce(&mut self, key: &[u8], intent: Intent, erases: &[Vec<u8>]) {
        let receipt = intent.receipt;
        self.erased.extend(erases.iter().map(|prefix| (prefix.clone(), receipt)));
        let place = self.place(key);
        self.open.insert(receipt, (place, intent));
        if let Some(told) = self.told.remove(&receipt) {
            self.tell(receipt, told);
        }
    }

    /// Takes an outcome. Of several `done` is proof, `lost` is next to it, `unknown` says nothing.
    pub(crate) fn tell(&mut self, receipt: Receipt, told: Told) {
        let Some((place, intent)) = self.open.get(&receipt).copied() else {
            let known = self.told.entry(receipt).or_insert(told);
            if rank(told.outcome) > rank(known.outcome) {
                *known = told;
            }
            return;
        };
        if told.outcome == Outcome::Unknown {
            return;
        }
        self.open.remove(&receipt);
        let intent = Intent { late: intent.late || told.late, ..intent };
        if told.outcome == Outcome::Lost && self.erased.iter().any(|(_, by)| *by == receipt) {
            self.not_erased.insert(receipt);
        }
        let Some(history) = self.at(place) else { return };
        match told.outcome {
            Outcome::Done if intent.late => history.rare().late.push(intent),
            Outcome::Done => history.add(&intent),
            Outcome::Lost => history.rare().lost.push((intent.seq, short(&intent.next))),
            Outcome::Unknown => {}
        }
    }

    fn place(&mut self, key: &[u8]) -> u32 {
        // A key is allocated once, with its first intent.
        let key = Key::new(key);
        let next = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.all.push(History::default());
        }
        place
    }

    fn at(&mut self, place: u32) -> Option<&mut History> {
        self.all.get_mut(usize::try_from(place).ok()?)
    }

    fn of(&self, key: &Key) -> Option<&History> {
        self.all.get(usize::try_from(*self.places.get(key)?).ok()?)
    }

    /// Outcomes that were told of what was not fed as an intent.
    pub(super) fn told(&self) -> impl Iterator<Item = Receipt> {
        self.told.keys().copied()
    }

    /// The logs that intents say the records before them came from.
    pub(crate) fn prev_logs(&self) -> impl Iterator<Item = LogId> {
        self.prev_logs.iter().copied()
    }

    /// Hands what is still open to its key. Called when all is fed, before anything is judged.
    pub(super) fn end(&mut self) {
        let mut open: Vec<(u32, Intent)> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_unstable_by_key(|(place, intent)| (*place, intent.seq, intent.receipt));
        for (place, intent) in open {
            if let Some(history) = self.at(place) {
                history.rare().open.push(intent);
            }
        }
        for history in &mut self.all {
            history.end();
        }
    }

    /// The last write of each key that is known to have taken effect before the storage was read.
    pub(super) fn last_done(&self) -> impl Iterator<Item = (&Key, LastDone)> {
        self.places.keys().filter_map(|key| Some((key, self.of(key)?.last_done()?)))
    }

    /// Whether a write that may have taken effect ended the namespace that the key lies in.
    pub(super) fn is_erased(&self, key: &Key) -> bool {
        self.erased.iter().any(|(prefix, intent)| {
            key.as_bytes().starts_with(prefix) && !self.not_erased.contains(intent)
        })
    }

    /// Two histories of one key, but of keys in a namespace that was ended: where a batch is one
    /// operation, a write may land there afterwards, as if nothing had been.
    pub(super) fn forks(&self) -> Vec<(&Key, Fork)> {
        let mut forks: Vec<(&Key, Fork)> = Vec::new();
        for key in self.places.keys() {
            let found = self.of(key).map(History::forks).unwrap_or_default();
            if !found.is_empty() && !self.is_erased(key) {
                forks.extend(found.iter().map(|fork| (key, fork.clone())));
            }
        }
        forks.sort_by_key(|(key, fork)| (*key, fork.seq, fork.at));
        forks
    }

    /// What a stored record is; `None` where it is current. `gap`: intents may be missing
    /// without anybody's fault.
    pub(super) fn judge(&self, key: &Key, digest: Digest, gap: bool) -> Option<Finding> {
        let found =
            |verdict, detail: &str| Finding::new(verdict, detail).digests(None, Some(digest));
        let evidence = |verdict, of: LastDone, detail: &str| {
            found(verdict, detail)
                .of_log(of.receipt.log, Some(of.receipt.index))
                .at_seq(of.seq)
                .digests(Some(of.next), Some(digest))
        };
        let gone_by = |last| evidence(Verdict::RolledBack, last, "a later record was written");
        let Some(history) = self.of(key) else {
            // The first keyring is older than any log.
            return (!is_keyring(key)).then(|| {
                if gap {
                    found(Verdict::Gap, "no intent names it, and a log may lack lines")
                } else {
                    found(Verdict::Unlogged, "no log tells of it")
                }
            });
        };
        let forked =
            |last| evidence(Verdict::Forked, last, "another record was written in its place");
        let last = history.last_done();
        if last.is_some_and(|last| last.next == digest) {
            return history
                .open_after(last.map_or(0, |last| last.seq))
                .map(|open| evidence(Verdict::Open, open, "a later write is not settled"));
        }
        if let Some(named) = history.unsettled(digest) {
            return match last {
                Some(last) if last.seq > named.seq => Some(gone_by(last)),
                Some(last) if last.seq == named.seq => Some(forked(last)),
                _ => history
                    .open_after(named.seq)
                    .map(|open| evidence(Verdict::Open, open, "a later write is not settled")),
            };
        }
        if let Some(last) = last
            && history.has_done(digest)
        {
            return Some(if history.is_beside(last, digest) {
                forked(last)
            } else {
                gone_by(last)
            });
        }
        if let Some(seq) = history.lost(digest) {
            return Some(match last {
                Some(last) if last.seq > seq => gone_by(last),
                Some(last) if last.seq == seq => forked(last),
                _ => found(Verdict::Altered, "its write did not take effect").at_seq(seq),
            });
        }
        if is_keyring(key) && last.is_none() {
            let open = history.newest_unsettled()?;
            return Some(evidence(Verdict::Open, open, "a write is not settled"));
        }
        Some(if gap {
            found(Verdict::Gap, "no intent names it, and a log may lack lines")
        } else {
            found(Verdict::Altered, "no intent names it")
        })
    }
}

impl History {
    /// A key is that of one path.
    fn take_name(&mut self, name: Option<NameToken>) {
        self.name = self.name.or(name);
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.run.iter().chain(self.rare.iter().flat_map(|rare| &rare.runs))
    }

    /// Takes a write that took effect.
    fn add(&mut self, intent: &Intent) {
        if self.done.len() == self.done.capacity() {
            self.done.reserve_exact(4 + self.done.len() / 8);
        }
        self.done.push(short(&intent.next));
        match &mut self.run {
            None => self.run = Some(Run::of(intent)),
            // So it goes in nearly all histories.
            Some(run)
                if run.last.checked_add(1) == Some(intent.seq) && run.last_next == intent.prev =>
            {
                run.last = intent.seq;
                run.last_next = intent.next;
                run.last_receipt = intent.receipt;
                if self.rare.as_ref().is_some_and(|rare| !rare.runs.is_empty()) {
                    self.join();
                }
            }
            Some(_) => {
                self.rare().runs.push(Run::of(intent));
                self.join();
            }
        }
    }

    /// Joins runs that follow one another.
    fn join(&mut self) {
        let Some(rare) = &mut self.rare else { return };
        let runs = self.run.take().into_iter().chain(rare.runs.drain(..)).collect();
        rare.runs = joined(runs, &mut rare.forks);
        // The newest run is at hand, since it is the one that grows.
        self.run = rare.runs.pop();
    }

    /// What is late is part of no run: only for forks it is.
    fn end(&mut self) {
        let Some(rare) = &mut self.rare else { return };
        if rare.late.is_empty() {
            return;
        }
        rare.late.sort_unstable_by_key(|intent| (intent.seq, intent.receipt));
        let runs = self.run.iter().chain(&rare.runs).copied();
        let all = runs.chain(rare.late.iter().map(Run::of)).collect();
        joined(all, &mut rare.forks);
    }

    fn last_done(&self) -> Option<LastDone> {
        let run = self.runs().max_by_key(|run| run.last)?;
        Some(LastDone { receipt: run.last_receipt, seq: run.last, next: run.last_next })
    }

    /// The intent that names a record, of those that are late or open.
    fn unsettled(&self, digest: Digest) -> Option<&Intent> {
        let rare = self.rare.as_deref()?;
        let mut named = rare.open.iter().chain(&rare.late).filter(|intent| intent.next == digest);
        named.by_ref().max_by_key(|intent| (intent.seq, intent.receipt))
    }

    /// The newest open intent beyond a number that was there before the storage was read.
    fn open_after(&self, seq: u64) -> Option<LastDone> {
        let open = self.rare.as_deref()?.open.iter();
        open.rev().find(|intent| intent.seq > seq && !intent.late).map(LastDone::from)
    }

    fn newest_unsettled(&self) -> Option<LastDone> {
        let rare = self.rare.as_deref()?;
        let newest = rare.open.iter().chain(&rare.late).max_by_key(|intent| intent.seq);
        newest.map(LastDone::from)
    }

    /// Whether it was written, or replaced by a write that is known.
    fn has_done(&self, digest: Digest) -> bool {
        self.done.contains(&short(&digest))
            || self.runs().any(|run| run.first_prev == digest)
            || self.forks().iter().any(|fork| fork.found == digest)
    }

    fn forks(&self) -> &[Fork] {
        self.rare.as_deref().map(|rare| rare.forks.as_slice()).unwrap_or_default()
    }

    /// Whether it was written in the place of the last one.
    fn is_beside(&self, last: LastDone, digest: Digest) -> bool {
        self.forks().iter().any(|fork| {
            fork.seq == last.seq && (fork.found == digest || fork.expected == Some(digest))
        })
    }

    /// The number of a write of that record that did not take effect.
    fn lost(&self, digest: Digest) -> Option<u64> {
        let lost = self.rare.as_deref()?.lost.iter();
        let same = lost.filter(|(_, lost)| *lost == short(&digest));
        same.map(|(seq, _)| *seq).max()
    }
}

impl From<&Intent> for LastDone {
    fn from(intent: &Intent) -> Self {
        Self { receipt: intent.receipt, seq: intent.seq, next: intent.next }
    }
}

/// Joins runs that follow one another. Two that do so by their numbers and not by their records,
/// or that overlap, are two histories.
fn joined(mut runs: Vec<Run>, forks: &mut Vec<Fork>) -> Vec<Run> {
    runs.sort_unstable_by_key(|run| (run.first, run.last, run.last_receipt));
    let mut joined: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match joined.last_mut() {
            Some(last) if last.last.checked_add(1) == Some(run.first) => {
                if last.last_next != run.first_prev {
                    forks.push(Fork {
                        at: run.last_receipt,
                        seq: run.first,
                        expected: Some(last.last_next),
                        found: run.first_prev,
                        detail: "a write replaced another record than the one before it",
                    });
                }
                last.last = run.last;
                last.last_next = run.last_next;
                last.last_receipt = run.last_receipt;
            }
            Some(last) if run.first <= last.last => {
                if (run.last, run.last_next) != (last.last, last.last_next) {
                    let at_end = run.last == last.last;
                    forks.push(Fork {
                        at: run.last_receipt,
                        seq: run.last,
                        expected: at_end.then_some(last.last_next),
                        found: run.last_next,
                        detail: "two writes took effect at one number",
                    });
                }
                if run.last > last.last {
                    last.last = run.last;
                    last.last_next = run.last_next;
                    last.last_receipt = run.last_receipt;
                }
            }
            _ => joined.push(run),
        }
    }
    joined
}

const fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Unknown => 0,
        Outcome::Lost => 1,
        Outcome::Done => 2,
    }
}

fn short(digest: &Digest) -> u32 {
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn is_keyring(key: &Key) -> bool {
    key.as_bytes() == [1]
}
