//! Kills of four processes that work on one store: 20, or 5,000 in full.

use strongroom_benches::{Outcome, kill_a_crew, say, time};

/// What must have been done, or the campaign shows little.
const DONE: [&str; 7] = ["put", "delete", "destroy", "purge", "rotated", "rewrapped", "swept"];

pub(crate) fn run(full: bool, seed: u64) -> Outcome {
    let count = if full { 5_000 } else { 20 };
    let mut done = None;
    let took = time(|| done = Some(kill_a_crew(count, seed)));
    let done = done.ok_or("nothing was killed")??;
    done.faults.iter().for_each(say);
    say(format!(
        "kill: {} kills in {:.0} s ({} before the store was open), {} ends by request, {} stores, \
         {} looks",
        done.kills,
        took.as_secs_f64(),
        done.early,
        done.closed,
        done.stores,
        done.looks
    ));
    let acts: Vec<_> = done.done.iter().map(|(what, count)| format!("{count} {what}")).collect();
    say(format!("kill: answered: {}", acts.join(", ")));
    say(format!(
        "kill: {} values given with a record each, {} open writes had happened and {} had not, {} \
         values compared, {} of {} records taken out were missed, {} faults",
        done.given,
        done.happened,
        done.vanished,
        done.compared,
        done.controls_missed,
        done.controls,
        done.faults.len()
    ));
    if !done.faults.is_empty() || done.controls_missed > 0 {
        return Err("a kill did harm, or a record that was taken out was missed".into());
    }
    let lacking = DONE.iter().find(|what| !done.done.contains_key(**what));
    match lacking {
        Some(what) if full => Err(format!("nothing was ever {what}").into()),
        _ if done.given == 0 || done.controls < 2 => Err("nothing was read, or tried out".into()),
        _ => Ok(()),
    }
}
