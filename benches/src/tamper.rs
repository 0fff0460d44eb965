//! Tampered logs: the generator of the tests of `strongroom-audit`, with more and longer ones.

use std::collections::BTreeMap;

use crate::Outcome;

#[path = "../../crates/strongroom-audit/tests/common/mod.rs"]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers are of tests")]
#[expect(clippy::cast_possible_truncation, reason = "the helpers are of tests")]
#[expect(dead_code, unreachable_pub, reason = "the helpers are shared by several programs")]
mod common;
#[path = "../../crates/strongroom-audit/tests/tampering/mod.rs"]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the generator is of a test")]
#[expect(clippy::cast_possible_truncation, reason = "the generator is of a test")]
#[expect(unreachable_pub, reason = "the generator is shared by several programs")]
mod tampering;

use tampering::{KINDS, Shape, tamper_and_verify};

/// What came of it.
#[derive(Debug)]
pub struct Tampered {
    /// By kind: how many there were, and how many were found.
    pub by_kind: BTreeMap<&'static str, (u64, u64)>,
    /// How many kinds there are.
    pub kinds: usize,
    /// Honest stores that were verified.
    pub controls: u64,
    /// The lines of all tampered stores.
    pub lines: usize,
    /// The lines of the longest log.
    pub longest: usize,
    /// What was not found, and who was accused without a reason.
    pub faults: Vec<String>,
}

/// Makes so many tampered stores and verifies each.
///
/// # Errors
/// Where there is no temporary directory.
pub fn tampered(cases: u64, seed: u64) -> Outcome<Tampered> {
    let scratch = tempfile::tempdir()?;
    let shape = Shape { logs: 5, requests: 3_000 };
    let tally = tamper_and_verify(cases, seed, shape, scratch.path());
    Ok(Tampered {
        by_kind: tally.by_kind,
        kinds: KINDS.len(),
        controls: tally.controls,
        lines: tally.lines,
        longest: tally.longest,
        faults: tally.faults,
    })
}
