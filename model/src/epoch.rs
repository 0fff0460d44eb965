//! An epoch key that is destroyed beside writers that are paused with it.
//!
//! **Models** two writers on two paths, one of which has no head yet; an administrator who rotates
//! once or twice; a rewrap that lists path by path, encrypts again what it finds under another
//! epoch, and destroys what one whole scan did not find. All of them may be paused between any two
//! steps, and die; what they sent may arrive at any later moment.
//!
//! **Stands for** `rewrap.rs` (`rewrap`, `rewrap_scan`, `drop_epochs`), `namespaces.rs`
//! (`rotate_keys`), the check and `leave_no_old_epoch` of `replace.rs`, and `send_again` of
//! `doubt.rs`.
//!
//! **Leaves out** what becomes of a write (see `resolve`), destroyed namespaces, and the keyring,
//! which guards namespace records as those guard heads. A rewrap passes over a head whose new form
//! was refused or not answered; the code is stricter and gives up where there is no answer.
//!
//! Where a batch is one operation ([`Guard::Days`]), 30 days stand for a bound on time: what is on
//! its way when they have passed is lost, and they pass only when nobody is paused between reading
//! the namespace record and sending. To be in doubt is no such pause: it may last for ever.

use crate::explore::{Next, Protocol};

const PATHS: usize = 2;
const WRITERS: [&str; PATHS] = ["writer A", "writer B"];
/// How often a writer begins again.
const TRIES: u8 = 2;

/// What keeps a paused writer from adding a head under an epoch that is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Each batch checks the namespace record.
    Check,
    /// A batch is one operation: the record is read again before `Ok`, and epochs stay for 30 days.
    Days,
}

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Nothing is checked in the batch.
    NoCheck,
    /// The batch checks the record as it is when it is sent, not as it was when the key was read.
    ChecksLater,
    /// The scan that encrypted heads again is not repeated before epochs are destroyed.
    NoRescan,
    /// What leaves at the end of the scan is destroyed, not what left before its beginning.
    ScansTooEarly,
    /// A batch of one operation, and the epoch is not kept.
    NoDays,
    /// The age of the epoch is looked at when the scan has ended.
    AgeAtEnd,
    /// A write in doubt is sent again without a look at the namespace record.
    ResendsUnseen,
}

impl Wrong {
    /// All of them, each under the guard that it breaks.
    pub(crate) const ALL: [(Guard, Self); 7] = [
        (Guard::Check, Self::NoCheck),
        (Guard::Check, Self::ChecksLater),
        (Guard::Check, Self::NoRescan),
        (Guard::Check, Self::ScansTooEarly),
        (Guard::Days, Self::NoDays),
        (Guard::Days, Self::AgeAtEnd),
        (Guard::Days, Self::ResendsUnseen),
    ];
}

/// The protocol, right or wrong.
#[derive(Debug)]
pub(crate) struct Destroy {
    /// What guards it.
    pub(crate) guard: Guard,
    /// The last epoch that there will be; the first is 1.
    pub(crate) epochs: u8,
    /// What is done wrong, if anything is.
    pub(crate) wrong: Option<Wrong>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Namespace {
    active: u8,
    /// The epochs that have a key, as bits.
    living: u8,
}

impl Namespace {
    fn leaving(self) -> u8 {
        self.living & !bit(self.active)
    }
}

fn bit(epoch: u8) -> u8 {
    1 << epoch
}

/// What is sent to replace a head. Revisions never come back, so that it is enough to know whether
/// they are still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Batch {
    /// The head is still the one that it replaces.
    fits: bool,
    /// The namespace record is still the one that it checks.
    checks: bool,
    epoch: u8,
    /// A copy is on its way, or several: the first that takes effect is the last.
    flying: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Begins,
    /// Has read the namespace record.
    Knows,
    /// Has made the next head.
    Ready,
    Waits,
    Doubts,
    /// Has seen that the namespace record is as it was.
    DoubtsStill,
    WaitsAgain,
    /// It took effect, unchecked.
    Looks,
    Acknowledged,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Writer {
    phase: Phase,
    tries: u8,
    batch: Batch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scan {
    Idle,
    /// Looks at that path next.
    At(usize),
    /// Has made the next head of that path.
    Ready(usize),
    Waits(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Rewrap {
    scan: Scan,
    active: u8,
    /// The epochs that this scan is about.
    scanned: u8,
    found: bool,
    /// The 30 days had passed when the scan began.
    aged: bool,
    batches: [Batch; PATHS],
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    namespace: Namespace,
    /// The epoch of the head at each path; 0 where there is none.
    heads: [u8; PATHS],
    writers: [Writer; PATHS],
    rewrap: Rewrap,
    /// 30 days have passed since the active epoch came.
    aged: bool,
}

impl State {
    fn head(&self, path: usize) -> u8 {
        self.heads.get(path).copied().unwrap_or_default()
    }

    fn batches(&mut self, path: usize) -> impl Iterator<Item = &mut Batch> {
        let writer = self.writers.get_mut(path).map(|writer| &mut writer.batch);
        writer.into_iter().chain(self.rewrap.batches.get_mut(path))
    }

    /// The head at a path is replaced: nothing else that was made of the old one fits any more.
    fn with_head(mut self, path: usize, epoch: u8) -> Self {
        if let Some(head) = self.heads.get_mut(path) {
            *head = epoch;
        }
        self.batches(path).for_each(|batch| batch.fits = false);
        self
    }

    /// The namespace record is replaced: no check of the old one holds any more.
    fn with_namespace(mut self, active: u8, living: u8) -> Self {
        self.namespace = Namespace { active, living };
        for path in 0..PATHS {
            self.batches(path).for_each(|batch| batch.checks = false);
        }
        self
    }

    fn with_writer(mut self, path: usize, change: impl FnOnce(&mut Writer)) -> Self {
        if let Some(writer) = self.writers.get_mut(path) {
            change(writer);
        }
        self
    }

    fn with_phase(self, path: usize, phase: Phase) -> Self {
        self.with_writer(path, |writer| writer.phase = phase)
    }

    fn with_scan(mut self, scan: Scan) -> Self {
        self.rewrap.scan = scan;
        self
    }

    fn rewrap_batch(&self, path: usize) -> Batch {
        self.rewrap.batches.get(path).copied().unwrap_or_default()
    }

    fn with_rewrap_batch(mut self, path: usize, change: impl FnOnce(&mut Batch)) -> Self {
        if let Some(batch) = self.rewrap.batches.get_mut(path) {
            change(batch);
        }
        self
    }
}

impl Destroy {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    fn checks(&self) -> bool {
        self.guard == Guard::Check && !self.is(Wrong::NoCheck)
    }

    fn lands(&self, batch: Batch) -> bool {
        batch.fits && (batch.checks || !self.checks())
    }

    /// A batch arrives. Whether it took effect.
    fn arrives(&self, state: &State, path: usize, batch: Batch) -> (State, bool) {
        if self.lands(batch) { (state.with_head(path, batch.epoch), true) } else { (*state, false) }
    }

    fn writer(&self, state: &State, path: usize, writer: Writer, next: &mut Next<State>) {
        let who = WRITERS.get(path).copied().unwrap_or_default();
        let to = |phase| state.with_phase(path, phase);
        match writer.phase {
            Phase::Begins => {
                let epoch = state.namespace.active;
                let batch = Batch { fits: false, checks: true, epoch, flying: false };
                let after = to(Phase::Knows).with_writer(path, |writer| writer.batch = batch);
                next.add(who, "reads the namespace record", after);
            }
            Phase::Knows => {
                let head = state.head(path);
                if head > writer.batch.epoch {
                    next.add(who, "does not know the head's key", to(Phase::Begins));
                } else {
                    let after =
                        to(Phase::Ready).with_writer(path, |writer| writer.batch.fits = true);
                    next.add(who, "reads the head, encrypts the next one", after);
                }
            }
            Phase::Ready => {
                let later = self.is(Wrong::ChecksLater);
                let after = to(Phase::Waits).with_writer(path, |writer| {
                    writer.batch.flying = true;
                    writer.batch.checks |= later;
                });
                next.add(who, "sends it", after);
            }
            Phase::Waits | Phase::WaitsAgain => {
                if writer.batch.flying {
                    self.answer(state, path, writer, next);
                }
                next.add(who, "waits no longer", to(Phase::Doubts));
            }
            Phase::Doubts if self.guard == Guard::Days && !self.is(Wrong::ResendsUnseen) => {
                if writer.batch.checks {
                    let what = "sees that the namespace record is as it was";
                    next.add(who, what, to(Phase::DoubtsStill));
                } else {
                    let what = "does not send it again: not known";
                    next.add(who, what, to(Phase::Gone));
                }
            }
            Phase::Doubts | Phase::DoubtsStill => {
                let after =
                    to(Phase::WaitsAgain).with_writer(path, |writer| writer.batch.flying = true);
                next.add(who, "sends the same bytes again", after);
            }
            Phase::Looks if state.namespace.active == writer.batch.epoch => {
                next.add(who, "sees its epoch still active: done", to(Phase::Acknowledged));
            }
            Phase::Looks => {
                next.add(who, "sees its epoch leaving: writes again", begins(state, path));
            }
            Phase::Acknowledged | Phase::Gone => {}
        }
        // Where nothing is bound in time, to die is to be paused for ever.
        if self.guard == Guard::Days
            && !matches!(writer.phase, Phase::Begins | Phase::Acknowledged | Phase::Gone)
        {
            next.add(who, "dies", to(Phase::Gone));
        }
    }

    /// A copy arrives, and the writer hears of it.
    fn answer(&self, state: &State, path: usize, writer: Writer, next: &mut Next<State>) {
        let who = WRITERS.get(path).copied().unwrap_or_default();
        let (after, lands) = self.arrives(state, path, writer.batch);
        let after = after.with_writer(path, |writer| writer.batch.flying = false);
        let by_check = writer.batch.fits && !lands;
        next.saw("a batch refused for the namespace record alone", by_check);
        if !lands {
            // No copy can take effect any more. One that may have done is `resolve`'s matter.
            let after = match writer.phase {
                Phase::Waits if writer.tries < TRIES => begins(&after, path),
                _ => after.with_phase(path, Phase::Gone),
            };
            next.add(who, "is answered: refused", after);
        } else if self.guard == Guard::Check
            || (self.is(Wrong::ResendsUnseen) && writer.phase == Phase::WaitsAgain)
        {
            next.add(who, "is answered: done", after.with_phase(path, Phase::Acknowledged));
        } else {
            let what = "is answered: done, and looks again";
            next.add(who, what, after.with_phase(path, Phase::Looks));
        }
    }

    fn rewrap(&self, state: &State, next: &mut Next<State>) {
        const WHO: &str = "rewrap";
        let rewrap = state.rewrap;
        match rewrap.scan {
            Scan::Idle => {
                if state.namespace.leaving() != 0 || self.is(Wrong::ScansTooEarly) {
                    next.add(WHO, "reads the namespace record, begins a scan", scans(state));
                }
            }
            Scan::At(path) if path >= PATHS => self.scan_ends(state, next),
            // What an earlier rewrap sent there arrives first: it has the one place for that.
            Scan::At(path) if state.rewrap_batch(path).flying => {}
            Scan::At(path) => {
                let head = state.head(path);
                if head == 0 || head == rewrap.active {
                    let what = "lists a path that needs nothing";
                    next.add(WHO, what, state.with_scan(Scan::At(path + 1)));
                } else {
                    let mut after = state.with_scan(Scan::Ready(path));
                    after.rewrap.found = true;
                    let epoch = state.namespace.active;
                    let after = after.with_rewrap_batch(path, |batch| {
                        *batch = Batch { fits: true, checks: true, epoch, flying: false };
                    });
                    next.add(WHO, "finds a head of another epoch, encrypts it again", after);
                }
            }
            Scan::Ready(path) => {
                let after = state
                    .with_scan(Scan::Waits(path))
                    .with_rewrap_batch(path, |batch| batch.flying = true);
                next.add(WHO, "sends it", after);
            }
            Scan::Waits(path) => {
                let batch = state.rewrap_batch(path);
                if batch.flying {
                    let (after, lands) = self.arrives(state, path, batch);
                    let after = after
                        .with_scan(Scan::At(path + 1))
                        .with_rewrap_batch(path, |batch| *batch = Batch::default());
                    let what = if lands { "is answered: done" } else { "is answered: refused" };
                    next.add(WHO, what, after);
                }
                next.add(WHO, "waits no longer", state.with_scan(Scan::At(path + 1)));
            }
        }
        if rewrap.scan != Scan::Idle {
            next.add(WHO, "dies", resting(state));
        }
    }

    fn scan_ends(&self, state: &State, next: &mut Next<State>) {
        const WHO: &str = "rewrap";
        let rewrap = state.rewrap;
        if rewrap.found && !self.is(Wrong::NoRescan) {
            next.add(WHO, "has found some: scans again", scans(state));
            return;
        }
        let aged = match self.guard {
            Guard::Check => true,
            Guard::Days => {
                self.is(Wrong::NoDays)
                    || (if self.is(Wrong::AgeAtEnd) { state.aged } else { rewrap.aged })
            }
        };
        let scanned = if self.is(Wrong::ScansTooEarly) {
            state.namespace.leaving()
        } else {
            rewrap.scanned & state.namespace.leaving()
        };
        let after = resting(state);
        if aged && scanned != 0 {
            let Namespace { active, living } = state.namespace;
            let after = after.with_namespace(active, living & !scanned);
            next.add(WHO, "destroys the epochs that it scanned for", after);
        } else {
            next.add(WHO, "leaves the epochs for later", after);
        }
    }

    fn network(&self, state: &State, next: &mut Next<State>) {
        // What arrives and is refused is as if it had not arrived: nobody need hear of it.
        const LANDS: &str = "arrives and takes effect; no reply comes back";
        for (path, writer) in state.writers.into_iter().enumerate() {
            if writer.batch.flying && self.lands(writer.batch) {
                let who = if path == 0 { "A's head" } else { "B's head" };
                let waits = matches!(writer.phase, Phase::Waits | Phase::WaitsAgain);
                next.saw("a batch landed late", !waits);
                let after = state.with_head(path, writer.batch.epoch);
                // A first send comes once, as long as its writer waits.
                let again = writer.phase != Phase::Waits;
                next.add(who, LANDS, after.with_writer(path, |writer| writer.batch.flying = again));
            }
            let batch = state.rewrap_batch(path);
            if batch.flying && self.lands(batch) {
                let after = state.with_head(path, batch.epoch);
                let after = after.with_rewrap_batch(path, |batch| *batch = Batch::default());
                next.add("rewrapped", LANDS, after);
            }
        }
    }

    fn admin(&self, state: &State, next: &mut Next<State>) {
        let Namespace { active, living } = state.namespace;
        if active < self.epochs {
            let mut after = state.with_namespace(active + 1, living | bit(active + 1));
            after.aged = false;
            next.add("admin", "rotates: a new epoch is active", after);
        }
        if self.guard == Guard::Days && !state.aged && state.namespace.active > 1 {
            let paused = |writer: &Writer| {
                matches!(writer.phase, Phase::Knows | Phase::Ready | Phase::DoubtsStill)
            };
            let paused = state.writers.iter().any(paused);
            if !paused && !matches!(state.rewrap.scan, Scan::Ready(_)) {
                // What was on its way has arrived by now, or is lost.
                let mut after = State { aged: true, ..*state };
                for path in 0..PATHS {
                    after.batches(path).for_each(|batch| batch.flying = false);
                }
                next.add("time", "30 days pass", after);
            }
        }
    }
}

/// A writer begins with what there is now.
fn begins(state: &State, path: usize) -> State {
    state.with_writer(path, |writer| {
        writer.phase = Phase::Begins;
        writer.tries += 1;
        writer.batch = Batch::default();
    })
}

fn scans(state: &State) -> State {
    let mut after = *state;
    let batches = state.rewrap.batches;
    let Namespace { active, .. } = state.namespace;
    after.rewrap = Rewrap {
        scan: Scan::At(0),
        active,
        scanned: state.namespace.leaving(),
        found: false,
        aged: state.aged,
        batches,
    };
    after
}

fn resting(state: &State) -> State {
    let batches = state.rewrap.batches;
    State { rewrap: Rewrap { batches, ..RESTS }, ..*state }
}

const RESTS: Rewrap = Rewrap {
    scan: Scan::Idle,
    active: 0,
    scanned: 0,
    found: false,
    aged: false,
    batches: [Batch { fits: false, checks: false, epoch: 0, flying: false }; PATHS],
};

impl Protocol for Destroy {
    type State = State;

    fn starts(&self) -> Vec<State> {
        let writer = Writer { phase: Phase::Begins, tries: 1, batch: Batch::default() };
        vec![State {
            namespace: Namespace { active: 1, living: bit(1) },
            heads: [0, 1],
            writers: [writer; PATHS],
            rewrap: RESTS,
            aged: false,
        }]
    }

    fn steps(&self, state: &State, next: &mut Next<State>) {
        for (path, writer) in state.writers.into_iter().enumerate() {
            self.writer(state, path, writer, next);
        }
        look(state, self.epochs, next);
        self.rewrap(state, next);
        self.network(state, next);
        self.admin(state, next);
    }

    fn fault(&self, state: &State) -> Option<&'static str> {
        // More than the promise, which is about acknowledged heads: whatever stands at a path and
        // does not open is in the way of all later writes there.
        let lost = |path: usize| {
            let head = state.head(path);
            head > 0 && state.namespace.living & bit(head) == 0
        };
        (0..PATHS).find(|path| lost(*path)).map(|path| {
            match state.writers.get(path).map(|writer| writer.phase) {
                Some(Phase::Acknowledged) => "an acknowledged head opens under no living epoch",
                _ => "a head opens under no living epoch",
            }
        })
    }

    /// What cannot land is as good as gone, and so is what nobody will send.
    fn plain(&self, mut state: State) -> State {
        for path in 0..PATHS {
            let scan = state.rewrap.scan;
            state = state.with_rewrap_batch(path, |batch| {
                let used = [Scan::Ready(path), Scan::Waits(path)].contains(&scan);
                let lands = batch.flying && self.lands(*batch);
                if !(used || lands) {
                    *batch = Batch::default();
                }
            });
            state = state.with_writer(path, |writer| {
                writer.batch.flying &= self.lands(writer.batch)
                    || matches!(writer.phase, Phase::Waits | Phase::WaitsAgain);
                if matches!(writer.phase, Phase::Acknowledged | Phase::Gone) {
                    writer.tries = 0;
                    if !writer.batch.flying {
                        writer.batch = Batch::default();
                    }
                }
            });
        }
        state
    }
}

fn look(state: &State, epochs: u8, next: &mut Next<State>) {
    let Namespace { living, .. } = state.namespace;
    let acknowledged = |writer: &Writer| writer.phase == Phase::Acknowledged;
    next.saw("both writers acknowledged", state.writers.iter().all(acknowledged));
    next.saw("all epochs but the last destroyed", living == bit(epochs));
    next.saw("heads of the first and the last epoch", state.heads == [epochs, 1]);
    let waits = |writer: &Writer| writer.tries > 1 && writer.phase == Phase::Waits;
    next.saw("a second try under a new epoch", state.writers.iter().any(waits));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::explore;

    fn right(guard: Guard, epochs: u8, sights: usize) {
        let explored = explore(&Destroy { guard, epochs, wrong: None });
        println!("{guard:?}: {explored}");
        assert!(explored.is_right(), "{explored}");
        assert_eq!(explored.seen.len(), sights, "{explored}");
    }

    #[test]
    fn no_head_loses_its_key_where_batches_check() {
        right(Guard::Check, 3, 6);
    }

    #[test]
    fn no_head_loses_its_key_where_epochs_stay_for_a_time() {
        right(Guard::Days, 2, 5);
    }

    #[test]
    fn each_wrong_way_is_caught() {
        for (guard, wrong) in Wrong::ALL {
            let explored = explore(&Destroy { guard, epochs: 2, wrong: Some(wrong) });
            println!("{wrong:?}: {explored}");
            assert!(explored.counterexample.is_some(), "{wrong:?}: {explored}");
        }
    }
}
