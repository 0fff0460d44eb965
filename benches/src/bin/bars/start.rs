//! A clean open of a store with 1,000 secrets, without the derivation of its key.

use futures_executor::block_on;
use strongroom::Durability;
use strongroom_benches::{Outcome, Room, bar, cpu_of_opens, syncs};

const SECRETS: usize = 1_000;
const MOST_CPU: f64 = 5e-3;
const MOST_SYNCS: usize = 3;

pub(crate) fn beside_argon2id(quick: bool) -> Outcome {
    let Room { dir, room } = Room::create(Durability::Flushed)?;
    Room::fill(&room, SECRETS)?;
    block_on(room.close())?;
    let [derivation, rest] = cpu_of_opens(dir.path(), if quick { 5 } else { 50 })?;
    let figure = format!("CPU {rest}; Argon2id at its least {derivation}");
    bar("start", figure, rest.median() <= MOST_CPU);

    // Last, since it leaves a log without an end behind.
    let place = dir.path().to_str().ok_or("a temporary directory without a name")?;
    let counts = syncs(&["child-opens", place])?;
    let count: usize = counts.values().sum();
    bar("start", format!("{count} syncs {counts:?}"), count <= MOST_SYNCS);
    Ok(())
}
