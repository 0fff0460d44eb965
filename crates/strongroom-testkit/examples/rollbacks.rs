//! Sets stores back until that is not named: `rollbacks FIRST COUNT`. It prints what `seeds` does.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "the generator is of a test")]
#![expect(unreachable_pub, reason = "the generator is shared by several programs")]

#[path = "../tests/rollback/mod.rs"]
mod rollback;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse().unwrap_or(1));
    let (first, count) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(200));
    let tally = rollback::set_back(count, first);
    for (kind, (cases, named, at_open)) in &tally.by_kind {
        println!("{cases:6} cases, {named:6} named, {at_open:6} of them at open: {kind}");
    }
    let (cases, named, at_open) = tally.sum();
    println!("{cases:6} cases, {named:6} named, {at_open:6} of them at open");
    println!("{:6} honest stores", tally.controls);
    match tally.faults.first() {
        Some((case, what)) => {
            println!("CAUGHT {}: {}", case.max(&1), what.lines().next().unwrap_or_default());
        }
        None => println!("SURVIVED {count}"),
    }
}
