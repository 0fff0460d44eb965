//! The protocols of strongroom that span steps, as small models, each explored to the end: every
//! order of the steps, a crash at each of them, replies that are lost, sends that arrive late.
//!
//! The tests hold the right protocols to what they promise, and see to it that wrong ones are
//! caught. The program shows them: what there is to explore, and for each wrong way a shortest trace
//! to where it fails.
//!
//! A model is not the code. Each file says which code it stands for; who changes that code changes
//! the model first.

mod epoch;
mod explore;
mod resolve;
mod sweep;
mod tombstone;

use std::process::ExitCode;

use epoch::{Destroy, Guard};
use explore::{Explored, Protocol, explore};
use resolve::Resolve;
use sweep::Sweep;
use tombstone::Purge;

fn main() -> ExitCode {
    let mut shown = Shown { as_expected: true };
    for remembers in [1, 2] {
        let name = format!("resolve, a head remembers {remembers}");
        shown.right(&name, &Resolve { remembers, wrong: None });
    }
    for wrong in resolve::Wrong::ALL {
        let name = format!("resolve, wrong: {wrong:?}");
        shown.wrong(&name, &Resolve { remembers: 1, wrong: Some(wrong) });
    }
    for (guard, epochs) in [(Guard::Check, 3), (Guard::Days, 2)] {
        let name = format!("epoch, {guard:?}, {epochs} epochs");
        shown.right(&name, &Destroy { guard, epochs, wrong: None });
    }
    for (guard, wrong) in epoch::Wrong::ALL {
        let name = format!("epoch, {guard:?}, wrong: {wrong:?}");
        shown.wrong(&name, &Destroy { guard, epochs: 2, wrong: Some(wrong) });
    }
    for (together, head_first) in [(false, false), (true, false), (false, true)] {
        let name = format!("sweep, together: {together}, head first: {head_first}");
        shown.right(&name, &Sweep { together, head_first, wrong: None });
    }
    for wrong in sweep::Wrong::ALL {
        let name = format!("sweep, wrong: {wrong:?}");
        shown.wrong(&name, &Sweep { together: false, head_first: false, wrong: Some(wrong) });
    }
    shown.right("tombstone", &Purge { wrong: None });
    for wrong in tombstone::Wrong::ALL {
        shown.wrong(&format!("tombstone, wrong: {wrong:?}"), &Purge { wrong: Some(wrong) });
    }
    if shown.as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was shown so far.
struct Shown {
    as_expected: bool,
}

impl Shown {
    fn right(&mut self, name: &str, protocol: &impl Protocol) {
        let explored = explore(protocol);
        self.as_expected &= explored.is_right();
        print(name, &explored);
    }

    fn wrong(&mut self, name: &str, protocol: &impl Protocol) {
        let explored = explore(protocol);
        self.as_expected &= explored.counterexample.is_some();
        print(name, &explored);
    }
}

#[expect(clippy::print_stdout, reason = "to show it is what this program is for")]
fn print(name: &str, explored: &Explored) {
    println!("{name}\n    {explored}\n");
}
