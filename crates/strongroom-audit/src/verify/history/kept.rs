//! Histories as lines of a snapshot, and back: what is told again says the same as what was told.

use std::collections::HashMap;

use strongroom_core::{Key, Receipt};

use super::{Histories, History, Intent, Run};
use crate::line::{KeptLine, MAX_OLDER, MissedLine, OlderLine, SnapshotLine, UnsettledLine};

impl Histories {
    /// Takes a line of a snapshot that stands at that place.
    pub(in crate::verify) fn keep(&mut self, at: Receipt, line: &SnapshotLine) {
        match line {
            SnapshotLine::Kept(line) => {
                let KeptLine { ref key, name, first, prev, seq, digest, intent } = *line;
                let run = Run {
                    first,
                    first_prev: prev,
                    last: seq,
                    last_next: digest,
                    last_receipt: intent,
                };
                self.history(key, |history| {
                    history.add_runs([run]);
                    history.take_name(name);
                });
            }
            SnapshotLine::Older(line) => {
                self.history(&line.key, |history| history.done.extend_from_slice(&line.digests));
            }
            SnapshotLine::Missed(line) => {
                self.history(&line.key, |history| {
                    history.rare().lost.push((line.seq, line.digest));
                    history.take_name(line.name);
                });
            }
            SnapshotLine::Unsettled(line) => {
                let UnsettledLine { ref key, name, seq, prev, next, intent: receipt, ref erases } =
                    *line;
                let intent = Intent { receipt, seq, prev, next, late: false };
                self.announce(key, intent, erases);
                self.history(key, |history| history.take_name(name));
            }
            SnapshotLine::Erased(prefix) => self.erased.push((prefix.clone(), at)),
            SnapshotLine::Begin(_) | SnapshotLine::Pruned(_) | SnapshotLine::End(_) => {}
        }
    }

    pub(super) fn history(&mut self, key: &[u8], change: impl FnOnce(&mut History)) {
        let place = self.place(key);
        if let Some(history) = self.at(place) {
            change(history);
        }
    }

    /// Takes all that other histories know.
    pub(in crate::verify) fn absorb(&mut self, mut other: Self) {
        self.erased.append(&mut other.erased);
        self.not_erased.extend(other.not_erased);
        self.prev_logs.extend(other.prev_logs);
        let mut keys: Vec<(Key, u32)> = other.places.into_iter().collect();
        keys.sort_unstable_by_key(|(_, place)| *place);
        // In the order of their places, and each place has one key.
        for ((key, _), kept) in keys.iter().zip(other.all) {
            self.history(key.as_bytes(), |history| history.absorb(kept));
        }
        let mut open: Vec<(u32, Intent)> = other.open.into_values().collect();
        open.sort_unstable_by_key(|(_, intent)| intent.receipt);
        for (place, intent) in open {
            if let Some((key, _)) = usize::try_from(place).ok().and_then(|place| keys.get(place)) {
                self.announce(key.as_bytes(), intent, &[]);
            }
        }
        for (receipt, told) in other.told {
            self.tell(receipt, told);
        }
    }

    /// Tells all that is known, in lines of a snapshot. What lies in a namespace that has ended for
    /// certain is not told again: nobody is accused over it.
    ///
    /// # Errors
    /// The key of two histories in one place, which are evidence.
    pub(crate) fn tell_again(&self, tell: &mut dyn FnMut(SnapshotLine)) -> Result<(), Key> {
        let is_certain =
            |by: &Receipt| !self.open.contains_key(by) && !self.not_erased.contains(by);
        let ended = self.erased.iter().filter(|(_, by)| is_certain(by));
        let mut ended: Vec<&Vec<u8>> = ended.map(|(prefix, _)| prefix).collect();
        ended.sort_unstable();
        ended.dedup();
        for prefix in &ended {
            tell(SnapshotLine::Erased((*prefix).clone()));
        }
        let has_ended = |key: &[u8]| ended.iter().any(|prefix| key.starts_with(prefix));
        let mut keys: Vec<&Key> = self.places.keys().collect();
        keys.retain(|key| !has_ended(key.as_bytes()));
        keys.sort_unstable();
        for key in &keys {
            let Some(history) = self.of(key) else { continue };
            // Whether a write that is open ended the namespace, and so nobody is accused, is seen later.
            if !history.forks().is_empty() {
                return Err((*key).clone());
            }
            history.tell_again(key.as_bytes(), tell);
        }
        let names: HashMap<u32, &Key> =
            keys.iter().filter_map(|key| Some((*self.places.get(*key)?, *key))).collect();
        let mut open: Vec<&(u32, Intent)> = self.open.values().collect();
        open.sort_unstable_by_key(|(_, intent)| intent.receipt);
        for (place, intent) in open {
            let Some(key) = names.get(place) else { continue };
            let Intent { receipt, seq, prev, next, .. } = *intent;
            let erases = self.erased.iter().filter(|(_, by)| *by == receipt);
            tell(SnapshotLine::Unsettled(UnsettledLine {
                key: key.as_bytes().to_vec(),
                name: self.name_of(key),
                seq,
                prev,
                next,
                intent: receipt,
                erases: erases.map(|(prefix, _)| prefix.clone()).collect(),
            }));
        }
        Ok(())
    }
}

impl History {
    fn add_runs(&mut self, runs: impl IntoIterator<Item = Run>) {
        self.rare().runs.extend(runs);
        self.join();
    }

    fn absorb(&mut self, other: Self) {
        self.take_name(other.name);
        self.done.extend_from_slice(&other.done);
        let (mut runs, mut rare) = (Vec::from_iter(other.run), other.rare.unwrap_or_default());
        runs.append(&mut rare.runs);
        if !runs.is_empty() {
            self.add_runs(runs);
        }
        if !rare.lost.is_empty() {
            self.rare().lost.append(&mut rare.lost);
        }
        if !rare.forks.is_empty() {
            self.rare().forks.append(&mut rare.forks);
        }
    }

    fn tell_again(&self, key: &[u8], tell: &mut dyn FnMut(SnapshotLine)) {
        let mut runs: Vec<&Run> = self.runs().collect();
        runs.sort_unstable_by_key(|run| run.first);
        for run in runs {
            let Run { first, first_prev: prev, last: seq, last_next: digest, last_receipt } = *run;
            let (key, name, intent) = (key.to_vec(), self.name, last_receipt);
            tell(SnapshotLine::Kept(KeptLine { key, name, first, prev, seq, digest, intent }));
        }
        for digests in self.done.chunks(MAX_OLDER) {
            let digests = digests.to_vec();
            tell(SnapshotLine::Older(OlderLine { key: key.to_vec(), digests }));
        }
        for (seq, digest) in self.rare.iter().flat_map(|rare| &rare.lost) {
            let (key, name, seq, digest) = (key.to_vec(), self.name, *seq, *digest);
            tell(SnapshotLine::Missed(MissedLine { key, name, seq, digest }));
        }
    }
}
