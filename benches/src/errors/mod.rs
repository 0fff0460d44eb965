//! Calls of the operating system that fail, each in its turn, under a process that works on a
//! store; and what the next process finds.

mod points;
mod run;

use std::collections::BTreeMap;
use std::path::Path;

use run::{Ran, Scene};

use crate::{Dice, Outcome, say};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// This error, once.
    Once(&'static str),
    /// This error, from then on.
    Lasting(&'static str),
    /// A write that answers that it wrote nothing.
    Nothing,
}

impl Fault {
    fn name(self) -> String {
        match self {
            Self::Once(error) => error.to_owned(),
            Self::Lasting(error) => format!("{error} from then on"),
            Self::Nothing => "0 bytes written".to_owned(),
        }
    }

    /// What `strace` is asked for.
    fn injection(self, call: &str, number: usize) -> String {
        match self {
            Self::Once(error) => format!("inject={call}:error={error}:when={number}"),
            Self::Lasting(error) => format!("inject={call}:error={error}:when={number}+"),
            Self::Nothing => format!("inject={call}:retval=0:when={number}"),
        }
    }

    /// Which of them make sense of a call: of a call that comes hundreds of times, two, by turns.
    fn all_of(call: &str, number: usize) -> Vec<Self> {
        let mut all = vec![Self::Once("EIO"), Self::Once("ENOSPC"), Self::Once("EINTR")];
        if call.contains("write") {
            all.push(Self::Nothing);
        }
        // What the child says goes out by `write`, and must.
        if call != "write" {
            all.extend([Self::Lasting("EIO"), Self::Lasting("ENOSPC")]);
        }
        if call == "pwrite64" {
            let count = all.len();
            all.rotate_left(number * 2 % count);
            all.truncate(2);
        }
        all
    }
}

/// What was done to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Harm {
    /// The call of that name and number failed, in each of its threads.
    Call { call: &'static str, number: usize, fault: Fault },
    /// No file could grow beyond so many blocks of 512 bytes: a write across it is cut short.
    Limit { blocks: u64 },
}

/// What came of one kind of failure.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Processes that it happened to.
    pub runs: usize,
    /// Of these, those that could not open the store.
    pub refused: usize,
    /// Writes that were done.
    pub done: usize,
    /// Writes that were not.
    pub not_done: usize,
    /// Writes of which that was not known.
    pub unknown: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Errors {
    /// By call and failure.
    pub by_kind: BTreeMap<(String, String), Tally>,
    /// Processes that did not come to the call that was to fail.
    pub missed: usize,
    /// Values that the next processes read and compared.
    pub compared: usize,
    /// What must not be.
    pub faults: Vec<String>,
}

/// Lets calls fail: all of them in full, else some that a seed chooses.
///
/// # Errors
/// Where there is no `strace`, or a process cannot be started.
pub fn errors(full: bool, seed: u64) -> Outcome<Errors> {
    let mut errors = Errors::default();
    let scratch = tempfile::tempdir()?;
    let mut dice = Dice::new(seed);
    for (number, (is_left_open, is_inline)) in
        [(false, true), (true, true), (false, false), (true, false)].into_iter().enumerate()
    {
        let dir = scratch.path().join(number.to_string());
        let scene = Scene::set(&dir, dice.roll(), is_left_open, is_inline)?;
        let mut harms = harms(&scene)?;
        if !full {
            let some = (0..SOME).filter_map(|_| {
                let at = usize::try_from(dice.below(u64::try_from(harms.len()).ok()?)).ok()?;
                (at < harms.len()).then(|| harms.swap_remove(at))
            });
            harms = some.collect();
        }
        if full {
            say(format!("io-errors: {} processes: {scene}", harms.len()));
        }
        for harm in &harms {
            let scratch = tempfile::tempdir()?;
            errors.note(&scene, harm, scene.run(scratch.path(), harm)?);
        }
    }
    Ok(errors)
}

/// How many of each scene, where it is not in full.
const SOME: usize = 6;
/// How many limits of the size of files there are: each so many blocks above the last one.
const LIMITS: u64 = 60;
const STEP: u64 = 7;

/// All that can be done to this scene.
fn harms(scene: &Scene) -> Outcome<Vec<Harm>> {
    let scratch = tempfile::tempdir()?;
    let points = scene.points(scratch.path())?;
    let of_calls = points.into_iter().flat_map(|(call, number)| {
        Fault::all_of(call, number).into_iter().map(move |fault| Harm::Call { call, number, fault })
    });
    let limits = (1..=LIMITS).map(|limit| Harm::Limit { blocks: limit * STEP });
    Ok(of_calls.chain(limits).collect())
}

impl Errors {
    fn note(&mut self, scene: &Scene, harm: &Harm, ran: Ran) {
        if !ran.was_met {
            self.missed += 1;
        }
        let key = match harm {
            Harm::Call { call, fault, .. } => ((*call).to_owned(), fault.name()),
            Harm::Limit { .. } => ("write".to_owned(), "cut short, EFBIG".to_owned()),
        };
        let tally = self.by_kind.entry(key).or_default();
        tally.runs += 1;
        tally.refused += usize::from(!ran.opened);
        tally.done += ran.count("done ");
        tally.not_done += ran.count("not-done ");
        tally.unknown += ran.count("unknown ");
        self.compared += ran.compared;
        for fault in ran.faults {
            let fault = format!("{scene}, {harm:?}: {fault}");
            // At once: the rest may take long.
            say(&fault);
            self.faults.push(fault);
        }
    }

    /// How many processes there were.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.by_kind.values().map(|tally| tally.runs).sum()
    }
}

/// Copies the files of a directory and of those below it.
fn copy(from: &Path, to: &Path) -> Outcome {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => std::fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}
