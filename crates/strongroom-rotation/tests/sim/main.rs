//! Many processes on one store, in an order and with faults that a seed decides: leases, exchanges
//! and rotations.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod cases;
mod exchange;
mod lease;
mod rotation;
mod target;
mod world;

use std::panic::catch_unwind;

/// The seeds that the environment names, from `STRONGROOM_SEED` on `STRONGROOM_SEEDS`, or so many from 0.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("STRONGROOM_SEED").unwrap_or(0);
    first..first + number("STRONGROOM_SEEDS").unwrap_or(count)
}

/// What is wrong with a history of that seed.
type History = fn(u64) -> Vec<String>;

const HISTORIES: [(&str, History); 4] = [
    ("a lease", lease::history),
    ("an exchange", exchange::history),
    ("runners that die", rotation::with_deaths),
    ("runners that stand still", rotation::with_stops),
];

#[test]
#[ignore = "as long as the environment says"]
fn seeds_of_a_campaign() {
    let seeds = seeds(1);
    for (number, seed) in (1..).zip(seeds.clone()) {
        for (what, history) in HISTORIES {
            let wrong = match catch_unwind(|| history(seed)) {
                Ok(wrong) => wrong,
                Err(_) => vec!["it panics".to_owned()],
            };
            if let Some(wrong) = wrong.first() {
                println!("\nCAUGHT {number}: {what}, seed {seed}: {wrong}");
                return;
            }
        }
    }
    println!("\nSURVIVED {}", seeds.count());
}
