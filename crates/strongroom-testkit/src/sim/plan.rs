//! What a simulation does, as a list of steps that a seed makes and a shrinker takes apart.

use std::fmt;
use std::num::NonZeroUsize;

use super::dice::Dice;
use super::storage::SimFaults;

/// The paths that engines share. The last one lies in a namespace that is destroyed now and then,
/// so that versions begin anew there: it is written, and not checked.
pub(super) const PATHS: [&str; 4] = ["prod/db", "prod/api/key", "dev/db", "short/lived"];
/// How many of them are checked.
pub(super) const CHECKED: usize = 3;
/// Paths from here on have one put each. Only the first head of a path has none before it that
/// fences off whoever was slow.
pub(super) const FRESH: usize = 1000;
/// The namespaces whose keys are rotated.
pub(super) const NAMESPACES: [&str; 3] = ["prod", "dev", "short"];

/// About so many polls a step has.
const POLLS: u32 = 150;

/// The name of a path.
pub(super) fn name_of(path: usize) -> String {
    PATHS.get(path).map_or_else(|| format!("prod/fresh/{path}"), |name| (*name).to_owned())
}

/// What a batch of the store holds.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Batches {
    /// All of a write.
    Wide,
    /// Two operations: blobs go before the head that names them.
    Pairs,
    /// One operation: nothing is checked beside a write.
    Single,
}

impl Batches {
    pub(super) const fn atomic_ops(self) -> NonZeroUsize {
        match self {
            Self::Wide => NonZeroUsize::MAX,
            Self::Pairs => NonZeroUsize::MIN.saturating_add(1),
            Self::Single => NonZeroUsize::MIN,
        }
    }
}

/// What a put expects.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guess {
    /// Anything.
    Any,
    /// Nothing.
    Absent,
    /// The version that this client last saw there; nothing, where it saw none.
    Seen,
    /// The head that it reads just before.
    Head,
}

/// What a client of an engine does, or what happens to the engine. `path` and `namespace` are
/// places in a list that is the simulation's own.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Puts a value of its own.
    Put {
        /// Where.
        path: usize,
        /// How long the value is.
        bytes: usize,
        /// What is expected.
        guess: Guess,
        /// Whether it waits for a promotion.
        pending: bool,
    },
    /// Puts a value on a path of its own.
    PutFresh,
    /// Reads what is in force.
    Get(usize),
    /// Reads what was in force some seconds ago, where that is cached.
    GetCached(usize),
    /// Reads under a permit that was granted before this client wrote there itself.
    GetOutdated(usize),
    /// Reads under a permit that was granted more than a minute ago.
    GetExpired(usize),
    /// Reads what is in force on all paths.
    GetMany,
    /// Reads the metadata.
    Look(usize),
    /// Sets a label.
    Label(usize),
    /// Sets a label over and over, until no head remembers what was written before.
    Churn(usize),
    /// Deletes what is in force.
    Delete(usize),
    /// Brings it back.
    Undelete(usize),
    /// Destroys what is in force.
    Destroy(usize),
    /// Purges the secret.
    Purge(usize),
    /// Promotes what is pending.
    Promote(usize),
    /// Lists a namespace.
    List(usize),
    /// Gives a namespace a new key.
    RotateKeys(usize),
    /// Encrypts its heads anew.
    Rewrap(usize),
    /// Erases what no head names.
    Sweep(usize),
    /// Destroys the namespace that is not checked.
    DestroyNamespace,
    /// Holds the store against its logs.
    Verify,
    /// Lets so many seconds pass, and prunes of the logs what is older than that.
    Prune(u32),
    /// Asks what became of all writes that this client does not know the end of.
    Resolve,
    /// Sets the wall clock back by so many seconds.
    StepBack(u32),
    /// Lets so many seconds pass.
    Advance(u32),
    /// The log of this engine takes no record for so many appends.
    FailAppends(u32),
    /// The engine is killed when its tasks were polled so often, or at the latest when its clients
    /// have done what comes before. A new one opens the store.
    Kill(u32),
    /// The power goes when the engine's tasks were polled so often, or likewise: all engines are
    /// killed, and of their logs what was not synced is lost.
    CutPower(u32),
    /// The engine is closed when its clients are done, and a new one opens the store.
    Close,
    /// It is closed when the first of its clients is done.
    CloseEarly,
}

/// An act of one of an engine's clients.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// Which engine.
    pub engine: usize,
    /// Which of its clients, who act at the same time.
    pub client: usize,
    /// What it does.
    pub act: Act,
    /// Its future is dropped once it was polled so often.
    pub dropped_after: Option<u64>,
    /// Says which value a put puts.
    pub number: u64,
}

/// A restore from a backup when all engines have ended.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restore {
    /// The backup is made when tasks were polled so often, or at the latest when engines end.
    pub after: u64,
    /// Whether the logs are set back as well. Else they stay, and tell of what is gone.
    pub logs: bool,
}

/// All that a simulation does. The same plan does the same, to the last byte.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The order of things, their randomness, and which call meets which fault.
    pub seed: u64,
    /// What the store's batches hold.
    pub batches: Batches,
    /// Whether the store has a change mark, so that engines read from their caches.
    pub marks: bool,
    /// Whether the store has an anchor outside.
    pub anchored: bool,
    /// Whether logs go on in a new segment after some lines.
    pub segmented: bool,
    /// Whether the store is set back to an earlier copy at the end.
    pub restore: Option<Restore>,
    /// What goes wrong.
    pub faults: SimFaults,
    /// Who does what.
    pub steps: Vec<Step>,
}

/// How much a plan has.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Engines on the one store.
    pub engines: usize,
    /// Steps of each.
    pub steps: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { engines: 4, steps: 60 }
    }
}

impl Size {
    /// So many engines with so many steps each.
    #[must_use]
    pub const fn new(engines: usize, steps: usize) -> Self {
        Self { engines, steps }
    }
}

impl Plan {
    /// The plan of a seed.
    ///
    /// ```
    /// use strongroom_testkit::sim::{Plan, Size};
    /// let plan = Plan::new(7, Size::default());
    /// assert_eq!(plan.steps.len(), 4 * 60);
    /// assert_eq!(plan, Plan::new(7, Size::default()));
    /// ```
    #[must_use]
    pub fn new(seed: u64, size: Size) -> Self {
        let mut dice = Dice::of(seed, 1);
        let batches = match dice.below(4) {
            0 | 1 => Batches::Wide,
            2 => Batches::Pairs,
            _ => Batches::Single,
        };
        // Some of all days are good ones: what only needs an order of things is then found too.
        let mut faults = if dice.per_mille(250) { SimFaults::delays() } else { SimFaults::usual() };
        if dice.per_mille(500) {
            // What is lost stays away for longer than most that could settle it.
            faults.landings /= 15;
        }
        let marks = dice.per_mille(750);
        let (anchored, segmented) = (dice.per_mille(400), dice.per_mille(500));
        let mut steps = Vec::with_capacity(size.engines * size.steps);
        for engine in 0..size.engines {
            for _ in 0..size.steps {
                let number = u64::try_from(steps.len()).unwrap_or(u64::MAX);
                let dropped_after = dice.per_mille(30).then(|| u64::from(dice.below(40)));
                let (client, act) = (dice.index(2), act(&mut dice));
                steps.push(Step { engine, client, act, dropped_after, number });
            }
        }
        let restore = dice.per_mille(250).then(|| {
            let most = u32::try_from(steps.len()).unwrap_or(u32::MAX).saturating_mul(POLLS);
            Restore { after: u64::from(dice.below(most)), logs: dice.per_mille(400) }
        });
        Self { seed, batches, marks, anchored, segmented, restore, faults, steps }
    }
}

fn act(dice: &mut Dice) -> Act {
    let path = dice.index(PATHS.len() + 3) % PATHS.len();
    // The first twice as often: most is written there.
    let namespace = dice.index(NAMESPACES.len() + 1) % NAMESPACES.len();
    match dice.below(201) {
        0..50 => {
            let bytes = match dice.below(8) {
                0 => 6000, // parts
                1 => 1500, // a blob
                _ => 40,
            };
            let guess = match dice.below(10) {
                0..4 => Guess::Any,
                4..7 => Guess::Seen,
                7 => Guess::Absent,
                _ => Guess::Head,
            };
            Act::Put { path, bytes, guess, pending: dice.per_mille(120) }
        }
        50..62 => Act::PutFresh,
        62..84 => Act::Get(path),
        84..90 => Act::GetCached(path),
        90..94 => Act::GetMany,
        94..97 => Act::GetOutdated(path),
        97 => Act::GetExpired(path),
        98..110 => Act::Look(path),
        110..114 => Act::Label(path),
        114..116 => Act::Churn(path),
        116..124 => Act::Delete(path),
        124..132 => Act::Undelete(path),
        132..137 => Act::Destroy(path),
        137..141 => Act::Purge(path),
        141..147 => Act::Promote(path),
        147..148 => Act::List(namespace),
        148..156 => Act::RotateKeys(namespace),
        156..165 => Act::Rewrap(namespace),
        165..168 => Act::Sweep(namespace),
        168..170 => Act::DestroyNamespace,
        170..171 => Act::Verify,
        171..184 => Act::Resolve,
        // Mostly little: what was recorded before a long one is not old for long.
        184..187 if dice.per_mille(700) => Act::StepBack(dice.below(60)),
        184..187 => Act::StepBack(dice.below(100_000)),
        187..190 => Act::Advance(dice.below(40)),
        190..192 => Act::FailAppends(1 + dice.below(3)),
        192..195 => Act::Kill(dice.below(2000)),
        195 => Act::CutPower(dice.below(4000)),
        196..199 => Act::Close,
        199 => Act::CloseEarly,
        _ => Act::Prune(1 + dice.below(60)),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, batches, marks, anchored, segmented, restore, faults, steps } = self;
        let or_no = |has| if has { "a" } else { "no" };
        let (mark, anchor) = (or_no(*marks), or_no(*anchored));
        let logs = if *segmented { "segments" } else { "one piece" };
        writeln!(f, "seed {seed}, {batches:?} batches, {mark} change mark, {anchor} anchor,")?;
        writeln!(f, "logs in {logs}, {faults:?}")?;
        if let Some(Restore { after, logs }) = restore {
            let what = if *logs { "storage and logs" } else { "the storage" };
            writeln!(f, "{what} set back to how it was after {after} polls,")?;
        }
        writeln!(f, "{} steps:", steps.len())?;
        for step in steps {
            write!(f, "  {}/{} #{} {:?}", step.engine, step.client, step.number, step.act)?;
            if let Some(polls) = step.dropped_after {
                write!(f, ", dropped after {polls} polls")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_and_every_shape_comes_up() {
        let plans: Vec<Plan> = (0..40).map(|seed| Plan::new(seed, Size::default())).collect();
        let named = |name: &str| {
            let is = |step: &Step| format!("{:?}", step.act).starts_with(name);
            plans.iter().any(|plan| plan.steps.iter().any(is))
        };
        for name in [
            "Put {",
            "PutFresh",
            "Get(",
            "GetCached",
            "GetMany",
            "GetOutdated",
            "GetExpired",
            "Look",
            "Label",
            "Churn",
            "Delete",
            "Undelete",
            "Destroy(",
            "Purge",
            "Promote",
            "List",
            "RotateKeys",
            "Rewrap",
            "Sweep",
            "DestroyNamespace",
            "Verify",
            "Prune",
            "Resolve",
            "StepBack",
            "Advance",
            "FailAppends",
            "Kill",
            "CutPower",
            "Close",
            "CloseEarly",
        ] {
            assert!(named(name), "{name}");
        }
        for batches in [Batches::Wide, Batches::Pairs, Batches::Single] {
            assert!(plans.iter().any(|plan| plan.batches == batches));
        }
        for logs in [false, true] {
            let is = |plan: &&Plan| plan.restore.is_some_and(|restore| restore.logs == logs);
            let text = plans.iter().find(is).unwrap().to_string();
            assert_eq!(text.contains("\nstorage and logs set back to"), logs, "{text}");
            assert_eq!(text.contains("\nthe storage set back to"), !logs, "{text}");
        }
        assert!(plans[3].to_string().starts_with("seed 3, "));
    }
}
