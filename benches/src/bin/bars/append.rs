//! Appending the record of a `get`: held, with the kernel, and on the medium.

use std::fs::File;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use futures_executor::block_on;
use sha2::{Digest, Sha256};
use strongroom::{AuditRecord, AuditSink, Durability, FileLog, StoreIdentity};
use strongroom_benches::{Outcome, Spread, bar, in_tasks, path, record_of_get, say, time};
use strongroom_testkit::FakeIdentity;

/// Callers who have a record with the kernel.
const CALLERS: usize = 8;
/// Callers who wait for the medium.
const WAITING: usize = 64;
/// Bytes that a log holds before it writes them.
const WRITE: usize = 64 * 1024;

pub(crate) fn append(quick: bool) -> Outcome {
    let scratch = tempfile::tempdir_in(".")?;
    let log = FileLog::open(scratch.path().join("audit"))?;
    let identity: Arc<dyn StoreIdentity> = FakeIdentity::new(1);
    let attached = block_on(log.attach(identity))?;
    let (log, record) = (Arc::new(log), Arc::new(record_of_get(&path(7)?)?));

    let rounds = if quick { 3 } else { 21 };
    let held = rate(rounds, 20_000, |count| {
        for _ in 0..count {
            block_on(log.append(std::slice::from_ref(&*record), Durability::Held))?;
        }
        Ok(())
    })?;
    let figure = format!("held: {:.0}/s on one core, a record {held}", 1.0 / held.median());
    bar("append", figure, held.median() <= 1e-6);
    let line = bytes(&record)?;
    // As a log does, it keeps its files: pages that a deleted one leaves are warm.
    let mut kept = Vec::new();
    let floor = rate(rounds, 20_000, |count| {
        kept.push(tempfile::tempfile_in(scratch.path())?);
        hashed_and_written(kept.last().ok_or("no file")?, line, count)
    })?;
    say(format!("its hashes and its bytes in the page cache alone: {floor}"));

    let mut flushed = Vec::with_capacity(rounds);
    let mut of_threads = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        flushed.push(in_turn(&log, &record, CALLERS, 20_000, Durability::Flushed)?);
        of_threads.push(flushed_of_threads(&log, &record, 20_000)?);
    }
    let (flushed, of_threads) = (Spread::new(flushed), Spread::new(of_threads));
    let rate_of_flushed = 1.0 / flushed.median();
    let figure =
        format!("flushed: {rate_of_flushed:.0}/s on one core, {CALLERS} callers, one {flushed}");
    bar("append", figure, rate_of_flushed >= 400_000.0);
    say(format!("of {CALLERS} threads, which the kernel wakes in turn: one {of_threads}"));

    let (rounds, count) = if quick { (3, 500) } else { (15, 6_400) };
    let mut alone = Vec::new();
    let mut together = Vec::new();
    for _ in 0..rounds {
        alone.push(in_turn(&log, &record, 1, count / 32, Durability::Synced)?);
        together.push(in_turn(&log, &record, WAITING, count, Durability::Synced)?);
    }
    let (alone, together) = (Spread::new(alone), Spread::new(together));
    let ratio = alone.median() / together.median();
    let figure = format!(
        "synced: {WAITING} callers {ratio:.1} x one sync a record; alone {alone}, of many {together}"
    );
    bar("append", figure, ratio >= 30.0);
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    say(format!("a record of a `get`, {line} B; {cores} cores"));
    block_on(log.close(attached.log))?;
    Ok(())
}

/// Seconds a record.
fn rate(rounds: usize, count: usize, mut appends: impl FnMut(usize) -> Outcome) -> Outcome<Spread> {
    let mut times = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        let mut done = Ok(());
        let took = time(|| done = appends(count)).as_secs_f64();
        done?;
        // The first warms up.
        if round > 0 {
            times.push(took / f64::from(u32::try_from(count)?));
        }
    }
    Ok(Spread::new(times))
}

/// What no log of this format saves: a line is hashed as a leaf, and with one other as a node (RFC
/// 9162, section 2.1), and its bytes go to a new file, in writes as large as those of a log.
fn hashed_and_written(file: &File, line: usize, count: usize) -> Outcome {
    let buffer = vec![b'x'; WRITE];
    let (mut node, mut held, mut written) = ([0; 65], 0, 0);
    for _ in 0..count {
        let leaf = buffer.get(held..held + line).ok_or("a line is longer than a write")?;
        let leaf = Sha256::new().chain_update([0]).chain_update(black_box(leaf)).finalize();
        node[33..].copy_from_slice(&leaf);
        let parent = Sha256::digest(black_box(node));
        node[1..33].copy_from_slice(&parent);
        held += line;
        if held + line > WRITE {
            file.write_all_at(buffer.get(..held).unwrap_or_default(), written)?;
            written += u64::try_from(std::mem::take(&mut held))?;
        }
    }
    black_box(node);
    Ok(())
}

/// Seconds a record, of so many callers at a time, who are tasks of one thread.
fn in_turn(
    log: &Arc<FileLog>,
    record: &Arc<AuditRecord>,
    callers: usize,
    count: usize,
    at_least: Durability,
) -> Outcome<f64> {
    let (log, record) = (Arc::clone(log), Arc::clone(record));
    let mut done = Ok(());
    let took = time(|| {
        done = in_tasks(callers, count, move |_| {
            let (log, record) = (Arc::clone(&log), Arc::clone(&record));
            async move {
                log.append(std::slice::from_ref(&*record), at_least).await?;
                Ok(())
            }
        });
    });
    done?;
    Ok(took.as_secs_f64() / f64::from(u32::try_from(count)?))
}

/// Seconds a record, of as many threads as there are callers.
fn flushed_of_threads(log: &FileLog, record: &AuditRecord, count: usize) -> Outcome<f64> {
    let append = || {
        (0..count / CALLERS).try_for_each(|_| {
            block_on(log.append(std::slice::from_ref(record), Durability::Flushed)).map(drop)
        })
    };
    let mut done: Outcome = Ok(());
    let took = time(|| {
        done = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(append)).collect();
            for caller in callers {
                caller.join().map_err(|_| "a caller panicked")??;
            }
            Ok(())
        });
    });
    done?;
    Ok(took.as_secs_f64() / f64::from(u32::try_from(count)?))
}

/// The length of its line.
fn bytes(record: &AuditRecord) -> Outcome<usize> {
    let mut writer = strongroom_audit::LineWriter::begin(FakeIdentity::new(2))?;
    writer.append(std::slice::from_ref(record))?;
    let mut lines = writer.pending().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.next_back().map_or(0, <[u8]>::len))
}
