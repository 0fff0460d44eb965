//! Explores every state that a protocol can reach, nearest first, so that the way to a fault is a
//! shortest one.
//!
//! States are kept whole, not as hashes of 64 bits: where it says that no state is faulty, none is.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::Hash;
use std::rc::Rc;

/// More states than that are a model that is too large, and not explored to the end.
const MOST_STATES: usize = 4_000_000;

/// Who does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// The one who does it.
    pub(crate) who: &'static str,
    /// What is done.
    pub(crate) what: &'static str,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:10} {}", self.who, self.what)
    }
}

/// The states that come next, as they are found.
#[derive(Debug)]
pub(crate) struct Next<S> {
    found: Vec<(Step, S)>,
    seen: BTreeSet<&'static str>,
}

impl<S> Next<S> {
    /// One more step that may be taken, and where it leads.
    pub(crate) fn add(&mut self, who: &'static str, what: &'static str, state: S) {
        self.found.push((Step { who, what }, state));
    }

    /// Names what is worth having seen, in this state or in a step from it. A model that never gets
    /// there proves nothing.
    pub(crate) fn saw(&mut self, sight: &'static str, seen: bool) {
        if seen && !self.seen.contains(sight) {
            self.seen.insert(sight);
        }
    }
}

/// A protocol: where it begins, what may happen next, and what must never be.
pub(crate) trait Protocol {
    /// All that matters of the store and of those who use it, and what was promised so far.
    type State: Clone + Eq + Hash;

    /// Where it may begin.
    fn starts(&self) -> Vec<Self::State>;

    /// Each step that may be taken now, a crash and a late delivery being steps like any other, and
    /// what is worth having seen.
    fn steps(&self, state: &Self::State, next: &mut Next<Self::State>);

    /// The state without what can make no difference any more, so that there are fewer.
    fn plain(&self, state: Self::State) -> Self::State {
        state
    }

    /// What is wrong in this state, if anything is.
    fn fault(&self, state: &Self::State) -> Option<&'static str>;
}

/// What an exploration found.
#[derive(Debug)]
pub(crate) struct Explored {
    /// How many states there are.
    pub(crate) states: usize,
    /// How many steps the farthest of them is away from the start.
    pub(crate) depth: usize,
    /// Whether there are no others.
    pub(crate) complete: bool,
    /// What was seen on the way.
    pub(crate) seen: BTreeSet<&'static str>,
    /// A shortest way to what must never be.
    pub(crate) counterexample: Option<Counterexample>,
}

impl Explored {
    /// Whether every state was visited and none is faulty.
    pub(crate) fn is_right(&self) -> bool {
        self.complete && self.counterexample.is_none()
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, depth, .. } = self;
        match &self.counterexample {
            Some(found) => {
                writeln!(f, "fault after {} steps, {states} states known", found.steps.len())?;
                write!(f, "{found}")
            }
            None if self.complete => {
                writeln!(f, "right: {states} states, the farthest {depth} steps away; seen")?;
                let seen: Vec<_> = self.seen.iter().map(|sight| format!("    {sight}")).collect();
                write!(f, "{}", seen.join("\n"))
            }
            None => write!(f, "given up after {states} states: make the model smaller"),
        }
    }
}

/// A shortest way to what must never be.
#[derive(Debug)]
pub(crate) struct Counterexample {
    /// What is wrong at its end.
    pub(crate) fault: &'static str,
    /// The steps to it.
    pub(crate) steps: Vec<Step>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, "    {:2} {step}", at + 1)?;
        }
        write!(f, "    => {}", self.fault)
    }
}

/// A state, and how it was first reached.
struct Node<S> {
    state: Rc<S>,
    from: Option<(usize, Step)>,
    depth: usize,
}

/// Explores a protocol until a fault is found, or every state was visited.
pub(crate) fn explore<P: Protocol>(protocol: &P) -> Explored {
    let mut nodes: Vec<Node<P::State>> = Vec::new();
    let mut known: HashSet<Rc<P::State>> = HashSet::new();
    let mut explored = Explored {
        states: 0,
        depth: 0,
        complete: false,
        seen: BTreeSet::new(),
        counterexample: None,
    };
    for state in protocol.starts() {
        let state = Rc::new(state);
        if known.insert(state.clone()) {
            nodes.push(Node { state, from: None, depth: 0 });
        }
    }
    let mut next = Next { found: Vec::new(), seen: BTreeSet::new() };
    let mut at = 0;
    while let Some((state, depth)) = nodes.get(at).map(|node| (node.state.clone(), node.depth)) {
        explored.states = nodes.len();
        explored.depth = depth;
        if let Some(fault) = protocol.fault(&state) {
            explored.counterexample = Some(Counterexample { fault, steps: way_to(&nodes, at) });
            break;
        }
        if nodes.len() > MOST_STATES {
            break;
        }
        protocol.steps(&state, &mut next);
        for (step, state) in next.found.drain(..) {
            let state = protocol.plain(state);
            if !known.contains(&state) {
                let state = Rc::new(state);
                known.insert(state.clone());
                nodes.push(Node { state, from: Some((at, step)), depth: depth + 1 });
            }
        }
        at += 1;
    }
    explored.complete = at == nodes.len();
    explored.seen = next.seen;
    explored
}

fn way_to<S>(nodes: &[Node<S>], end: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = end;
    while let Some((before, step)) = nodes.get(at).and_then(|node| node.from) {
        steps.push(step);
        at = before;
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts by one or doubles, up to a limit.
    struct Counter {
        limit: u16,
        never: u16,
    }

    impl Protocol for Counter {
        type State = u16;

        fn starts(&self) -> Vec<u16> {
            vec![1]
        }

        fn steps(&self, state: &u16, next: &mut Next<u16>) {
            for (what, to) in [("adds", state + 1), ("doubles", state * 2)] {
                if to <= self.limit {
                    next.add("counter", what, to);
                }
            }
            next.saw("limit", *state == self.limit);
            next.saw("beyond", *state > self.limit);
        }

        fn fault(&self, state: &u16) -> Option<&'static str> {
            (*state == self.never).then_some("never")
        }
    }

    #[test]
    fn all_states_are_visited_once() {
        let explored = explore(&Counter { limit: 100, never: 101 });
        assert!(explored.complete && explored.counterexample.is_none());
        assert_eq!(explored.states, 100);
        assert_eq!(explored.seen, BTreeSet::from(["limit"]));
    }

    #[test]
    fn the_way_to_a_fault_is_a_shortest_one() {
        let explored = explore(&Counter { limit: 100, never: 12 });
        let found = explored.counterexample.unwrap();
        let what: Vec<_> = found.steps.iter().map(|step| step.what).collect();
        // 1, 2, 3, 6, 12
        assert_eq!(what.len(), 4, "{found}");
        assert_eq!(what[2..], ["doubles", "doubles"]);
        assert!(!explored.complete);
    }
}
