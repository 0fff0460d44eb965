//! Many engines on one store, under hundreds of seeds; and storages that break their contract, each
//! found by the same checks.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod breach;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use breach::{Breach, Broken};
use strongroom_core::{Entry, Key};
use strongroom_testkit::MemoryStorage;
use strongroom_testkit::sim::{Plan, Run, Size, shrink, simulate};

/// A run on a store in memory, and what it left there.
fn run(plan: &Plan) -> (Run, BTreeMap<Key, Entry>) {
    let store = MemoryStorage::new();
    let run = simulate(plan, || store.clone());
    (run, store.snapshot())
}

/// The smallest plan that fails as this one does, with what is wrong with it.
fn story(plan: &Plan, fails: impl Fn(&Plan) -> Vec<String>) -> String {
    let small = shrink(plan, |plan| !fails(plan).is_empty());
    format!("{:#?}\n{small}", fails(&small))
}

/// Runs something for each seed below a number, on all processors. The first fault ends it.
fn for_seeds(seeds: u64, each: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(|| {
                let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed))
                    .take_while(|seed| *seed < seeds);
                seeds.for_each(&each);
            });
        }
    });
}

#[test]
fn an_honest_store_keeps_all_promises() {
    let steps = Mutex::new(0);
    for_seeds(150, |seed| {
        let plan = Plan::new(seed, Size::default());
        let (done, _) = run(&plan);
        if !done.faults.is_empty() {
            panic!("seed {seed}: {:#?}\n{}", done.faults, story(&plan, |plan| run(plan).0.faults));
        }
        *steps.lock().unwrap() += plan.steps.len();
    });
    println!("STEPS {}", steps.into_inner().unwrap());
}

#[test]
fn a_seed_repeats_a_run_to_the_last_byte() {
    for seed in 1000..1012 {
        let plan = Plan::new(seed, Size::default());
        let (one, other) = (run(&plan), run(&plan));
        assert_eq!(one.0.transcript, other.0.transcript, "seed {seed}");
        assert!(one == other, "seed {seed}: storage or log differ");
        assert!(one.0.log.len() > 100 && one.1.len() > 3);
    }
    let [one, other] = [1, 2].map(|seed| run(&Plan::new(seed, Size::default())));
    assert!(one.1 != other.1 && one.0.log != other.0.log);
}

/// What a store with that breach is caught at.
fn caught(breach: Breach, plan: &Plan) -> Vec<String> {
    let broken = Broken::new(breach);
    simulate(plan, || broken.clone()).faults
}

/// The plan of a seed on a day that suits the breach.
fn plan_for(breach: Breach, seed: u64) -> Plan {
    let mut plan = Plan::new(seed, Size::default());
    if breach == Breach::IgnoresChecks {
        // It takes a first head that is on its way while keys are rotated, all heads rewrapped and
        // the old keys destroyed.
        (plan.faults.lost_requests, plan.faults.landings) = (60, 4);
    }
    plan
}

#[test]
fn every_breach_of_the_contract_is_found() {
    const WITHIN: u64 = 60;
    for breach in Breach::ALL {
        // In order, so that the figure is the seed's.
        let found = (0..WITHIN).find(|seed| !caught(breach, &plan_for(breach, *seed)).is_empty());
        let Some(seed) = found else { panic!("{breach:?} is not found within {WITHIN} seeds") };
        println!("BREACH {breach:?}: after {} seeds", seed + 1);
    }
}

#[test]
fn a_plan_that_fails_is_shrunk_to_what_it_fails_for() {
    let breach = Breach::IgnoresExpectations;
    let fails = |plan: &Plan| !caught(breach, plan).is_empty();
    let plan = (0..60).map(|seed| Plan::new(seed, Size::default())).find(fails).unwrap();
    let small = shrink(&plan, fails);
    assert!(fails(&small) && small.steps.len() <= 12, "{small}");
}
