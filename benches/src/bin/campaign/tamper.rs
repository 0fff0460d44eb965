//! Tampered logs of many sizes, each of which `verify` must find: 300, or 10,000 in full.

use strongroom_benches::{Outcome, Tampered, say, tampered};

pub(crate) fn run(full: bool, seed: u64) -> Outcome {
    let done = tampered(if full { 10_000 } else { 300 }, seed)?;
    let Tampered { by_kind, kinds, controls, lines, longest, faults } = &done;
    faults.iter().for_each(say);
    for (kind, (cases, found)) in by_kind {
        say(format!("tamper: {cases:6} cases, {found:6} found: {kind}"));
    }
    let (cases, found) =
        by_kind.values().fold((0, 0), |(cases, found), kind| (cases + kind.0, found + kind.1));
    say(format!(
        "tamper: {cases} cases of {} kinds, {found} found; {lines} lines, {longest} in the longest \
         log; {controls} honest stores; {} faults",
        by_kind.len(),
        faults.len()
    ));
    if by_kind.len() < *kinds {
        return Err("a kind was never tried".into());
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err("a change was missed, or somebody was accused without a reason".into()),
    }
}
