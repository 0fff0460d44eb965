//! Four processes that count on one path while a fifth changes the keys: 50 increments each, or ten
//! rounds of 1,000 in full. Chance comes from the scheduler, so that the seed is not used.

use strongroom_benches::{Outcome, count, say};

pub(crate) fn run(full: bool, _seed: u64) -> Outcome {
    let (rounds, increments) = if full { (10, 1_000) } else { (1, 50) };
    for round in 1..=rounds {
        let done = count(4, increments)?;
        done.accusations.iter().for_each(say);
        say(format!(
            "processes: round {round}: {} of {} at the end, {} lost races, longest wait {:.0} ms",
            done.last,
            4 * increments,
            done.conflicts,
            done.waits.quantile(1.0) * 1e3
        ));
        if !done.is_exact(4 * increments) {
            return Err("an acknowledged increment was lost, or somebody was accused".into());
        }
    }
    Ok(())
}
