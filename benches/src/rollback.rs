//! Stores that are set back: the generator of the tests of `strongroom-testkit`, with more of them.

use std::collections::BTreeMap;

#[path = "../../crates/strongroom-testkit/tests/rollback/mod.rs"]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the generator is of a test")]
#[expect(unreachable_pub, reason = "the generator is shared by several programs")]
mod generator;

/// What came of it.
#[derive(Debug)]
pub struct Rollbacks {
    /// By kind: how many there were, how many were named, and how many of them at open.
    pub by_kind: BTreeMap<&'static str, (u64, u64, u64)>,
    /// The same of all kinds.
    pub all: (u64, u64, u64),
    /// Honest stores.
    pub controls: u64,
    /// What was not named, and who was accused without a reason.
    pub faults: Vec<String>,
}

/// Sets so many stores back, and opens and verifies each.
#[must_use]
pub fn set_back(cases: u64, seed: u64) -> Rollbacks {
    let tally = generator::set_back(cases, seed);
    let all = tally.sum();
    let faults = tally.faults.into_iter().map(|(_, fault)| fault).collect();
    Rollbacks { by_kind: tally.by_kind, all, controls: tally.controls, faults }
}
