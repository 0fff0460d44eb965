//! Kills of a writing process: 20, or 500 in full.

use strongroom_benches::{Outcome, kills, say};

pub(crate) fn run(full: bool, seed: u64) -> Outcome {
    let done = kills(if full { 500 } else { 20 }, seed)?;
    done.faults.iter().for_each(say);
    say(format!(
        "kill: {} kills, {} acknowledged writes, {} values compared, {} faults",
        done.kills,
        done.acknowledged,
        done.compared,
        done.faults.len()
    ));
    match done.faults.is_empty() && !done.control_missed {
        true => Ok(()),
        false => Err("a kill did harm, or `verify` missed a record that was taken out".into()),
    }
}
