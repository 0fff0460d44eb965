//! Planted faults: does the simulation see each of them?
//!
//! `benches/mutants.toml` lists faults, each in one place of engine, log or storage. This copies
//! the sources to `target/mutants/tree`, plants one at a time there, and runs what has to see it
//! until it does.

mod list;
mod tree;

use std::collections::BTreeMap;
use std::time::Instant;

use list::{By, Mutant};
use tree::{Seen, Tree};

use crate::{Outcome, cargo};

/// How many seeds a fault may take to be seen, in full and short.
const SEEDS: u64 = 10_000;
const SEEDS_SHORT: u64 = 1_000;

/// Plants each fault, or the one of that name.
pub(crate) fn run(full: bool, only: Option<&str>, seed: u64) -> Outcome {
    let root = cargo::root();
    let all = list::read(&root)?;
    let chosen: Vec<&Mutant> =
        all.iter().filter(|mutant| only.is_none_or(|only| mutant.id == only)).collect();
    if chosen.is_empty() {
        return Err("no planted fault is called that: `benches/mutants.toml` lists them".to_owned());
    }
    let seeds = if full { SEEDS } else { SEEDS_SHORT };
    let tree = Tree::copy(&root, &cargo::target()?.join("mutants"))?;
    let mut results: Vec<(&Mutant, Result<Seen, String>)> = Vec::new();
    // What sees a fault must see none where there is none.
    for by in By::ALL.into_iter().filter(|_| only.is_none()) {
        match tree.look(by, seed, seeds.min(SEEDS_SHORT / 5))? {
            Seen::Nothing => println!("{:42} {by}: nothing is seen", "no fault"),
            Seen::After(seeds, what) => {
                return Err(format!("without a fault, {by} see one after {seeds} seeds: {what}"));
            }
        }
    }
    for mutant in chosen {
        let (seen, took) = timed(|| {
            let _planted = tree.plant(mutant)?;
            tree.look(mutant.by, seed, seeds)
        });
        let Mutant { id, part, by, .. } = mutant;
        match &seen {
            Ok(Seen::After(seeds, what)) => {
                println!("{id:42} {part:8} {by:8} {seeds:6} seeds {took:6.1} s  {what}");
            }
            Ok(Seen::Nothing) => {
                println!("{id:42} {part:8} {by:8} NOT SEEN     {took:6.1} s  {}", mutant.breaks);
            }
            Err(problem) => println!("{id:42} {part:8} {by:8} {problem}"),
        }
        results.push((mutant, seen));
    }
    Ok(sum_up(&results, seeds))
}

fn sum_up(results: &[(&Mutant, Result<Seen, String>)], seeds: u64) -> bool {
    let mut by_part: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut most, mut missed) = (0, Vec::new());
    for (mutant, seen) in results {
        *by_part.entry(&mutant.part).or_default() += 1;
        match seen {
            Ok(Seen::After(seeds, _)) => most = most.max(*seeds),
            _ => missed.push(mutant.id.as_str()),
        }
    }
    let parts: Vec<String> =
        by_part.iter().map(|(part, count)| format!("{count} in {part}")).collect();
    println!(
        "mutants: {} planted ({}), {} seen within {seeds} seeds, the last of them after {most}",
        results.len(),
        parts.join(", "),
        results.len() - missed.len(),
    );
    if !missed.is_empty() {
        println!("mutants: not seen: {}", missed.join(", "));
    }
    missed.is_empty()
}

#[expect(clippy::disallowed_methods, reason = "how long a fault took to be seen")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_secs_f64())
}
