//! How much room a store of many secrets takes: on the disk, and in the memory of who reads it.

use std::fs;

use futures_executor::block_on;
use strongroom::Durability;
use strongroom_benches::{Outcome, Room, bar, say, start_child, time};
use tempfile::TempDir;

const LARGEST_SHARE: f64 = 950.0;
const MOST_MEMORY: f64 = 25.0e6;

const fn secrets(quick: bool) -> usize {
    if quick { 10_000 } else { 100_000 }
}

/// The database file, checkpointed by the close, a secret of 256 B.
pub(crate) fn of_file(quick: bool) -> Outcome {
    let (dir, secrets) = (filled(secrets(quick))?, secrets(quick));
    let bytes = fs::metadata(dir.path().join("secrets.db"))?.len();
    if fs::exists(dir.path().join("secrets.db-wal"))? {
        return Err("the write-ahead file was not carried over by the close".into());
    }
    let log: u64 = fs::read_dir(dir.path().join("audit"))?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum::<Outcome<u64>>()?;
    let [share, log] = [bytes, log].map(|bytes| ratio(bytes, secrets));
    let figure = format!("{share:.0} B a secret at {secrets} (the log: {log:.0} B a put)");
    bar("file-size", figure, share <= LARGEST_SHARE);
    Ok(())
}

/// Resident memory of a process that has read as often as there are secrets.
pub(crate) fn of_memory(quick: bool) -> Outcome {
    let (dir, secrets) = (filled(secrets(quick))?, secrets(quick).to_string());
    let mut child = start_child("child-reads")?;
    let done = child.arg(dir.path()).args([&secrets, &secrets]).output()?;
    let said = String::from_utf8(done.stdout)?;
    let sizes: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [opened, read] = sizes.as_slice() else {
        return Err(format!("the process that reads said: {said}").into());
    };
    let (opened_mb, read_mb) = (opened / 1e6, read / 1e6);
    let figure = format!(
        "{read_mb:.1} MB after {secrets} reads over as many secrets ({opened_mb:.1} MB when just \
         opened)"
    );
    bar("memory", figure, *read <= MOST_MEMORY);
    Ok(())
}

/// A closed store with that many secrets.
fn filled(secrets: usize) -> Outcome<TempDir> {
    let Room { dir, room } = Room::create(Durability::Flushed)?;
    let mut filled = Ok(());
    let took = time(|| filled = Room::fill(&room, secrets));
    filled?;
    block_on(room.close())?;
    say(format!("{secrets} durable puts of 256 tasks took {:.1} s", took.as_secs_f64()));
    Ok(dir)
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be printed")]
fn ratio(bytes: u64, count: usize) -> f64 {
    bytes as f64 / count as f64
}
