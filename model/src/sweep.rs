//! A sweep that erases blobs beside those who write them.
//!
//! **Models** two writers that each put one large value at one path, with a second try after a lost
//! race; a sweep that lists blobs, reads the head, and erases, again and again; and one fence, even
//! for a writer that lives. Everybody may be paused between any two steps, for ever too, which is
//! to die; heads and blobs may arrive at any later moment. Either all of a put goes in one batch,
//! or its blob goes before.
//!
//! **Stands for** `sweep.rs` (`sweep`, `garbage`), `commit.rs` (`write_blobs`), `doubt.rs`
//! (`erase_unnamed`), `edit.rs` (`blob`), and `garbage.rs`, where a put erases what it replaced.
//!
//! **Leaves out** how a writer in doubt finds out (see `resolve`: here it knows), blobs of several
//! parts, namespaces, and readers, who look again where a blob is gone. A secret keeps one version.

use crate::explore::{Next, Protocol};

const WRITERS: [&str; 2] = ["writer A", "writer B"];
const HEADS: [&str; 2] = ["A's head", "B's head"];
const BLOB_PUTS: [&str; 2] = ["A's blob", "B's blob"];
/// How often each writer tries.
const TRIES: u8 = 2;
/// Blobs by number: none, the one that is there at the start, two of each writer.
const NONE: u8 = 0;
const FIRST: u8 = 1;
const BLOBS: usize = 6;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// After a lost race the blob, and its tag, are used again.
    KeepsBlob,
    /// Whatever the head does not name is garbage.
    NoTag,
    /// A blob is tagged with the number of the head that is replaced.
    TagOfOldHead,
    /// A writer that was not answered erases its blob.
    ErasesInDoubt,
    /// What the new head will not name is erased before it is in force.
    ErasesFirst,
}

impl Wrong {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::KeepsBlob, Self::NoTag, Self::TagOfOldHead, Self::ErasesInDoubt, Self::ErasesFirst];
}

/// The protocol, right or wrong.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// Whether head and blob go in one batch.
    pub(crate) together: bool,
    /// Whether the sweep reads the head before it lists the blobs.
    pub(crate) head_first: bool,
    /// What is done wrong, if anything is.
    pub(crate) wrong: Option<Wrong>,
}

/// The head. Its seq is its revision too: no head is ever deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Head {
    seq: u8,
    names: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Blob {
    tag: u8,
    flying: bool,
    there: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Begins,
    /// Has read the head and recorded the intent.
    Intends,
    /// Waits for the blob to be written.
    WaitsForBlob,
    /// The blob is there.
    Ready,
    Waits,
    Doubts,
    WaitsAgain,
    /// The blob was perhaps written, and the head will not be sent: it is to be erased.
    GivesUp,
    /// It was refused: what was written for it is to be erased.
    Lost,
    /// It took effect: what it replaced is to be erased.
    Done,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Writer {
    phase: Phase,
    tries: u8,
    blob: u8,
    /// The head that it replaces.
    expects: u8,
    /// The blob that the head names which it replaces.
    drops: u8,
    /// A copy of the head is on its way, or several.
    flying: bool,
    landed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scan {
    Idle,
    /// Has listed these blobs.
    Listed([bool; BLOBS]),
    /// Has read that head.
    Read(Head),
    /// Has found that these are garbage.
    Erases([bool; BLOBS]),
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    head: Head,
    blobs: [Blob; BLOBS],
    writers: [Writer; 2],
    scan: Scan,
    fenced: bool,
}

impl State {
    fn blob(&self, number: u8) -> Blob {
        self.blobs.get(usize::from(number)).copied().unwrap_or_default()
    }

    fn with_blob(mut self, number: u8, change: impl FnOnce(&mut Blob)) -> Self {
        if let Some(blob) = self.blobs.get_mut(usize::from(number)) {
            change(blob);
        }
        self
    }

    fn with_writer(mut self, at: usize, change: impl FnOnce(&mut Writer)) -> Self {
        if let Some(writer) = self.writers.get_mut(at) {
            change(writer);
        }
        self
    }

    fn with_phase(self, at: usize, phase: Phase) -> Self {
        self.with_writer(at, |writer| writer.phase = phase)
    }

    fn erases(self, number: u8) -> Self {
        self.with_blob(number, |blob| blob.there = false)
    }
}

impl Sweep {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    /// A copy of a head arrives. Whether it took effect.
    fn arrives(&self, state: &State, at: usize, writer: Writer) -> (State, bool) {
        if writer.expects != state.head.seq {
            return (*state, false);
        }
        let mut after = *state;
        after.head = Head { seq: writer.expects + 1, names: writer.blob };
        if self.together {
            after = after.with_blob(writer.blob, |blob| blob.there = true);
        }
        (after.with_writer(at, |writer| writer.landed = true), true)
    }

    fn writer(&self, state: &State, at: usize, writer: Writer, next: &mut Next<State>) {
        let who = WRITERS.get(at).copied().unwrap_or_default();
        let to = |phase| state.with_phase(at, phase);
        match writer.phase {
            Phase::Begins => {
                let Head { seq, names } = state.head;
                let kept = self.is(Wrong::KeepsBlob) && writer.tries > 1;
                let tag = if self.is(Wrong::TagOfOldHead) { seq } else { seq + 1 };
                let mut after = to(Phase::Intends).with_writer(at, |writer| {
                    writer.expects = seq;
                    writer.drops = names;
                });
                if kept {
                    after = after.with_phase(at, Phase::Ready);
                } else {
                    let blob = first_blob(at) + writer.tries - 1;
                    after = after.with_writer(at, |writer| writer.blob = blob);
                    after = after.with_blob(blob, |blob| blob.tag = tag);
                }
                next.add(who, "reads the head, makes the next one and its blob", after);
            }
            Phase::Intends if self.together => {
                let after = to(Phase::Waits).with_writer(at, |writer| writer.flying = true);
                next.add(who, "sends both", after);
            }
            Phase::Intends => {
                let after = to(Phase::WaitsForBlob);
                let after = after.with_blob(writer.blob, |blob| blob.flying = true);
                next.add(who, "sends the blob", after);
            }
            Phase::WaitsForBlob => {
                if state.blob(writer.blob).flying {
                    let after = lands(&to(Phase::Ready), writer.blob);
                    next.add(who, "hears that its blob is written", after);
                }
                next.add(who, "waits no longer, gives up", to(Phase::GivesUp));
            }
            Phase::Ready => {
                let mut after = to(Phase::Waits).with_writer(at, |writer| writer.flying = true);
                if self.is(Wrong::ErasesFirst) {
                    after = after.erases(writer.drops);
                }
                next.add(who, "sends the head", after);
            }
            Phase::Waits | Phase::WaitsAgain => {
                if writer.flying {
                    let (after, lands) = self.arrives(state, at, writer);
                    let after = after.with_writer(at, |writer| writer.flying = false);
                    let done = lands || writer.landed;
                    let phase = if done { Phase::Done } else { Phase::Lost };
                    let what = if lands { "is answered: done" } else { "is answered: refused" };
                    next.add(who, what, after.with_phase(at, phase));
                }
                let mut after = to(Phase::Doubts);
                if self.is(Wrong::ErasesInDoubt) {
                    after = after.erases(writer.blob);
                }
                next.add(who, "waits no longer", after);
            }
            Phase::Doubts => {
                let after = to(Phase::WaitsAgain).with_writer(at, |writer| writer.flying = true);
                next.add(who, "sends the same bytes again", after);
            }
            Phase::GivesUp => {
                let after = to(Phase::Ended).erases(writer.blob);
                next.add(who, "erases its blob", after);
            }
            Phase::Lost => {
                let retries = writer.tries < TRIES;
                if self.is(Wrong::KeepsBlob) && retries {
                    next.add(who, "begins again with its blob", begins(state, at));
                } else {
                    let erased = state.erases(writer.blob);
                    let after = if retries {
                        begins(&erased, at)
                    } else {
                        erased.with_phase(at, Phase::Ended)
                    };
                    next.add(who, "erases its blob", after);
                }
            }
            Phase::Done => {
                let after = to(Phase::Ended).erases(writer.drops);
                next.add(who, "erases what it replaced", after);
            }
            Phase::Ended => {}
        }
    }

    fn network(&self, state: &State, next: &mut Next<State>) {
        for (at, writer) in state.writers.into_iter().enumerate() {
            let (after, landed) = self.arrives(state, at, writer);
            // What arrives and is refused is as if it had not arrived.
            if writer.flying && landed {
                let who = HEADS.get(at).copied().unwrap_or_default();
                let late = !matches!(writer.phase, Phase::Waits | Phase::WaitsAgain);
                next.saw("a head landed late", late);
                // A first send comes once, as long as its writer waits.
                let again = writer.phase != Phase::Waits;
                let after = after.with_writer(at, |writer| writer.flying = again);
                next.add(who, "arrives and takes effect; no reply comes back", after);
            }
            let who = BLOB_PUTS.get(at).copied().unwrap_or_default();
            for blob in first_blob(at)..first_blob(at) + TRIES {
                if state.blob(blob).flying {
                    next.add(who, "arrives; no reply comes back", lands(state, blob));
                }
            }
        }
        let intends = |writer: &Writer| !matches!(writer.phase, Phase::Begins | Phase::Ended);
        if !state.fenced && state.writers.iter().any(intends) {
            let mut after = State { fenced: true, ..*state };
            after.head.seq += 1;
            next.add("opener", "takes a writer for dead, swaps the head onto itself", after);
        }
    }

    fn sweep(&self, state: &State, next: &mut Next<State>) {
        const WHO: &str = "sweep";
        let to = |scan| State { scan, ..*state };
        match state.scan {
            Scan::Idle if self.head_first => {
                next.add(WHO, "reads the head", to(Scan::Read(state.head)));
            }
            Scan::Idle => {
                next.add(WHO, "lists the blobs", to(Scan::Listed(listed(state))));
            }
            Scan::Listed(blobs) => {
                let garbage = self.garbage(state, state.head, blobs);
                next.add(WHO, "reads the head", to(Scan::Erases(garbage)));
            }
            Scan::Read(head) => {
                let garbage = self.garbage(state, head, listed(state));
                next.add(WHO, "lists the blobs", to(Scan::Erases(garbage)));
            }
            Scan::Erases(garbage) => {
                let mut after = to(Scan::Idle);
                for (blob, _) in (0_u8..).zip(garbage).filter(|(_, garbage)| *garbage) {
                    let there = after.blob(blob).there;
                    next.saw("the sweep erased the first blob", there && blob == FIRST);
                    next.saw("the sweep erased a writer's blob", there && blob != FIRST);
                    after = after.erases(blob);
                }
                next.add(WHO, "erases what is garbage", after);
            }
        }
        if state.scan != Scan::Idle {
            next.add(WHO, "dies", to(Scan::Idle));
        }
    }

    /// Which of these blobs no head names, and none ever will.
    fn garbage(&self, state: &State, head: Head, mut blobs: [bool; BLOBS]) -> [bool; BLOBS] {
        for (number, blob) in (0_u8..).zip(&mut blobs) {
            let passed = state.blob(number).tag <= head.seq || self.is(Wrong::NoTag);
            *blob &= head.seq > 0 && passed && head.names != number;
        }
        blobs
    }
}

fn first_blob(at: usize) -> u8 {
    if at == 0 { FIRST + 1 } else { FIRST + 1 + TRIES }
}

fn listed(state: &State) -> [bool; BLOBS] {
    state.blobs.map(|blob| blob.there)
}

fn lands(state: &State, blob: u8) -> State {
    state.with_blob(blob, |blob| {
        blob.flying = false;
        blob.there = true;
    })
}

fn begins(state: &State, at: usize) -> State {
    state.with_writer(at, |writer| {
        writer.phase = Phase::Begins;
        writer.tries += 1;
        // Copies of what was refused can take effect no more.
        writer.flying = false;
    })
}

impl Protocol for Sweep {
    type State = State;

    fn starts(&self) -> Vec<State> {
        let writer = Writer {
            phase: Phase::Begins,
            tries: 1,
            blob: NONE,
            expects: 0,
            drops: NONE,
            flying: false,
            landed: false,
        };
        let new = State {
            head: Head { seq: 0, names: NONE },
            blobs: [Blob::default(); BLOBS],
            writers: [writer; 2],
            scan: Scan::Idle,
            fenced: false,
        };
        let old = State { head: Head { seq: 1, names: FIRST }, ..new };
        let old = old.with_blob(FIRST, |blob| *blob = Blob { tag: 1, flying: false, there: true });
        vec![new, old]
    }

    fn steps(&self, state: &State, next: &mut Next<State>) {
        for (at, writer) in state.writers.into_iter().enumerate() {
            self.writer(state, at, writer, next);
        }
        look(state, next);
        self.sweep(state, next);
        self.network(state, next);
    }

    fn fault(&self, state: &State) -> Option<&'static str> {
        let names = state.head.names;
        (names != NONE && !state.blob(names).there).then_some("the head names a blob that is gone")
    }

    /// What cannot land is as good as gone, and so is a list of what is gone.
    fn plain(&self, mut state: State) -> State {
        for at in 0..state.writers.len() {
            let seq = state.head.seq;
            state = state.with_writer(at, |writer| {
                let waits = matches!(writer.phase, Phase::Waits | Phase::WaitsAgain);
                writer.flying &= writer.expects == seq || waits;
                if writer.phase == Phase::Ended && !writer.flying {
                    (writer.blob, writer.expects, writer.drops) = (NONE, 0, NONE);
                }
            });
        }
        let there = listed(&state);
        if let Scan::Listed(blobs) | Scan::Erases(blobs) = &mut state.scan {
            for (listed, there) in blobs.iter_mut().zip(there) {
                *listed &= there;
            }
        }
        if matches!(state.scan, Scan::Erases(blobs) if !blobs.contains(&true)) {
            state.scan = Scan::Idle;
        }
        state
    }
}

fn look(state: &State, next: &mut Next<State>) {
    let ended = |writer: &Writer| writer.phase == Phase::Ended && writer.landed;
    next.saw("both writers done", state.writers.iter().all(ended));
    let second = |writer: &Writer| ended(writer) && writer.tries > 1;
    next.saw("done at the second try", state.writers.iter().any(second));
    let passed = |writer: &Writer| writer.phase == Phase::Waits && writer.expects < state.head.seq;
    next.saw("a fence before a head", state.fenced && state.writers.iter().any(passed));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::explore;

    fn right(together: bool, head_first: bool) {
        let explored = explore(&Sweep { together, head_first, wrong: None });
        println!("together {together}, head first {head_first}: {explored}");
        assert!(explored.is_right(), "{explored}");
        assert_eq!(explored.seen.len(), 6, "{explored}");
    }

    #[test]
    fn no_head_names_a_blob_that_is_gone() {
        right(false, false);
    }

    #[test]
    fn nor_where_head_and_blob_go_together() {
        right(true, false);
    }

    /// It is the tag that protects, not the order: what a head has passed and does not name stays
    /// garbage. Listed first, more of it is found.
    #[test]
    fn nor_where_the_head_is_read_first() {
        right(false, true);
    }

    #[test]
    fn each_wrong_way_is_caught() {
        for wrong in Wrong::ALL {
            let explored =
                explore(&Sweep { together: false, head_first: false, wrong: Some(wrong) });
            println!("{wrong:?}: {explored}");
            assert!(explored.counterexample.is_some(), "{wrong:?}: {explored}");
        }
    }
}
