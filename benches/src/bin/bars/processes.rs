//! Four processes that count on one path by compare and swap, and a fifth that changes the keys.

use strongroom_benches::{Outcome, bar, count, say};

const PROCESSES: usize = 4;
const LONGEST_WAIT: f64 = 1.0;

pub(crate) fn count_exactly(quick: bool) -> Outcome {
    let increments = if quick { 50 } else { 1_000 };
    let done = count(PROCESSES, increments)?;
    let wanted = increments * 4;
    done.accusations.iter().for_each(say);
    let figure = format!(
        "{} of {wanted} at the end, {} acknowledged, {} lost races, {} changes of keys, {} \
         accusations",
        done.last,
        done.acknowledged.len(),
        done.conflicts,
        done.rotations,
        done.accusations.len()
    );
    bar("processes", figure, done.is_exact(wanted) && done.rotations > 1);
    let [wait, sync] = [&done.waits, &done.syncs].map(|spread| {
        let [median, most, longest] = [0.5, 0.99, 1.0].map(|q| spread.quantile(q) * 1e3);
        (format!("median {median:.1}, p99 {most:.1}, longest {longest:.1} ms"), longest / 1e3)
    });
    let figure = format!("a put: {}; a sync of the disk meanwhile: {}", wait.0, sync.0);
    bar("processes", figure, wait.1 <= LONGEST_WAIT);
    Ok(())
}
