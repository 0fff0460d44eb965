//! Power cuts of three processes one after the other, by what `strace` tells of their calls: 60, or
//! 2,000 in full.

use strongroom_benches::{Outcome, PowerCuts, power_cuts, say};

pub(crate) fn run(full: bool, seed: u64) -> Outcome {
    let (recordings, cuts) = if full { (10, 200) } else { (2, 30) };
    let done = power_cuts(recordings, cuts, seed)?;
    done.faults.iter().for_each(say);
    let PowerCuts { cuts, early, lossy, calls, acknowledged, .. } = &done;
    let PowerCuts { happened, vanished, compared, .. } = &done;
    say(format!(
        "power-cut: {cuts} cuts ({early} before a store was open, {lossy} lost or tore something) \
         of {recordings} recordings with {calls} calls, {acknowledged} acknowledged writes, \
         {happened} open ones had happened and {vanished} had not, {compared} values compared, {} \
         faults",
        done.faults.len()
    ));
    let Some(cuts) = done.control else {
        return Err("without the syncs of the write-ahead file no cut does harm".into());
    };
    say(format!("power-cut: without the syncs of the write-ahead file, cut {cuts} does harm"));
    if done.faults.is_empty() { Ok(()) } else { Err("a power cut did harm".into()) }
}
