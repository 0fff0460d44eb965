//! A write whose reply is lost, and how it is found out what became of it.
//!
//! **Models** two processes that each put a version at one path, a namespace that may get new keys
//! or be destroyed meanwhile, a network that delivers late and again, and a crash at every step. A
//! process that lives settles what it is in doubt about by sending the same bytes again; the
//! intents of a dead one are settled by the next opener, who fences and may die of it too.
//!
//! **Stands for** `commit.rs` (intent, send, reply), `doubt.rs` (`send_again`, `lineage_of`,
//! `lost_or_unknown`), `settle.rs` (`settle_head`) and the loop of `replace.rs`.
//!
//! **Leaves out** blobs and epochs (each has a model of its own), expectations of the caller, and
//! power cuts: an intent that was recorded stays. A head remembers 2 writes, or only its own,
//! instead of 8: so "too long ago to tell" is within reach. A first send comes once, as long as its
//! writer waits: that is what the contract of a backend says ("none of it took effect"), and
//! [`Wrong::BackendResends`] shows what it is for.

use crate::explore::{Next, Protocol};

const NONE: u8 = 0;
/// Writes by id, from 1: two tries of A, one of B, and the openers' fences.
const A: u8 = 1;
const A_AGAIN: u8 = 2;
const B: u8 = 3;
const FENCES: [u8; 2] = [4, 5];
const WRITES: usize = 6;
const NAMES: [&str; WRITES] = ["", "A's put", "A's 2nd put", "B's put", "a fence", "2nd fence"];

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// In doubt, the head is read: what does not carry the write's id is taken for lost.
    ReadsOnly,
    /// In doubt, the put is made anew from the head of now.
    PutsAnew,
    /// The write sent again is refused: it is taken for lost, whatever the head says.
    RefusedIsLost,
    /// No head is there: the write is taken for lost, whatever the namespace says.
    AbsentIsLost,
    /// What a head does not remember is taken for lost, however long ago it was.
    ForgottenIsLost,
    /// The opener takes a head that is still behind for a proof that the write was lost.
    NoFence,
    /// The namespace record is not checked in the batch.
    NoCheck,
    /// A put expects nothing of the head that it replaces.
    NoExpectation,
    /// The backend sends a batch again by itself, and hands on the answer of the second.
    BackendResends,
}

impl Wrong {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::ReadsOnly,
        Self::PutsAnew,
        Self::RefusedIsLost,
        Self::AbsentIsLost,
        Self::ForgottenIsLost,
        Self::NoFence,
        Self::NoCheck,
        Self::NoExpectation,
        Self::BackendResends,
    ];
}

/// The protocol, right or wrong.
#[derive(Debug)]
pub(crate) struct Resolve {
    /// How many writes a head remembers, its own included: 1 or 2.
    pub(crate) remembers: u8,
    /// What is done wrong, if anything is.
    pub(crate) wrong: Option<Wrong>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Outcome {
    #[default]
    Open,
    Done,
    Lost,
    Unknown,
}

/// The head of the secret. Its revision is the id of the write that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Head {
    write: u8,
    /// The write before: with the own one, all that a head remembers.
    before: u8,
    seq: u8,
    next_version: u8,
}

/// The namespace record: its revision, and whether it still has keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Namespace {
    revision: u8,
    lives: bool,
}

/// One write: what is sent, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Write {
    /// Its intent is recorded.
    intended: bool,
    /// The revision of the head that it replaces.
    expects: u8,
    /// The revision of the namespace record that it checks.
    checks: u8,
    head: Head,
    /// The version that it makes; a fence makes none.
    version: u8,
    /// A copy is on its way, or several: the first that takes effect is the last.
    flying: bool,
    /// How often it took effect.
    landed: u8,
    /// What its caller heard.
    told: Outcome,
    /// What the log says.
    recorded: Outcome,
    /// Its process is dead, and nobody has settled it.
    orphan: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Begins,
    /// Has read the namespace record.
    Knows(u8),
    /// Has recorded its intent.
    Intends,
    Waits,
    Doubts,
    /// Has sent the same bytes again.
    WaitsAgain,
    /// What was sent again was refused.
    Refused,
    /// Has read the head, which says so; `Open` where there is none.
    Read(Outcome),
    /// Knows and has told, and has still to record it.
    Told,
    Ended,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Writer {
    phase: Phase,
    write: u8,
}

/// The process that opens the store, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Opener {
    Idle,
    /// Settles that write, and has read the namespace record.
    Knows(u8, u8),
    /// Settles the first by the second, which is recorded and not sent.
    Fences(u8, u8),
    Waits(u8, u8),
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    namespace: Namespace,
    head: Head,
    writes: [Write; WRITES],
    writers: [Writer; 2],
    opener: Opener,
    /// Something replaced a head that it had not seen.
    overwrote: bool,
    /// Something landed where the namespace was destroyed.
    buried: bool,
}

impl State {
    fn write(&self, id: u8) -> Write {
        self.writes.get(usize::from(id)).copied().unwrap_or_default()
    }

    fn with(mut self, id: u8, change: impl FnOnce(&mut Write)) -> Self {
        if let Some(write) = self.writes.get_mut(usize::from(id)) {
            change(write);
        }
        self
    }

    fn with_phase(mut self, at: usize, phase: Phase) -> Self {
        if let Some(writer) = self.writers.get_mut(at) {
            writer.phase = phase;
        }
        self
    }

    fn sends(self, id: u8) -> Self {
        self.with(id, |write| write.flying = true)
    }

    fn records(self, id: u8, outcome: Outcome) -> Self {
        self.with(id, |write| {
            write.recorded = outcome;
            write.orphan = false;
        })
    }

    fn orphans(self, id: u8) -> Self {
        self.with(id, |write| {
            write.orphan = write.intended && write.recorded == Outcome::Open;
        })
    }

    /// The head that this write makes of the one that is there.
    fn drafts(self, id: u8, checks: u8, puts: bool) -> Self {
        let old = self.head;
        let version = old.next_version.max(1);
        let next_version = if puts { version + 1 } else { version };
        let head = Head { write: id, before: old.write, seq: old.seq + 1, next_version };
        let version = if puts { version } else { NONE };
        self.with(id, |write| {
            *write = Write { intended: true, expects: old.write, checks, head, version, ..*write };
        })
    }
}

impl Resolve {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    /// What the head says of a write.
    fn says(&self, head: Head, write: Write) -> Outcome {
        let id = write.head.write;
        if head.write == id || (self.remembers > 1 && head.before == id) {
            Outcome::Done
        } else if self.is(Wrong::ForgottenIsLost)
            || head.seq.saturating_sub(write.head.seq) < self.remembers
        {
            Outcome::Lost
        } else {
            Outcome::Unknown
        }
    }

    /// One copy arrives. Whether it took effect.
    fn arrives(&self, state: &State, id: u8) -> (State, bool) {
        let write = state.write(id);
        let expected = write.expects == state.head.write || self.is(Wrong::NoExpectation);
        let checked = write.checks == state.namespace.revision || self.is(Wrong::NoCheck);
        if !expected || !checked {
            return (*state, false);
        }
        let mut after = *state;
        after.head = write.head;
        after.overwrote |= write.expects != state.head.write;
        after.buried |= !state.namespace.lives;
        (after.with(id, |write| write.landed += 1), true)
    }

    /// Whether a copy that is on its way may take effect, now or later.
    fn may_land(&self, state: &State, write: Write) -> bool {
        // A head that is gone with its namespace is as absent as one that never was.
        let expected = [state.head.write, NONE].contains(&write.expects);
        let checked = write.checks == state.namespace.revision;
        (expected || self.is(Wrong::NoExpectation)) && (checked || self.is(Wrong::NoCheck))
    }

    fn network(&self, state: &State, next: &mut Next<State>) {
        for (id, name) in (0_u8..).zip(NAMES).skip(1) {
            if !state.write(id).flying {
                continue;
            }
            let (after, lands) = self.arrives(state, id);
            if !lands {
                // As if it had not arrived: whoever waits for an answer need not get one.
                continue;
            }
            next.saw("a write landed late", !state.is_awaited(id));
            // A first send comes once, as long as its writer waits; what is sent again may come
            // again, and so may what nobody waits for.
            let first = state.is_awaited(id) && !state.is_awaited_again(id);
            let comes_again = !first || self.is(Wrong::BackendResends);
            let after = after.with(id, |write| write.flying = comes_again);
            next.add(name, "arrives and takes effect; no reply comes back", after);
        }
    }

    fn admin(state: &State, next: &mut Next<State>) {
        let Namespace { revision, lives } = state.namespace;
        let mut after = *state;
        if lives {
            if revision == 0 {
                after.namespace.revision = 1;
                next.add("admin", "gives the namespace new keys", after);
            }
            after.namespace = Namespace { revision: 2, lives: false };
            next.add("admin", "destroys the namespace", after);
        } else if state.head.write != NONE {
            after.head = Head::default();
            next.add("admin", "erases the heads of the destroyed namespace", after);
        }
    }

    fn writer(&self, state: &State, at: usize, writer: Writer, next: &mut Next<State>) {
        let who = if at == 0 { "writer A" } else { "writer B" };
        let id = writer.write;
        let write = state.write(id);
        let to = |phase| state.with_phase(at, phase);
        let tells = |outcome| to(Phase::Told).with(id, |write| write.told = outcome);
        match writer.phase {
            Phase::Begins if state.namespace.lives => {
                let knows = Phase::Knows(state.namespace.revision);
                next.add(who, "reads the namespace record", to(knows));
            }
            Phase::Begins => next.add(who, "finds no namespace", to(Phase::Ended)),
            Phase::Knows(checks) => {
                let after = to(Phase::Intends).drafts(id, checks, true);
                next.add(who, "reads the head and records its intent", after);
            }
            Phase::Intends => next.add(who, "sends it", to(Phase::Waits).sends(id)),
            Phase::Waits => {
                if write.flying {
                    let (after, lands) = self.arrives(state, id);
                    let outcome = if lands { Outcome::Done } else { Outcome::Lost };
                    let after =
                        after.with_phase(at, Phase::Told).with(id, |write| write.told = outcome);
                    let what = if lands { "is answered: done" } else { "is answered: refused" };
                    next.add(who, what, after);
                }
                next.add(who, "waits no longer", to(Phase::Doubts));
            }
            Phase::Doubts if self.is(Wrong::ReadsOnly) => {
                next.add(who, "looks instead of sending again", to(Phase::Refused));
            }
            Phase::Doubts if self.is(Wrong::PutsAnew) => {
                if let Some(after) = again(state, at, writer) {
                    next.add(who, "begins anew", after);
                }
            }
            Phase::Doubts => {
                next.add(who, "sends the same bytes again", to(Phase::WaitsAgain).sends(id));
            }
            Phase::WaitsAgain => {
                if write.flying {
                    let (after, lands) = self.arrives(state, id);
                    if lands {
                        let after = after
                            .with_phase(at, Phase::Told)
                            .with(id, |write| write.told = Outcome::Done);
                        next.add(who, "is answered: done", after);
                    } else {
                        let after = after.with_phase(at, Phase::Refused);
                        next.add(who, "is answered: refused", after);
                    }
                }
                next.add(who, "waits no longer", to(Phase::Doubts));
            }
            Phase::Refused if self.is(Wrong::RefusedIsLost) => {
                next.add(who, "says that it is lost", tells(Outcome::Lost));
            }
            Phase::Refused if state.head.write == NONE => {
                if self.is(Wrong::AbsentIsLost) {
                    next.add(who, "finds no head, says that it is lost", tells(Outcome::Lost));
                } else {
                    next.add(who, "finds no head", to(Phase::Read(Outcome::Open)));
                }
            }
            Phase::Refused => {
                let says = self.says(state.head, write);
                next.add(who, "reads the head", to(Phase::Read(says)));
            }
            Phase::Read(_) if !state.namespace.lives => {
                next.add(who, "finds no namespace: not known", tells(Outcome::Unknown));
            }
            Phase::Read(says) => {
                let outcome = if says == Outcome::Open { Outcome::Lost } else { says };
                let what = match outcome {
                    Outcome::Done => "says that it is done",
                    Outcome::Unknown => "says that it is not known",
                    _ => "says that it is lost",
                };
                next.add(who, what, tells(outcome));
            }
            Phase::Told => {
                let recorded = state.records(id, write.told);
                let after = match (write.told, again(&recorded, at, writer)) {
                    (Outcome::Lost, Some(after)) => after,
                    _ => recorded.with_phase(at, Phase::Ended),
                };
                next.add(who, "records the outcome", after);
            }
            Phase::Ended | Phase::Dead => {}
        }
        if !matches!(writer.phase, Phase::Begins | Phase::Ended | Phase::Dead) {
            next.add(who, "dies", to(Phase::Dead).orphans(id));
        }
    }

    fn opener(&self, state: &State, next: &mut Next<State>) {
        let to = |opener| State { opener, ..*state };
        match state.opener {
            Opener::Idle => {
                let orphans = (0_u8..).zip(&state.writes).filter(|(_, write)| write.orphan);
                for (id, _) in orphans {
                    if state.namespace.lives {
                        let knows = Opener::Knows(id, state.namespace.revision);
                        let what = "locks the dead log, reads the namespace record";
                        next.add("opener", what, to(knows));
                    } else {
                        let after = state.records(id, Outcome::Unknown);
                        next.add("opener", "finds no namespace: not known", after);
                    }
                }
            }
            Opener::Knows(id, checks) => {
                let write = state.write(id);
                let says = self.says(state.head, write);
                let behind = state.head.seq < write.head.seq && says != Outcome::Done;
                if behind && !self.is(Wrong::NoFence) {
                    let free = FENCES.into_iter().find(|fence| !state.write(*fence).intended);
                    if let Some(fence) = free {
                        let after = to(Opener::Fences(id, fence)).drafts(fence, checks, false);
                        next.add("opener", "finds the head behind, records a fence", after);
                    }
                } else {
                    let what = match says {
                        Outcome::Done => "finds the write in the head: done",
                        Outcome::Unknown => "finds a head that is far past it: not known",
                        _ => "does not find the write in the head: lost",
                    };
                    next.add("opener", what, to(Opener::Idle).records(id, says));
                }
            }
            Opener::Fences(id, fence) => {
                next.add("opener", "sends the fence", to(Opener::Waits(id, fence)).sends(fence));
            }
            Opener::Waits(_, fence) => {
                if state.write(fence).flying {
                    let (mut after, lands) = self.arrives(state, fence);
                    next.saw("a fence landed", lands);
                    let outcome = if lands { Outcome::Done } else { Outcome::Lost };
                    after = after.with(fence, |write| write.flying = false);
                    after = after.records(fence, outcome);
                    // It looks again, at the namespace first.
                    after.opener = Opener::Idle;
                    let what = if lands { "hears: fenced" } else { "hears: refused" };
                    next.add("opener", what, after);
                }
            }
        }
        let fence = match state.opener {
            Opener::Idle => return,
            Opener::Knows(..) => NONE,
            Opener::Fences(_, fence) | Opener::Waits(_, fence) => fence,
        };
        next.add("opener", "dies", to(Opener::Idle).orphans(fence));
    }
}

impl State {
    /// Whether somebody still waits for an answer to that write.
    fn is_awaited(&self, id: u8) -> bool {
        let waits = |phase| matches!(phase, Phase::Waits | Phase::WaitsAgain);
        self.writers.iter().any(|writer| writer.write == id && waits(writer.phase))
            || matches!(self.opener, Opener::Waits(_, fence) if fence == id)
    }

    fn is_awaited_again(&self, id: u8) -> bool {
        let again = |writer: &Writer| writer.write == id && writer.phase == Phase::WaitsAgain;
        self.writers.iter().any(again)
    }
}

/// The writer begins its next try, if it has one.
fn again(state: &State, at: usize, writer: Writer) -> Option<State> {
    let mut after = *state;
    let next = (writer.write == A).then_some(A_AGAIN)?;
    *after.writers.get_mut(at)? = Writer { phase: Phase::Begins, write: next };
    Some(after)
}

impl Protocol for Resolve {
    type State = State;

    fn starts(&self) -> Vec<State> {
        let writer = |write| Writer { phase: Phase::Begins, write };
        vec![State {
            namespace: Namespace { revision: 0, lives: true },
            head: Head::default(),
            writes: [Write::default(); WRITES],
            writers: [writer(A), writer(B)],
            opener: Opener::Idle,
            overwrote: false,
            buried: false,
        }]
    }

    fn steps(&self, state: &State, next: &mut Next<State>) {
        for (at, writer) in state.writers.into_iter().enumerate() {
            self.writer(state, at, writer, next);
        }
        self.opener(state, next);
        self.look(state, next);
        self.network(state, next);
        Self::admin(state, next);
    }

    fn fault(&self, state: &State) -> Option<&'static str> {
        let says = |write: &Write, outcome| write.told == outcome || write.recorded == outcome;
        for write in &state.writes {
            if write.landed > 1 {
                return Some("one write took effect twice");
            }
            if says(write, Outcome::Done) && write.landed == 0 {
                return Some("reported done, and it never happened");
            }
            if says(write, Outcome::Lost) && write.landed > 0 {
                return Some("reported lost, and it took effect");
            }
            let other = |other: &Write| other.landed > 0 && other.head.write != write.head.write;
            let same = |other: &Write| other.version == write.version;
            if write.landed > 0
                && write.version != NONE
                && state.writes.iter().any(|one| other(one) && same(one))
            {
                return Some("a version was given twice");
            }
        }
        if state.write(A).landed > 0 && state.write(A_AGAIN).landed > 0 {
            return Some("one put became two versions");
        }
        if state.overwrote {
            return Some("a head was replaced that the writer had not seen");
        }
        state.buried.then_some("a write took effect in a destroyed namespace")
    }

    /// What has an outcome is not looked at again, and what cannot land is as good as gone.
    fn plain(&self, mut state: State) -> State {
        for id in 1..WRITES {
            let id = u8::try_from(id).unwrap_or_default();
            let write = state.write(id);
            let may_land = write.flying && self.may_land(&state, write);
            let awaited = state.is_awaited(id);
            state = state.with(id, |write| {
                write.flying &= may_land || awaited;
                if write.recorded != Outcome::Open && !write.flying {
                    (write.expects, write.checks) = (NONE, 0);
                    write.head = Head { write: id, ..Head::default() };
                }
            });
        }
        state
    }
}

impl Resolve {
    fn look(&self, state: &State, next: &mut Next<State>) {
        let told = |id, outcome| state.write(id).told == outcome;
        let died = |id| {
            let dead = |writer: &Writer| writer.write == id && writer.phase == Phase::Dead;
            state.writers.iter().any(dead)
        };
        let settled = |id, outcome| died(id) && state.write(id).recorded == outcome;
        let both_done = told(A, Outcome::Done) && told(B, Outcome::Done);
        next.saw("both writers were told: done", both_done);
        let second = told(A, Outcome::Lost) && told(A_AGAIN, Outcome::Done);
        next.saw("lost, put again, done", second);
        let unknown = told(A, Outcome::Unknown);
        next.saw("a writer was told: not known", unknown);
        let forgotten = unknown && state.namespace.lives;
        next.saw("not known where the namespace lives", forgotten && self.remembers == 1);
        next.saw("the opener recorded: done", settled(A, Outcome::Done));
        next.saw("the opener recorded: lost", settled(A, Outcome::Lost));
        next.saw("the opener recorded: not known", settled(A, Outcome::Unknown));
        next.saw("a fence was an orphan", state.write(4).orphan);
        let both = |outcome| settled(A, outcome) && settled(B, outcome);
        next.saw("both writers died and were settled: lost", both(Outcome::Lost));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::explore;

    #[test]
    fn what_is_reported_is_what_happened() {
        let explored = explore(&Resolve { remembers: 2, wrong: None });
        println!("{explored}");
        assert!(explored.is_right(), "{explored}");
        assert_eq!(explored.seen.len(), 10, "{explored}");
    }

    #[test]
    fn so_it_is_where_a_head_forgets_soon() {
        let explored = explore(&Resolve { remembers: 1, wrong: None });
        println!("{explored}");
        assert!(explored.is_right(), "{explored}");
        assert_eq!(explored.seen.len(), 11, "{explored}");
    }

    #[test]
    fn each_wrong_way_is_caught() {
        for wrong in Wrong::ALL {
            let explored = explore(&Resolve { remembers: 1, wrong: Some(wrong) });
            println!("{wrong:?}: {explored}");
            assert!(explored.counterexample.is_some(), "{wrong:?}: {explored}");
        }
    }
}
