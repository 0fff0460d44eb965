//! A durable `put` of 256 B: beside a bare insert, with many tasks at once, and in syncs.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use futures_executor::block_on;
use rusqlite::{Connection, params};
use strongroom::Durability;
use strongroom_benches::{
    Outcome, Room, Spread, bar, interleave, owner, path, puts, say, syncs, time, value,
};

pub(crate) fn put(quick: bool) -> Outcome {
    let rounds = if quick { 100 } else { 1_000 };
    beside_a_bare_insert(rounds)?;
    two_syncs_at_once(rounds)?;
    many_at_once(rounds)?;
    syncs_of_a_put()
}

fn beside_a_bare_insert(rounds: usize) -> Outcome {
    let (key_bytes, record_bytes) = written_for_a_secret()?;
    let room = Room::create(Durability::Flushed)?;
    let session = room.room.session(owner());
    block_on(session.put(path(0)?, value(0)))?;
    let bare = bare_table(&room.dir.path().join("bare.db"))?;

    let (mut inserted, mut stored, mut failed) = (0_usize, 0_usize, false);
    let mut insert = || {
        inserted += 1;
        let mut key = inserted.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
        key.resize(key_bytes, 1);
        let row = params![key, inserted.to_be_bytes(), vec![7_u8; record_bytes]];
        failed |= bare
            .execute_batch("BEGIN IMMEDIATE")
            .and_then(|()| bare.prepare_cached(INSERT)?.execute(row))
            .and_then(|_| bare.execute_batch("COMMIT"))
            .is_err();
    };
    let mut refused = false;
    let mut put = || {
        stored += 1;
        let put = path(stored).map(|path| block_on(session.put(path, value(stored))));
        refused |= !matches!(put, Ok(Ok(_)));
    };
    let [insert, put] = interleave(rounds, [(1, &mut insert), (1, &mut put)]);
    if failed || refused {
        return Err("an insert or a put failed".into());
    }
    let ratio = put.median() / insert.median();
    bar("put", format!("{ratio:.2} x a bare insert; put {put}, insert {insert}"), ratio <= 1.5);
    Ok(())
}

/// What the disk takes for two syncs at once, the commit's and the intent's, where nothing else is
/// done: each file is written where it was written before.
fn two_syncs_at_once(rounds: usize) -> Outcome {
    let write = |file: &File| file.write_all_at(&[7; 8 * 1024], 0).and_then(|()| file.sync_data());
    let (one, other) = (tempfile::tempfile()?, tempfile::tempfile()?);
    write(&one)?;
    write(&other)?;
    let (begin, begun) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let thread =
        thread::spawn(
            move || {
                while begun.recv().is_ok() && end.send(write(&other).is_ok()).is_ok() {}
            },
        );
    let (mut alone_failed, mut both_failed) = (false, false);
    let mut alone = || alone_failed |= write(&one).is_err();
    let mut both = || {
        both_failed |= begin.send(()).is_err();
        both_failed |= write(&one).is_err();
        both_failed |= ended.recv() != Ok(true);
    };
    let [alone, both] = interleave(rounds, [(1, &mut alone), (1, &mut both)]);
    drop(begin);
    thread.join().map_err(|_| "the thread that syncs panicked")?;
    if alone_failed || both_failed {
        return Err("a sync failed".into());
    }
    let times = both.median() / alone.median();
    say(format!("two syncs at once {times:.2} x one; two {both}, one {alone}"));
    Ok(())
}

/// The bytes of the key and of the record that a put of 256 B stores.
fn written_for_a_secret() -> Outcome<(usize, usize)> {
    let room = Room::create(Durability::Flushed)?;
    block_on(room.room.session(owner()).put(path(0)?, value(0)))?;
    let database = room.database();
    // Kept until the end: the directory goes with it.
    let Room { dir: _dir, room } = room;
    block_on(room.close())?;
    let found = Connection::open(database)?;
    // The key of a head begins with 3, and there is one head.
    let sizes = "SELECT length(k), length(v) FROM records WHERE substr(k, 1, 1) = x'03'";
    let (key, record): (u16, u16) =
        found.query_row(sizes, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((key.into(), record.into()))
}

const INSERT: &str = "INSERT INTO records (k, r, v) VALUES (?1, ?2, ?3)";

/// A table as the storage has one, with the same pragmas.
fn bare_table(file: &Path) -> Outcome<Connection> {
    let connection = Connection::open(file)?;
    connection.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 4194304;
         CREATE TABLE records (k BLOB NOT NULL UNIQUE, r BLOB NOT NULL, v BLOB NOT NULL)",
    )?;
    Ok(connection)
}

const TASKS: usize = 64;
/// How many puts each of them does a turn.
const EACH: usize = 8;

/// How many paths a turn has to itself: every put makes a secret, as in the other figures.
const PATHS: usize = 10_000;

/// Rates by turns, so that a slow moment of the disk meets both.
fn many_at_once(rounds: usize) -> Outcome {
    let room = Room::create(Durability::Flushed)?;
    let session = Arc::new(room.room.session(owner()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    runtime.block_on(session.put(path(0)?, value(0)))?;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for turn in 1..=rounds.div_ceil(50) {
        let mut done: Outcome = Ok(());
        let first = turn * PATHS;
        let one = time(|| done = runtime.block_on(puts(&session, first, 4 * EACH)));
        done?;
        alone.push(one.as_secs_f64() / to_f64(4 * EACH));
        let mut done = true;
        let all = time(|| {
            done = runtime.block_on(async {
                let tasks: Vec<_> = (0..TASKS)
                    .map(|task| {
                        let session = Arc::clone(&session);
                        let first = first + 1_000 + task * EACH;
                        tokio::spawn(async move { puts(&session, first, EACH).await.is_ok() })
                    })
                    .collect();
                let mut all_done = true;
                for task in tasks {
                    all_done &= task.await.unwrap_or(false);
                }
                all_done
            });
        });
        if !done {
            return Err("a put failed".into());
        }
        together.push(all.as_secs_f64() / to_f64(EACH * TASKS));
    }
    let (alone, together) = (Spread::new(alone), Spread::new(together));
    let ratio = alone.median() / together.median();
    let figure = format!("{TASKS} tasks {ratio:.1} x one; a put alone {alone}, of many {together}");
    bar("put", figure, ratio >= 8.0);
    Ok(())
}

fn to_f64(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The syncs of a child that puts, less those of one that puts a little: what opening, closing and
/// the checkpoint at the end take is the same in both.
fn syncs_of_a_put() -> Outcome {
    // Few enough that no checkpoint falls among them: it syncs the write-ahead file too.
    let (few, more) = (10, 100);
    let Room { dir, room } = Room::create(Durability::Flushed)?;
    // The namespace is there: creating it is a write of its own.
    block_on(room.session(owner()).put(path(0)?, value(0)))?;
    block_on(room.close())?;
    let place = dir.path().to_str().ok_or("a temporary directory without a name")?;
    let each = |child: &str| -> Outcome<f64> {
        let count = |puts: usize| -> Outcome<usize> {
            Ok(syncs(&[child, place, &puts.to_string()])?.values().sum())
        };
        let (least, most) = (count(few)?, count(few + more)?);
        Ok(to_f64(most.saturating_sub(least)) / to_f64(more))
    };
    let (new, again) = (each("child-puts")?, each("child-replaces")?);
    let figure =
        format!("{new:.2} syncs a put; {again:.2} where it replaces and old versions are erased");
    bar("put", figure, new <= 2.0);
    Ok(())
}
