//! A secret that is purged and put again, and versions that never come back.
//!
//! **Models** two writers that put, one of them twice, one that purges twice, and a host that
//! remembers which version it saw and later asks for "still that one". Replies are lost, copies
//! arrive late, what is in doubt is sent again, and everybody may be paused for ever, which is to
//! die.
//!
//! **Stands for** `edit.rs` (`put`, `purge`, `check_expected`) and the expectation in `replace.rs`.
//!
//! **Leaves out** how a writer in doubt finds out (see `resolve`: here it knows), keys, blobs, and
//! destroyed namespaces: one that is created again has another id, and other storage keys.

use crate::explore::{Next, Protocol};

const NONE: u8 = 0;
/// Writes by id, from 1: two puts, another, two purges.
const WRITES: usize = 6;
const NAMES: [&str; WRITES] = ["", "A's put", "A's 2nd put", "B's put", "purge", "2nd purge"];
const ACTORS: [&str; 3] = ["writer A", "writer B", "purger"];
/// Where each actor's writes begin and end.
const FROM_TO: [(u8, u8); 3] = [(1, 2), (3, 3), (4, 5)];
const FIRST_PURGE: u8 = 4;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A purge deletes the record, if it is still the one that was seen.
    Deletes,
    /// A purge leaves a tombstone that does not count on.
    ForgetsCount,
    /// Tombstones are swept.
    SweepsTombstones,
}

impl Wrong {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Deletes, Self::ForgetsCount, Self::SweepsTombstones];
}

/// The protocol, right or wrong.
#[derive(Debug)]
pub(crate) struct Purge {
    /// What is done wrong, if anything is.
    pub(crate) wrong: Option<Wrong>,
}

/// The record of the secret. Its revision is the id of the write that made it; 0 is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Record {
    write: u8,
    next_version: u8,
    /// The current version; a tombstone has none.
    current: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Write {
    expects: u8,
    record: Record,
    /// A copy is on its way, or several.
    flying: bool,
    landed: u8,
    lost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Begins,
    Ready,
    Waits,
    Doubts,
    WaitsAgain,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Actor {
    phase: Phase,
    write: u8,
}

/// The host that compares versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Host {
    Begins,
    /// Saw that version, of that write.
    Saw(u8, u8),
    Ended,
    /// The version was the same, and the value another.
    Deceived,
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    record: Record,
    writes: [Write; WRITES],
    actors: [Actor; 3],
    host: Host,
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
        if let Some(actor) = self.actors.get_mut(at) {
            actor.phase = phase;
        }
        self
    }

    /// The phase of the one whose write that is, if it is still at it.
    fn phase_of(&self, id: u8) -> Phase {
        let actor = self.actors.iter().find(|actor| actor.write == id);
        actor.map_or(Phase::Ended, |actor| actor.phase)
    }
}

impl Purge {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    /// The record that a write makes of the one that is there; `None` where there is nothing to do.
    fn makes(&self, old: Record, id: u8) -> Option<Record> {
        let version = old.next_version.max(1);
        if id < FIRST_PURGE {
            return Some(Record { write: id, next_version: version + 1, current: version });
        }
        if old.current == NONE {
            return None;
        }
        Some(match self.wrong {
            Some(Wrong::Deletes) => Record::default(),
            Some(Wrong::ForgetsCount) => Record { write: id, next_version: 1, current: NONE },
            _ => Record { write: id, next_version: version, current: NONE },
        })
    }

    fn actor(&self, state: &State, at: usize, actor: Actor, next: &mut Next<State>) {
        let who = ACTORS.get(at).copied().unwrap_or_default();
        let id = actor.write;
        let write = state.write(id);
        let to = |phase| state.with_phase(at, phase);
        match actor.phase {
            Phase::Begins => match self.makes(state.record, id) {
                Some(record) => {
                    let expects = state.record.write;
                    let after = to(Phase::Ready).with(id, |write| {
                        write.expects = expects;
                        write.record = record;
                    });
                    next.add(who, "reads the record, makes the next one", after);
                }
                None => next.add(who, "finds nothing to purge", goes_on(state, at, actor)),
            },
            Phase::Ready => {
                let after = to(Phase::Waits).with(id, |write| write.flying = true);
                next.add(who, "sends it", after);
            }
            Phase::Waits | Phase::WaitsAgain => {
                if write.flying {
                    let (after, lands) = arrives(state, id);
                    let lost = !lands && write.landed == 0;
                    let after = after.with(id, |write| (write.lost, write.flying) = (lost, false));
                    let what = if lands { "is answered: done" } else { "is answered: refused" };
                    next.add(who, what, goes_on(&after, at, actor));
                }
                next.add(who, "waits no longer", to(Phase::Doubts));
            }
            Phase::Doubts => {
                let after = to(Phase::WaitsAgain).with(id, |write| write.flying = true);
                next.add(who, "sends the same bytes again", after);
            }
            Phase::Ended => {}
        }
    }

    fn others(&self, state: &State, next: &mut Next<State>) {
        for (id, name) in (0_u8..).zip(NAMES) {
            let (after, lands) = arrives(state, id);
            // What arrives and is refused is as if it had not arrived.
            if state.write(id).flying && lands {
                let phase = state.phase_of(id);
                next.saw("a copy landed late", !matches!(phase, Phase::Waits | Phase::WaitsAgain));
                // A first send comes once, as long as its writer waits.
                let after = after.with(id, |write| write.flying = phase != Phase::Waits);
                next.add(name, "arrives and takes effect; no reply comes back", after);
            }
        }
        let record = state.record;
        match state.host {
            Host::Begins if record.current != NONE => {
                let host = Host::Saw(record.current, record.write);
                let after = State { host, ..*state };
                next.add("host", "reads the current version", after);
            }
            Host::Saw(version, write) => {
                let (same, still) = (record.current == version, record.write == write);
                next.saw("the host found its version", same);
                next.saw("the host found another version", !same);
                let host = if same && !still { Host::Deceived } else { Host::Ended };
                let what = "puts, expecting the version that it saw";
                next.add("host", what, State { host, ..*state });
            }
            _ => {}
        }
        let is_tombstone = record.write != NONE && record.current == NONE;
        if is_tombstone && self.is(Wrong::SweepsTombstones) {
            let after = State { record: Record::default(), ..*state };
            next.add("sweep", "erases the tombstone", after);
        }
    }
}

/// A copy arrives. Whether it took effect.
fn arrives(state: &State, id: u8) -> (State, bool) {
    let write = state.write(id);
    if write.expects != state.record.write {
        return (*state, false);
    }
    let mut after = *state;
    after.record = write.record;
    (after.with(id, |write| write.landed += 1), true)
}

/// The actor begins its next write, if it has one.
fn goes_on(state: &State, at: usize, actor: Actor) -> State {
    let mut after = *state;
    let last = FROM_TO.get(at).is_none_or(|(_, last)| actor.write == *last);
    if let Some(place) = after.actors.get_mut(at) {
        *place = if last {
            Actor { phase: Phase::Ended, ..actor }
        } else {
            Actor { phase: Phase::Begins, write: actor.write + 1 }
        };
    }
    after
}

impl Protocol for Purge {
    type State = State;

    fn starts(&self) -> Vec<State> {
        vec![State {
            record: Record::default(),
            writes: [Write::default(); WRITES],
            actors: FROM_TO.map(|(write, _)| Actor { phase: Phase::Begins, write }),
            host: Host::Begins,
        }]
    }

    fn steps(&self, state: &State, next: &mut Next<State>) {
        for (at, actor) in state.actors.into_iter().enumerate() {
            self.actor(state, at, actor, next);
        }
        look(state, next);
        self.others(state, next);
    }

    fn fault(&self, state: &State) -> Option<&'static str> {
        let puts = || (1..FIRST_PURGE).map(|id| (id, state.write(id)));
        for (id, put) in puts() {
            if put.landed > 1 {
                return Some("one put took effect twice");
            }
            if put.lost && put.landed > 0 {
                return Some("reported lost, and it took effect");
            }
            let version = put.record.current;
            let same = |(other, write): (u8, Write)| {
                other < id && write.landed > 0 && write.record.current == version
            };
            if put.landed > 0 && puts().any(same) {
                return Some("a version was given twice");
            }
        }
        (state.host == Host::Deceived)
            .then_some("the version is the one that was seen, the value is not")
    }

    /// What cannot land is as good as gone.
    fn plain(&self, mut state: State) -> State {
        for id in 1..WRITES {
            let id = u8::try_from(id).unwrap_or_default();
            let phase = state.phase_of(id);
            let expects = state.write(id).expects;
            // Only where records are deleted, there may be none again.
            let deletes = self.is(Wrong::Deletes) || self.is(Wrong::SweepsTombstones);
            let expected = expects == state.record.write || (deletes && expects == NONE);
            state = state.with(id, |write| {
                write.flying &= expected || matches!(phase, Phase::Waits | Phase::WaitsAgain);
                if phase == Phase::Ended && !write.flying {
                    write.expects = NONE;
                    write.record = Record { current: write.record.current, ..Record::default() };
                }
            });
        }
        state
    }
}

fn look(state: &State, next: &mut Next<State>) {
    let landed = |id| state.write(id).landed > 0;
    next.saw("all three puts and both purges", (1..6).all(landed));
    next.saw("a purged secret put again", landed(FIRST_PURGE) && state.record.current > 1);
    next.saw("a tombstone", state.record.write == FIRST_PURGE && state.record.current == NONE);
    next.saw("a put lost", state.write(3).lost);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::explore;

    #[test]
    fn no_version_comes_back() {
        let explored = explore(&Purge { wrong: None });
        println!("{explored}");
        assert!(explored.is_right(), "{explored}");
        assert_eq!(explored.seen.len(), 7, "{explored}");
    }

    #[test]
    fn each_wrong_way_is_caught() {
        for wrong in Wrong::ALL {
            let explored = explore(&Purge { wrong: Some(wrong) });
            println!("{wrong:?}: {explored}");
            assert!(explored.counterexample.is_some(), "{wrong:?}: {explored}");
        }
    }
}
