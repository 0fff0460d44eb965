//! Records, storage and logs that are set back, each of which must be named: 200, or 20,000 in full.

use strongroom_benches::{Outcome, Rollbacks, say, set_back};

pub(crate) fn run(full: bool, seed: u64) -> Outcome {
    let Rollbacks { by_kind, all, controls, faults } =
        set_back(if full { 20_000 } else { 200 }, seed);
    faults.iter().for_each(say);
    for (kind, (cases, named, at_open)) in by_kind {
        say(format!(
            "rollback: {cases:6} cases, {named:6} named, {at_open:6} of them at open: {kind}"
        ));
    }
    let (cases, named, at_open) = all;
    say(format!(
        "rollback: {cases} cases, {named} named, {at_open} of them at open; {controls} honest \
         stores; {} faults",
        faults.len()
    ));
    match faults.is_empty() {
        true => Ok(()),
        false => Err("a rollback was missed, or somebody was accused without a reason".into()),
    }
}
