//! Kills of a writing process.

use strongroom_benches::{Kills, Outcome, bar, kills, say};

const SEED: u64 = 1;

pub(crate) fn loses_nothing(quick: bool) -> Outcome {
    let count = if quick { 25 } else { 500 };
    let Kills { kills, early, acknowledged, happened, vanished, compared, faults, control_missed } =
        kills(count, SEED)?;
    faults.iter().for_each(say);
    let figure = format!(
        "{kills} kills ({early} before the first write), {acknowledged} acknowledged writes, \
         {happened} open ones had happened and {vanished} had not, {compared} values compared, \
         {} faults",
        faults.len()
    );
    bar("kill", figure, faults.is_empty() && acknowledged > kills);
    bar("kill", "a record taken out is found by `verify`", !control_missed);
    Ok(())
}
