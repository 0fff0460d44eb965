//! What the logs of a run must have: an intent and an outcome for each write that was reported, and
//! a decision for each value that was released.

use std::collections::{BTreeMap, HashSet};

use strongroom_audit::{Line, read_line};
use strongroom_core::{ActionName, Effect, Receipt};

use super::history::{Fate, Found, History};
use super::plan::name_of;
use crate::MemorySink;

/// Holds a whole run against its logs.
pub(super) fn check(logs: &MemorySink, history: &mut History) {
    let mut faults: Vec<String> = open_intents(logs).into_iter().collect();
    faults.extend(unrecorded_writes(logs, history));
    faults.extend(unrecorded_reads(logs, history));
    faults.into_iter().for_each(|fault| history.fault(fault));
}

/// Says how many intents no log tells the end of, where there are any.
fn open_intents(logs: &MemorySink) -> Option<String> {
    let (mut intents, mut told) = (HashSet::new(), HashSet::new());
    for (receipt, line) in logs.places() {
        match read_line(&line) {
            Ok(Line::Intent(_)) => drop(intents.insert(receipt)),
            Ok(Line::Outcome(line)) => {
                told.insert(Receipt { log: line.log, index: line.intent });
            }
            _ => {}
        }
    }
    let open = intents.difference(&told).count();
    (open > 0).then(|| format!("{open} intents are open at the end"))
}

/// A write that took effect has an intent, which no power cut takes.
fn unrecorded_writes(logs: &MemorySink, history: &History) -> Vec<String> {
    let mut intents: BTreeMap<String, usize> = BTreeMap::new();
    logs.intents().into_iter().for_each(|path| *intents.entry(path).or_default() += 1);
    let mut done: BTreeMap<usize, usize> = BTreeMap::new();
    for write in history.writes.iter().filter(|write| matches!(write.fate, Fate::Took(_))) {
        *done.entry(write.path).or_default() += 1;
    }
    let short = done.into_iter().filter_map(|(path, done)| {
        let recorded = intents.get(&name_of(path)).copied().unwrap_or(0);
        let what = format!("path {path}: {done} writes took effect, and {recorded} have intents");
        (recorded < done).then_some(what)
    });
    short.collect()
}

/// A value that was released has a decision. A power cut may take that later.
fn unrecorded_reads(logs: &MemorySink, history: &History) -> Vec<String> {
    let mut decisions: BTreeMap<String, usize> = BTreeMap::new();
    for decision in logs.decisions().into_iter().chain(logs.lost_decisions()) {
        if decision.action == ActionName::Read && decision.effect == Effect::Allow {
            *decisions.entry(decision.target).or_default() += 1;
        }
    }
    let mut released: BTreeMap<usize, usize> = BTreeMap::new();
    for read in history.reads.iter().filter(|read| matches!(read.found, Found::Value { .. })) {
        *released.entry(read.path).or_default() += 1;
    }
    let short = released.into_iter().filter_map(|(path, released)| {
        let recorded = decisions.get(&name_of(path)).copied().unwrap_or(0);
        let what = format!("path {path}: {released} values were released, and {recorded} decided");
        (recorded < released).then_some(what)
    });
    short.collect()
}
