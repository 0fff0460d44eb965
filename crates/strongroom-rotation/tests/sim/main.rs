//! Many processes on one store, in an order and with faults that a seed decides: leases, exchanges
//! and rotations.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod cases;
mod exchange;
mod lease;
mod rotation;
mod target;
mod world;

/// Runs seeds from the environment, `FIRST COUNT`, or so many from 0.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("STRONGROOM_SEEDS") else { return 0..count };
    let numbers: Vec<u64> = text.split(' ').map(|word| word.parse().unwrap()).collect();
    let [first, count] = numbers[..] else { panic!("STRONGROOM_SEEDS is FIRST COUNT") };
    first..first + count
}
