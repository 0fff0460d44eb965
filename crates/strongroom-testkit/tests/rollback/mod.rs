//! Stores that are used honestly, and then set back: a record, the whole storage, a log, or storage
//! and logs together. What must be named, by whom, and that nobody else is.

mod cases;
mod store;

use std::collections::BTreeMap;

use cases::{Case, Told};
use store::Used;

/// xorshift64*: each seed is a store and what is done to it.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.roll()).unwrap_or(0) % sides.max(1)
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }
}

/// What came of many cases.
#[derive(Debug, Default)]
pub struct Tally {
    /// By kind: how many there were, how many were named, and how many of them at open.
    pub by_kind: BTreeMap<&'static str, (u64, u64, u64)>,
    /// Honest stores, and honest copies of one, that nobody was accused of.
    pub controls: u64,
    /// What was not named, or who was accused without a reason, in the order of cases.
    pub faults: Vec<(u64, String)>,
}

impl Tally {
    /// How many cases there were, how many were named, and how many of them at open.
    pub fn sum(&self) -> (u64, u64, u64) {
        let add = |sum: (u64, u64, u64), kind: &(u64, u64, u64)| {
            (sum.0 + kind.0, sum.1 + kind.1, sum.2 + kind.2)
        };
        self.by_kind.values().fold((0, 0, 0), add)
    }
}

/// Cases of one store.
const CASES: u64 = 10;

/// Makes so many cases, and stops at the first store with a fault.
pub fn set_back(cases: u64, seed: u64) -> Tally {
    let mut tally = Tally::default();
    let mut made = 0;
    for number in seed.. {
        if made >= cases || !tally.faults.is_empty() {
            break;
        }
        let mut dice = Dice::of(number);
        let used = Used::of(&mut dice, number);
        for problem in cases::controls(&used, &mut dice) {
            tally.faults.push((made, format!("seed {number}: {problem}")));
        }
        tally.controls += 2;
        for _ in 0..CASES {
            let Some(case) = Case::of(&used, &mut dice) else { continue };
            made += 1;
            let Told { is_named, is_at_open, faults } = case.look(&used);
            let counts = tally.by_kind.entry(case.kind).or_default();
            *counts =
                (counts.0 + 1, counts.1 + u64::from(is_named), counts.2 + u64::from(is_at_open));
            let faults = faults.into_iter();
            tally.faults.extend(faults.map(|fault| (made, format!("seed {number}: {fault}"))));
        }
    }
    tally
}
