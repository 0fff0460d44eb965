//! Power cuts, by the calls of the operating system that a process made: the directory as a disk
//! may have it at some moment, and what the next process finds there.

mod disk;
mod trace;

use std::path::{Path, PathBuf};

use disk::{Cut, Disk};
use trace::{Event, Op, Parser};

use crate::oracle::{Manner, is_of_ledger, looked_by_child};
use crate::strace::strace;
use crate::work::{ACTS, LEAVE_OPEN, OPENED};
use crate::{Dice, Outcome};

/// How many cuts are tried without the syncs of the write-ahead file, of which one must do harm.
const CONTROLS: usize = 200;

/// What came of it.
#[derive(Debug, Default)]
pub struct PowerCuts {
    /// Moments at which the power went.
    pub cuts: usize,
    /// Of these, before the store was open for the first time.
    pub early: usize,
    /// Of these, those where something that was not synced was lost or torn.
    pub lossy: usize,
    /// Calls that were recorded.
    pub calls: usize,
    /// Writes that were acknowledged before the power went.
    pub acknowledged: usize,
    /// Writes that were under way and had taken effect.
    pub happened: usize,
    /// Writes that were under way and had not.
    pub vanished: usize,
    /// Values read and compared.
    pub compared: usize,
    /// What must not be.
    pub faults: Vec<String>,
    /// After how many cuts harm was seen where syncs of the write-ahead file do nothing.
    pub control: Option<usize>,
}

/// Records so many times what processes do, and cuts the power so often in each.
///
/// # Errors
/// Where there is no `strace`, or it tells what is not understood.
pub fn power_cuts(recordings: usize, cuts: usize, seed: u64) -> Outcome<PowerCuts> {
    let mut done = PowerCuts::default();
    for number in 0..recordings {
        let mut dice = Dice::of(seed, number);
        let recording = Recording::make(&mut dice)?;
        done.calls += recording.events.len();
        for _ in 0..cuts {
            let (moment, chance) = (recording.moment(&mut dice), dice.roll());
            let found = recording.cut(moment, chance, true)?;
            done.cuts += 1;
            done.early += usize::from(!found.opened);
            done.lossy += usize::from(found.is_lossy);
            done.acknowledged += found.acknowledged;
            done.happened += found.happened;
            done.vanished += found.vanished;
            done.compared += found.compared;
            let faults = found.faults.into_iter();
            done.faults.extend(faults.map(|fault| {
                format!("recording {number} of seed {seed}, cut at {moment} by {chance}: {fault}")
            }));
        }
        for tried in 1..=CONTROLS {
            if done.control.is_some() {
                break;
            }
            let (moment, chance) = (recording.moment(&mut dice), dice.roll());
            let does_harm = !recording.cut(moment, chance, false)?.faults.is_empty();
            done.control = does_harm.then_some(tried);
        }
    }
    Ok(done)
}

/// What some processes did to a directory, one after the other.
struct Recording {
    root: PathBuf,
    events: Vec<Event>,
}

/// What came of one cut.
#[derive(Debug, Default)]
struct Found {
    opened: bool,
    is_lossy: bool,
    acknowledged: usize,
    happened: usize,
    vanished: usize,
    compared: usize,
    faults: Vec<String>,
}

impl Recording {
    /// One process makes the store and is killed, one settles that and closes, one is killed again.
    fn make(dice: &mut Dice) -> Outcome<Self> {
        let scratch = tempfile::tempdir()?;
        let root = scratch.path().join("room");
        std::fs::create_dir(&root)?;
        let place = root.to_str().ok_or("a temporary directory without a name")?;
        let mut events = Vec::new();
        let mut parser = Parser::new(&root);
        for ending in [LEAVE_OPEN, "close", LEAVE_OPEN] {
            let trace = scratch.path().join("trace");
            let calls = format!("trace={}", trace::CALLS.join(","));
            let options = ["-y", "-xx", "-s", "1000000", "-e", &calls];
            let words = ["child-works", place, &dice.roll().to_string(), &ACTS.to_string(), ending];
            let done = strace(&options, &trace, &words)?;
            if !done.status.success() {
                let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
                return Err(format!("`strace` or what it ran ended: {complaint}").into());
            }
            events.extend(parser.parse(&std::fs::read_to_string(trace)?)?);
        }
        let recording = Self { root, events };
        recording.check()?;
        Ok(recording)
    }

    /// Whether the calls, with nothing lost, make the directory that is there.
    fn check(&self) -> Outcome {
        let disk = Disk::after(&self.root, &self.events, u64::MAX, true)?;
        for (path, bytes) in disk.now() {
            let is_same = std::fs::read(self.root.join(&path))? == bytes;
            if !is_same && !path.to_string_lossy().ends_with("-shm") {
                return Err(format!("the calls do not make {}", path.display()).into());
            }
        }
        Ok(())
    }

    fn moment(&self, dice: &mut Dice) -> u64 {
        let at = dice.below(u64::try_from(self.events.len()).unwrap_or(u64::MAX));
        let event = usize::try_from(at).ok().and_then(|at| self.events.get(at));
        // While it is under way, or when it has just ended.
        event.map_or(0, |event| if dice.below(2) == 0 { event.begin + 1 } else { event.end + 1 })
    }

    /// The power goes at that moment; what is lost, chance says. `wal_syncs`: syncs of the
    /// write-ahead file are what they say.
    fn cut(&self, moment: u64, chance: u64, wal_syncs: bool) -> Outcome<Found> {
        let disk = Disk::after(&self.root, &self.events, moment, wal_syncs)?;
        let Cut { files, is_lossy } = disk.cut(&mut Dice::new(chance));
        let scratch = tempfile::tempdir()?;
        let dir = scratch.path().join("room");
        let mut found = Found { is_lossy, ..Found::default() };
        for (path, content) in &files {
            match content {
                None => std::fs::create_dir_all(dir.join(path))?,
                // Shared memory does not outlive a crash.
                Some(_) if path.to_string_lossy().ends_with("-shm") => {}
                Some(bytes) => std::fs::write(dir.join(path), bytes)?,
            }
        }
        let said = self.said(moment);
        let has_record = |log: &(PathBuf, Vec<u8>)| {
            files.iter().any(|(path, content)| {
                *path == log.0 && content.as_ref().is_some_and(|bytes| bytes.starts_with(&log.1))
            })
        };
        for log in self.recorded(moment)?.iter().filter(|log| !has_record(log)) {
            let log = log.0.display();
            found.faults.push(format!("{log} lost records of acknowledged writes"));
        }
        found.opened = said.iter().any(|line| line == OPENED);
        let lines: Vec<_> = said.into_iter().filter(|line| is_of_ledger(line)).collect();
        found.acknowledged = lines.iter().filter(|line| is_acknowledgement(line)).count();
        let manner = Manner { create: !found.opened, recorded: false };
        let looked = looked_by_child(&dir, &lines, manner)?;
        found.happened = looked.happened;
        found.vanished = looked.vanished;
        found.compared = looked.compared;
        found.faults.extend(looked.faults);
        Ok(found)
    }

    /// The whole lines that were said before that moment.
    fn said(&self, moment: u64) -> Vec<String> {
        let mut text = Vec::new();
        for event in self.events.iter().filter(|event| event.begin < moment) {
            if let Op::Said(bytes) = &event.op {
                text.extend_from_slice(bytes);
            }
        }
        let text = String::from_utf8_lossy(&text);
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        lines.map(str::to_owned).collect()
    }

    /// Each log as it must be there at that moment: up to the last intent that it held when the
    /// last acknowledgement began.
    fn recorded(&self, moment: u64) -> Outcome<Vec<(PathBuf, Vec<u8>)>> {
        let acknowledges = |event: &&Event| match &event.op {
            Op::Said(said) => {
                event.begin < moment && is_acknowledgement(&String::from_utf8_lossy(said))
            }
            _ => false,
        };
        let Some(last) = self.events.iter().rfind(acknowledges) else { return Ok(Vec::new()) };
        let disk = Disk::after(&self.root, &self.events, last.begin, true)?;
        let mut logs = Vec::new();
        for (path, bytes) in disk.now() {
            if path.extension().is_some_and(|ending| ending == "jsonl") {
                logs.push((path, up_to_last_intent(&bytes).to_vec()));
            }
        }
        Ok(logs)
    }
}

/// Whether a line says that a write took effect. What did nothing wrote nothing that must stay.
fn is_acknowledgement(line: &str) -> bool {
    line.starts_with("done ") && !line.trim_end().ends_with(" nothing")
}

fn up_to_last_intent(log: &[u8]) -> &[u8] {
    const INTENT: &[u8] = b"{\"t\":\"intent\"";
    let (mut end, mut at) = (0, 0);
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line.starts_with(INTENT) && line.ends_with(b"\n") {
            end = at;
        }
    }
    log.get(..end).unwrap_or_default()
}

/// A path within the directory.
fn within(root: &Path, path: &Path) -> Option<PathBuf> {
    path.strip_prefix(root).ok().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_intent_ends_what_must_be_there() {
        let log = b"{\"t\":\"open\"}\n{\"t\":\"intent\",1}\n{\"t\":\"outcome\"}\n\0\0";
        assert_eq!(up_to_last_intent(log), b"{\"t\":\"open\"}\n{\"t\":\"intent\",1}\n");
        assert_eq!(up_to_last_intent(b"{\"t\":\"open\"}\n"), b"");
    }

    #[test]
    fn only_a_write_is_acknowledged() {
        assert!(is_acknowledgement("done p put 1 7\n"));
        assert!(!is_acknowledgement("done p nothing\n") && !is_acknowledgement("saw p absent\n"));
    }
}
