//! Simulates one seed after the other until a history fails: `seeds FIRST COUNT`.
//!
//! Prints `CAUGHT n: what`, n seeds having been tried with that one, or `SURVIVED n`. With a count of
//! 1 it prints all that happened before that.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;

use strongroom_testkit::MemoryStorage;
use strongroom_testkit::sim::{Plan, Size, simulate};

/// The next number, and the first that failed with what went wrong.
#[derive(Default)]
struct Progress {
    next: u64,
    failed: Option<(u64, String)>,
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse().unwrap_or(1));
    let (first, count) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1_000));
    let progress = Mutex::new(Progress::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(|| work(&progress, first, count));
        }
    });
    let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    match progress.failed {
        Some((number, what)) => println!("CAUGHT {}: {what}", number + 1),
        None => println!("SURVIVED {count}"),
    }
}

/// All seeds before one that failed are tried, so that the same is found whatever the threads do.
fn work(progress: &Mutex<Progress>, first: u64, count: u64) {
    let lock = || progress.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let number = {
            let mut progress = lock();
            if progress.next >= count || progress.failed.is_some() {
                return;
            }
            progress.next += 1;
            progress.next - 1
        };
        let store = MemoryStorage::new();
        let plan = Plan::new(first.wrapping_add(number), Size::default());
        // What panics has failed, too.
        let run = std::panic::catch_unwind(|| simulate(&plan, || store.clone()));
        let (faults, transcript) = match run {
            Ok(run) => (run.faults, run.transcript),
            Err(_) => (vec!["it panics".to_owned()], Vec::new()),
        };
        if count == 1 {
            transcript.iter().for_each(|line| println!("{line}"));
        }
        if let Some(what) = faults.into_iter().next() {
            let mut progress = lock();
            if progress.failed.as_ref().is_none_or(|(before, _)| number < *before) {
                progress.failed = Some((number, what));
            }
        }
    }
}
