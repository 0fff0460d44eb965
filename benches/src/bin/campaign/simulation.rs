//! Many engines on one simulated store: 200 seeds, or 100,000 in full, from the given one on.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_benches::{Outcome, say, time};
use strongroom_testkit::MemoryStorage;
use strongroom_testkit::sim::{Plan, Size, shrink, simulate};

/// After so many seeds a line says that it goes on.
const REPORT: u64 = 5_000;

fn faults(plan: &Plan) -> Vec<String> {
    let store = MemoryStorage::new();
    simulate(plan, || store.clone()).faults
}

pub(crate) fn run(full: bool, seed: u64) -> Outcome {
    let seeds = if full { 100_000 } else { 200 };
    let (next, faulty) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seeds || faulty.load(Ordering::Relaxed) > 0 {
                return;
            }
            if number > 0 && number.is_multiple_of(REPORT) {
                say(format!("simulation: {number} seeds"));
            }
            let plan = Plan::new(seed.wrapping_add(number), Size::default());
            let found = faults(&plan);
            // The first that is found ends it, and is told in full.
            if !found.is_empty() && faulty.fetch_add(1, Ordering::Relaxed) == 0 {
                say(format!("simulation: --seed {} fails: {found:#?}", plan.seed));
                let small = shrink(&plan, |plan| !faults(plan).is_empty());
                say(format!("simulation: shrunk: {:#?}\n{small}", faults(&small)));
            }
        }
    };
    let took = time(|| {
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
                scope.spawn(work);
            }
        });
    });
    let done = next.into_inner().min(seeds);
    let rate = f64::from(u32::try_from(done)?) / took.as_secs_f64();
    say(format!("simulation: {done} seeds, {rate:.1} seeds/s"));
    match faulty.into_inner() {
        0 => Ok(()),
        _ => Err("a run broke a promise".into()),
    }
}
