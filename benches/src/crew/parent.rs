//! The process that kills, and looks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_executor::block_on;
use strongroom::{AuditorKey, Error, Opaque, SecretPath, Version};

use super::released::{control_is_seen, files, without_record};
use super::said::Said;
use super::{MEMBERS, prefix};
use crate::kill::control_is_missed;
use crate::oracle::{Manner, chain, look};
use crate::{Dice, Outcome, Room, owner, start_child};

/// How many kills one store goes through: its logs grow with each, and are all verified.
const KILLS_A_STORE: usize = 50;
/// After how many kills, and those at its end, a store is looked at.
const KILLS_A_LOOK: usize = 20;
/// How often, and how far apart, it is asked whether a process has done what it was to do: for at
/// least a minute.
const QUESTIONS: usize = 300_000;
const PAUSE: Duration = Duration::from_micros(200);

/// What came of it.
#[derive(Debug, Default, Clone)]
pub struct CrewKills {
    /// Processes that were killed.
    pub kills: usize,
    /// Of these, before the store was open.
    pub early: usize,
    /// Processes that were asked to end, and did.
    pub closed: usize,
    /// Stores that they worked on.
    pub stores: usize,
    /// How often everything was held against what was said.
    pub looks: usize,
    /// How often each kind of thing was done and answered.
    pub done: BTreeMap<String, usize>,
    /// Values that reads returned, each with its record in the log files.
    pub given: usize,
    /// Writes that were under way at a kill and had taken effect.
    pub happened: usize,
    /// Writes that were under way at a kill and had not.
    pub vanished: usize,
    /// Values read and compared after the processes had ended.
    pub compared: usize,
    /// What must not be: lost, torn, accused, without a record.
    pub faults: Vec<String>,
    /// Records that were taken out: of the log files, and of the storage.
    pub controls: usize,
    /// Of these, those that were missed.
    pub controls_missed: usize,
}

/// Kills that many processes, four at work at any time.
///
/// # Errors
/// Where a store cannot be made or a process not started; what is wrong with a store is no error.
pub fn kill_a_crew(count: usize, seed: u64) -> Outcome<CrewKills> {
    let mut kills = CrewKills::default();
    while kills.kills < count {
        let dice = Dice::of(seed, kills.stores);
        kills.stores += 1;
        let scratch = tempfile::tempdir()?;
        let known = kills.faults.len();
        let most = KILLS_A_STORE.min(count - kills.kills);
        Store::create(scratch.path(), dice)?.go_through(most, &mut kills)?;
        if kills.faults.len() > known {
            // Chance comes from the scheduler too: the seed alone may not lead there again.
            let (number, dir) = (kills.stores, scratch.keep());
            kills
                .faults
                .push(format!("store {number} of seed {seed} is left at {}", dir.display()));
        }
    }
    Ok(kills)
}

struct Store<'d> {
    dir: &'d Path,
    key: AuditorKey,
    dice: Dice,
    said: Said,
}

impl<'d> Store<'d> {
    fn create(dir: &'d Path, dice: Dice) -> Outcome<Self> {
        let room = block_on(Room::builder(dir)?.create())?;
        let key = block_on(room.session(owner()).auditor_key())?;
        block_on(room.close())?;
        Ok(Self { dir, key, dice, said: Said::default() })
    }

    /// Ends early where something is wrong: what was lost once is lost at each later look.
    fn go_through(mut self, most: usize, kills: &mut CrewKills) -> Outcome {
        let (known, last) = (kills.faults.len(), kills.kills + most);
        while kills.kills < last && kills.faults.len() == known {
            let until = last.min(kills.kills + KILLS_A_LOOK);
            self.let_work(until, kills)?;
            kills.looks += 1;
            if let Err(error) = self.look(kills) {
                kills.faults.push(chain(&*error));
            }
        }
        if kills.faults.len() == known {
            self.control(kills)?;
            if let Err(error) = block_on(self.nothing_is_left()) {
                kills.faults.push(chain(&*error));
            }
            kills.controls += 1;
            kills.controls_missed += usize::from(control_is_missed(self.dir)?);
        }
        kills.given += self.said.given.values().sum::<usize>();
        for (what, count) in self.said.done {
            *kills.done.entry(what).or_default() += count;
        }
        Ok(())
    }

    /// Lets four work, kills one or all of them again and again, and ends them.
    fn let_work(&mut self, until: usize, kills: &mut CrewKills) -> Outcome {
        let mut crew = Vec::new();
        for number in 0..MEMBERS {
            crew.push(self.member(number)?);
        }
        let known = kills.faults.len();
        while kills.kills < until && kills.faults.len() == known {
            let victim = usize::try_from(self.dice.below(9))?;
            // One in four at any time, mostly while it opens the store.
            if self.dice.below(4) > 0 {
                let first = crew.iter().find(|member| member.number == victim % MEMBERS);
                first.ok_or("a process is missing")?.wait_until_open();
            }
            let longest = if self.dice.below(4) == 0 { 80_000 } else { 20_000 };
            thread::sleep(Duration::from_micros(self.dice.below(longest)));
            let (victims, others): (Vec<_>, Vec<_>) = crew
                .into_iter()
                .partition(|member| victim == 2 * MEMBERS || member.number == victim % MEMBERS);
            crew = others;
            let numbers: Vec<_> = victims.iter().map(|member| member.number).collect();
            for member in victims {
                self.bury(member, true, kills)?;
            }
            for number in numbers {
                crew.push(self.member(number)?);
            }
        }
        let is_kill = self.dice.below(2) == 0;
        for member in &mut crew {
            member.is_to_end(is_kill)?;
        }
        for member in crew {
            self.bury(member, is_kill, kills)?;
        }
        Ok(())
    }

    fn member(&mut self, number: usize) -> Outcome<Member> {
        Member::start(self.dir, number, self.dice.roll())
    }

    fn bury(&mut self, mut member: Member, is_kill: bool, kills: &mut CrewKills) -> Outcome {
        let number = member.number;
        member.is_to_end(is_kill)?;
        let (lines, fault) = member.end(is_kill)?;
        kills.kills += usize::from(is_kill);
        kills.closed += usize::from(!is_kill);
        kills.early += usize::from(lines.is_empty());
        kills.faults.extend(fault.map(|fault| format!("process {number}: {fault}")));
        kills.faults.extend(self.said.hear(&lines));
        self.said.ledger.writer_is_gone(&prefix(number));
        Ok(())
    }

    fn look(&mut self, kills: &mut CrewKills) -> Outcome {
        // Before anything is opened, as whoever holds the files and the key finds them.
        let files = files(&self.dir.join("audit"))?;
        kills.faults.extend(without_record(&self.said.given, &files, &self.key));
        kills.faults.extend(self.said.never_put());
        let manner = Manner { create: false, recorded: true };
        let looked = block_on(look(self.dir, &mut self.said.ledger, manner))?;
        self.said.looked();
        kills.happened += looked.happened;
        kills.vanished += looked.vanished;
        kills.compared += looked.compared;
        kills.faults.extend(looked.faults);
        Ok(())
    }

    /// Takes the record of a read out of a copy of the log.
    fn control(&self, kills: &mut CrewKills) -> Outcome {
        let files = files(&self.dir.join("audit"))?;
        if let Some(is_seen) = control_is_seen(&self.said.given, &files, &self.key) {
            kills.controls += 1;
            kills.controls_missed += usize::from(!is_seen);
        }
        Ok(())
    }

    /// Nothing of what was purged, and no blob that a second sweep would find.
    async fn nothing_is_left(&self) -> Outcome {
        let room = Room::builder(self.dir)?.open().await?;
        let session = room.session(owner());
        session.sweep("prod").await?;
        let again = session.sweep("prod").await?.erased;
        if again > 0 {
            return Err(format!("a second sweep erases {again} records").into());
        }
        for (path, version) in self.said.purged() {
            let version = Version::new(version).ok_or("a version 0")?;
            let read = session.get::<Opaque>(path.parse::<SecretPath>()?.at(version)).await;
            if !matches!(read, Err(Error::NotFound(_))) {
                return Err(format!("{path}@{version} was purged, and is not absent").into());
            }
        }
        if let Some(found) = session.verify().await?.accusations().next() {
            return Err(format!("verify says after a sweep: {found}").into());
        }
        room.close().await?;
        Ok(())
    }
}

struct Member {
    number: usize,
    process: Child,
    /// Whether it has said anything.
    is_open: Arc<AtomicBool>,
    lines: JoinHandle<Vec<String>>,
}

impl Member {
    fn start(dir: &Path, number: usize, seed: u64) -> Outcome<Self> {
        let mut command = start_child("child-joins-a-crew")?;
        command.arg(dir).args([number.to_string(), seed.to_string()]);
        let mut process = command.stdin(Stdio::piped()).spawn()?;
        let output = process.stdout.take().ok_or("a process has no output")?;
        let mut output = BufReader::new(output);
        let is_open = Arc::new(AtomicBool::new(false));
        let lines = thread::spawn({
            let is_open = Arc::clone(&is_open);
            move || {
                let (mut lines, mut line) = (Vec::new(), String::new());
                while output.read_line(&mut line).is_ok_and(|length| length > 0) {
                    is_open.store(true, Ordering::Relaxed);
                    // What has no end was not said.
                    lines.extend(line.strip_suffix('\n').map(str::to_owned));
                    line.clear();
                }
                lines
            }
        });
        Ok(Self { number, process, is_open, lines })
    }

    /// Waits until it has opened the store, or has ended, or for too long.
    fn wait_until_open(&self) {
        for _ in 0..QUESTIONS {
            if self.is_open.load(Ordering::Relaxed) || self.lines.is_finished() {
                return;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Kills it, or asks it to close the store.
    fn is_to_end(&mut self, is_kill: bool) -> Outcome {
        drop(self.process.stdin.take());
        if is_kill {
            self.process.kill()?;
        }
        Ok(())
    }

    /// Waits for its end, and gives what it said, and what is wrong with how it ended.
    fn end(mut self, is_kill: bool) -> Outcome<(Vec<String>, Option<String>)> {
        for _ in 0..QUESTIONS {
            if self.process.try_wait()?.is_some() {
                break;
            }
            thread::sleep(PAUSE);
        }
        // Nothing to one that has ended.
        self.process.kill()?;
        let status = self.process.wait()?;
        let lines = self.lines.join().map_err(|_| "the reader of a process's output died")?;
        // Who was killed has no code; who ended by itself before has one.
        let is_right = if is_kill { status.code().is_none() } else { status.success() };
        let last = lines.last().map_or("", String::as_str);
        let fault = (!is_right).then(|| format!("it ended with {status}, and said last: {last}"));
        Ok((lines, fault))
    }
}
