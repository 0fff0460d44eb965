//! Opening a store after its process was killed, beside the long log that it left.

use std::fs;

use futures_executor::block_on;
use strongroom_benches::{Outcome, Spread, bar, cost_of_open, dead_log, say};

const RECORDS: usize = 10_000_000;
/// Seconds by the clock.
const MOST: f64 = 25e-3;

pub(crate) fn beside_a_dead_log(quick: bool) -> Outcome {
    let (records, copies) = if quick { (200_000, 3) } else { (RECORDS, 20) };
    let dead = dead_log(records)?;
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(dead.place().join("audit"))? {
        (files, bytes) = (files + 1, bytes + entry?.metadata()?.len());
    }
    say(format!("{records} records in {files} files of {} MiB", bytes >> 20));

    let copied = (0..copies).map(|_| dead.copy()).collect::<Outcome<Vec<_>>>()?;
    // What the kernel has not written yet is waited for by the first that opens it.
    let (first, room) = cost_of_open(dead.place())?;
    block_on(room.close())?;
    let (mut walls, mut cpus) = (Vec::with_capacity(copies), Vec::with_capacity(copies));
    for copy in &copied {
        let (cost, room) = cost_of_open(copy.path())?;
        walls.push(cost.wall);
        cpus.push(cost.cpu);
        block_on(room.close())?;
    }
    let (walls, cpus) = (Spread::new(walls), Spread::new(cpus));
    let figure = format!(
        "at once after the kill {:.1} ms, of copies {walls}, CPU {cpus}; {records} records",
        first.wall * 1e3
    );
    bar("open", figure, first.wall.max(walls.median()) <= MOST);
    Ok(())
}
