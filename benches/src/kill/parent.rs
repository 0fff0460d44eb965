//! The process that kills, and looks.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use futures_executor::block_on;

use crate::oracle::{Ledger, Manner, look};
use crate::{Dice, Outcome, Room, owner, start_child};

/// How many kills one store goes through: its logs grow with each, and are all verified.
const KILLS_A_STORE: usize = 20;

/// What came of it.
#[derive(Debug, Default, Clone)]
pub struct Kills {
    /// Processes that were killed.
    pub kills: usize,
    /// Of these, before they had written anything.
    pub early: usize,
    /// Writes that returned before the kill.
    pub acknowledged: usize,
    /// Writes that were under way at a kill and had taken effect.
    pub happened: usize,
    /// Writes that were under way at a kill and had not.
    pub vanished: usize,
    /// Values read and compared.
    pub compared: usize,
    /// What must not be: lost, torn, accused.
    pub faults: Vec<String>,
    /// Whether a record that was taken out at the end was missed by `verify`.
    pub control_missed: bool,
}

/// Kills that many writers.
///
/// # Errors
/// Where a store cannot be made or a process not started; what is wrong with a store is no error.
pub fn kills(count: usize, seed: u64) -> Outcome<Kills> {
    let mut kills = Kills::default();
    while kills.kills < count {
        let scratch = tempfile::tempdir()?;
        let dir = scratch.path();
        block_on(block_on(Room::builder(dir)?.create())?.close())?;
        let mut ledger = Ledger::default();
        for _ in 0..KILLS_A_STORE.min(count - kills.kills) {
            let known = kills.faults.len();
            let dice = Dice::of(seed, kills.kills);
            kills.kills += 1;
            kill_one(dir, dice, &mut ledger, &mut kills)?;
            if kills.faults.len() > known {
                kills.faults.push(format!("that was kill {} of seed {seed}", kills.kills));
                // What was lost once is lost at each later look.
                break;
            }
        }
        kills.control_missed |= control_is_missed(dir)?;
    }
    Ok(kills)
}

fn kill_one(dir: &Path, mut dice: Dice, ledger: &mut Ledger, kills: &mut Kills) -> Outcome {
    let writer = start_child("child-writes")?.arg(dir).arg(dice.roll().to_string()).spawn()?;
    // One in eight while it opens the store.
    let moment = match dice.below(8) {
        0 => Moment::Start(Duration::from_micros(dice.below(60_000))),
        _ => Moment::FirstWrite(Duration::from_micros(dice.below(150_000))),
    };
    let lines = kill_at(writer, moment)?;
    let acknowledged = lines.iter().filter(|line| line.starts_with("done")).count();
    kills.acknowledged += acknowledged;
    kills.early += usize::from(lines.is_empty());
    for line in &lines {
        if !ledger.note(line) {
            kills.faults.push(format!("the writer said: {line}"));
        }
    }
    match block_on(look(dir, ledger, Manner { create: false, recorded: true })) {
        Ok(looked) => {
            kills.happened += looked.happened;
            kills.vanished += looked.vanished;
            kills.compared += looked.compared;
            kills.faults.extend(looked.faults);
        }
        Err(error) => kills.faults.push(format!("{error}")),
    }
    Ok(())
}

enum Moment {
    Start(Duration),
    FirstWrite(Duration),
}

/// Kills the writer then, and gives the lines that it printed whole.
fn kill_at(mut writer: Child, moment: Moment) -> Outcome<Vec<String>> {
    let mut output = BufReader::new(writer.stdout.take().ok_or("the writer has no output")?);
    let mut lines = Vec::new();
    if let Moment::FirstWrite(_) = moment {
        let mut line = String::new();
        output.read_line(&mut line)?;
        lines.push(line);
    }
    let (Moment::Start(pause) | Moment::FirstWrite(pause)) = moment;
    let reader = thread::spawn(move || {
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|length| length > 0) {
            lines.push(std::mem::take(&mut line));
        }
        lines
    });
    thread::sleep(pause);
    let ended = writer.try_wait()?;
    writer.kill()?;
    writer.wait()?;
    let lines = reader.join().map_err(|_| "the reader of the writer's output died")?;
    if let Some(status) = ended {
        let last = lines.last().map_or("", |line| line.trim_end());
        return Err(format!("the writer ended by itself ({status}): {last}").into());
    }
    Ok(lines.iter().filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect())
}

/// Takes a record out, and looks whether `verify` sees it.
pub(crate) fn control_is_missed(dir: &Path) -> Outcome<bool> {
    let database = rusqlite::Connection::open(dir.join("secrets.db"))?;
    // The last of the heads.
    let removed = database.execute(
        "DELETE FROM records WHERE k = (SELECT max(k) FROM records WHERE k < x'04')",
        [],
    )?;
    drop(database);
    if removed == 0 {
        return Err("there is no record to take out".into());
    }
    block_on(async {
        let room = Room::builder(dir)?.open().await?;
        let missed = !room.session(owner()).verify().await?.accuses();
        room.close().await?;
        Ok(missed)
    })
}
