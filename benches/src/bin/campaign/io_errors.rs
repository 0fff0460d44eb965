//! Failing calls of the operating system, by `strace`: 24 processes, or in full each call that
//! writes, syncs, cuts, renames or removes, with each error, in each of four scenes; `pwrite64`,
//! which comes most often, with two of its errors by turns.

use strongroom_benches::{Errors, Outcome, errors, say};

pub(crate) fn run(full: bool, seed: u64) -> Outcome {
    let done = errors(full, seed)?;
    for ((call, failure), tally) in &done.by_kind {
        say(format!(
            "io-errors: {call:10} {failure:20} {:5} runs, {:4} refused the store, {:6} writes done, \
             {:6} not done, {:5} not known",
            tally.runs, tally.refused, tally.done, tally.not_done, tally.unknown
        ));
    }
    let Errors { missed, compared, faults, .. } = &done;
    say(format!(
        "io-errors: {} runs, {missed} of them ended before the call, {compared} values compared, \
         {} faults",
        done.runs(),
        faults.len()
    ));
    if faults.is_empty() { Ok(()) } else { Err("a call that failed did harm".into()) }
}
