//! Stores of many shapes, tampered with in many ways, where a signature, a later log or a live
//! writer holds the lines together: each change must be found, in its log, between the first line
//! that was touched and what signs it. A program that uses this has the helpers as `common` beside
//! it.

mod kinds;
pub mod store;

use std::collections::BTreeMap;
use std::path::Path;

use strongroom_audit::{Line, Report, Verdict, read_line};
use strongroom_core::LogId;

pub use kinds::KINDS;
pub use store::{Dice, Shape, Store};

/// What was tampered with, and what of it was found.
#[derive(Debug, Default)]
pub struct Tally {
    /// By kind: how many there were, and how many were found.
    pub by_kind: BTreeMap<&'static str, (u64, u64)>,
    /// Honest stores that were verified.
    pub controls: u64,
    /// The lines of the tampered stores.
    pub lines: usize,
    /// The lines of the longest log.
    pub longest: usize,
    /// What was not found, and who was accused without a reason.
    pub faults: Vec<String>,
}

impl Tally {
    /// How many tampered stores there were.
    pub fn cases(&self) -> u64 {
        self.by_kind.values().map(|(cases, _)| cases).sum()
    }
}

/// Where a change must be found: in this log, from its first touched line on.
#[derive(Debug, Clone, Copy)]
pub struct Touched {
    pub log: LogId,
    pub line: usize,
    /// Whether it must be found at that very line.
    pub exactly: bool,
}

/// Makes so many tampered stores, or more until each kind was there, from that seed on, and
/// verifies each, in a directory where no log of it is live.
pub fn tamper_and_verify(cases: u64, seed: u64, shape: Shape, scratch: &Path) -> Tally {
    let mut tally = Tally::default();
    for seed in seed.. {
        let is_each_tried = tally.by_kind.len() == KINDS.len();
        if tally.cases() >= if is_each_tried { cases } else { 4 * cases } {
            break;
        }
        let dice = &mut Dice::new(seed);
        let honest = Store::honest(dice, shape);
        tally.controls += 1;
        let report = honest.verify(scratch);
        if report.accuses() {
            tally.faults.push(format!("seed {seed}: accused without a reason: {report:?}"));
        }
        // The kinds by turns: some find nothing to change in some stores.
        for (kind, tamper) in (0..2).map(|more| KINDS[(seed as usize * 2 + more) % KINDS.len()]) {
            let mut store = honest.clone();
            let log = dice.below(store.logs.len());
            let Some(touched) = tamper(&mut store, log, dice) else { continue };
            if store == honest || !honest.holds(kind, &touched) {
                continue;
            }
            let report = store.verify(scratch);
            let is_found = found(&honest, &store, &touched, &report);
            let (cases, hits) = tally.by_kind.entry(kind).or_default();
            *cases += 1;
            *hits += u64::from(is_found);
            tally.lines += store.logs.iter().map(|log| log.lines.len()).sum::<usize>();
            let longest = store.logs.iter().map(|log| log.lines.len()).max().unwrap_or(0);
            tally.longest = tally.longest.max(longest);
            if !is_found {
                let shape: Vec<_> =
                    honest.logs.iter().map(|log| (log.id, log.lines.len(), log.end)).collect();
                tally.faults.push(format!(
                    "seed {seed}, {kind}: not found: {touched:?} of {shape:?}, but {report:?}"
                ));
            }
        }
    }
    tally
}

/// Whether some finding accuses that log, no earlier than the line and no later than what signs it.
fn found(honest: &Store, store: &Store, touched: &Touched, report: &Report) -> bool {
    let signs =
        |line: &Vec<u8>| matches!(read_line(line), Ok(Line::Checkpoint(_) | Line::Close(_)));
    // What signs there now, or signed there before: a line more or less moves it by one.
    let next = |store: &Store| {
        let log = store.logs.iter().find(|log| log.id == touched.log)?;
        log.lines.iter().skip(touched.line).position(signs)
    };
    let last = if touched.exactly {
        touched.line
    } else {
        let after = next(honest).max(next(store));
        after.map_or(usize::MAX, |after| touched.line + after + 2)
    };
    let is_there = |index: u64| (touched.line..=last).contains(&(index as usize));
    let is_it = |log: Option<LogId>, index: Option<u64>| {
        log == Some(touched.log) && index.is_some_and(is_there)
    };
    report.accusations().any(|finding| is_it(finding.log, finding.index))
        && report.accusations().all(|finding| finding.verdict != Verdict::Gap)
}
