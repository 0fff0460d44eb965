//! What every clock and every source of randomness must do: small suites over [`Clock`] and
//! [`Entropy`].
//!
//! One line in a test file runs each, a case as a test of its own:
//!
//! ```
//! use std::sync::LazyLock;
//! use strongroom_testkit::{ManualClock, SeededEntropy};
//!
//! static SOURCE: LazyLock<SeededEntropy> = LazyLock::new(|| SeededEntropy::new(1));
//!
//! strongroom_testkit::clock_suite!(|| ManualClock::new());
//! strongroom_testkit::entropy_suite!(|| SOURCE.clone());
//! ```
//!
//! That bytes cannot be predicted is beyond what a test can see; these find a source that leaves a
//! part of the buffer alone, repeats itself, or is skewed.

use std::collections::HashSet;
use std::sync::mpsc;

use strongroom_core::{Clock, Entropy, Monotonic, Timestamp};

/// Makes a test of each case of the suite. Takes a closure that makes a clock.
#[macro_export]
macro_rules! clock_suite {
    ($make:expr) => {
        $crate::clock_suite! { @cases ($make)
            monotonic_time_never_steps_back
            monotonic_time_never_steps_back_between_threads
            wall_time_is_a_moment_of_this_age
        }
    };
    (@cases ($make:expr) $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::sources::$case(&$make());
            }
        )*
    };
}

/// Makes a test of each case of the suite. Takes a closure that makes a source of randomness, or
/// another handle on one: it may not be one that begins anew.
#[macro_export]
macro_rules! entropy_suite {
    ($make:expr) => {
        $crate::entropy_suite! { @cases ($make)
            the_whole_buffer_is_filled
            nothing_is_drawn_twice
            nothing_is_drawn_twice_by_several_threads
            nothing_is_drawn_twice_by_several_handles
            no_bit_is_skewed
        }
    };
    (@cases ($make:expr) $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::sources::$case(&|| Box::new($make()));
            }
        )*
    };
}

const READINGS: usize = 10_000;

/// Permits, caches and limits on time rest on it.
pub fn monotonic_time_never_steps_back(clock: &dyn Clock) {
    let mut last = clock.elapsed();
    for _ in 0..READINGS {
        let next = clock.elapsed();
        assert!(next >= last, "monotonic time stepped back");
        last = next;
    }
}

/// What one thread has read is not later than what another reads afterwards, whichever it is.
pub fn monotonic_time_never_steps_back_between_threads(clock: &dyn Clock) {
    let check = |earlier: Monotonic| {
        let now = clock.elapsed();
        assert!(now >= earlier, "monotonic time differs between threads");
        now
    };
    let (ask, asked) = mpsc::sync_channel::<Monotonic>(0);
    let (answer, answered) = mpsc::sync_channel::<Monotonic>(0);
    // Moved, so that a failed check ends the other thread's wait.
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            let mut last = clock.elapsed();
            for _ in 0..READINGS / 10 {
                let Ok(()) = ask.send(last) else { return };
                let Ok(earlier) = answered.recv() else { return };
                last = check(earlier);
            }
        });
        for earlier in asked {
            if answer.send(check(earlier)).is_err() {
                return;
            }
        }
    });
}

/// Between 2020 and the end of 9999: a clock of seconds or of microseconds is found.
pub fn wall_time_is_a_moment_of_this_age(clock: &dyn Clock) {
    const YEAR_2020: u64 = 1_577_836_800_000;
    let now = clock.now();
    assert!(now.as_millis() >= YEAR_2020, "wall time lies before 2020: {now}");
    assert!(now < Timestamp::MAX, "wall time is at the end of what there is");
}

fn fill(source: &dyn Entropy, buffer: &mut [u8]) {
    source.fill(buffer).unwrap_or_else(|error| unreachable!("fill: {error}"));
}

/// To its last byte, at lengths around those that a source may draw at a time.
pub fn the_whole_buffer_is_filled(make: &dyn Fn() -> Box<dyn Entropy>) {
    let source = make();
    fill(&*source, &mut []);
    for length in [1, 7, 8, 9, 16, 31, 32, 33, 63, 64, 65, 255, 256, 257, 4096, 4097] {
        // A byte that keeps its value in 16 fills over two patterns was never written.
        let mut touched = vec![false; length];
        for pattern in [0x00, 0xff].repeat(8) {
            let mut buffer = vec![pattern; length];
            fill(&*source, &mut buffer);
            let changed = buffer.iter().map(|byte| *byte != pattern);
            touched.iter_mut().zip(changed).for_each(|(was, is)| *was |= is);
        }
        assert!(touched.iter().all(|touched| *touched), "a part of {length} bytes is left alone");
    }
}

fn draw(source: &dyn Entropy, count: usize) -> Vec<[u8; 16]> {
    let draw = || {
        let mut block = [0; 16];
        fill(source, &mut block);
        block
    };
    (0..count).map(|_| draw()).collect()
}

fn assert_distinct(blocks: &[[u8; 16]]) {
    let distinct: HashSet<_> = blocks.iter().collect();
    assert_eq!(distinct.len(), blocks.len(), "16 bytes were drawn twice");
}

/// Two keys, nonces or ids are never the same.
pub fn nothing_is_drawn_twice(make: &dyn Fn() -> Box<dyn Entropy>) {
    assert_distinct(&draw(&*make(), READINGS));
}

/// Nor where several threads draw at once.
pub fn nothing_is_drawn_twice_by_several_threads(make: &dyn Fn() -> Box<dyn Entropy>) {
    let source = make();
    let drawn: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| draw(&*source, 1000))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    assert_eq!(drawn.len(), 4000, "a thread failed");
    assert_distinct(&drawn);
}

/// Nor by two handles, as two stores of one process have.
pub fn nothing_is_drawn_twice_by_several_handles(make: &dyn Fn() -> Box<dyn Entropy>) {
    let drawn: Vec<_> = (0..8).flat_map(|_| draw(&*make(), 500)).collect();
    assert_distinct(&drawn);
}

/// Each of the eight bits of 65,536 bytes is set half of the time, within seven sigma.
pub fn no_bit_is_skewed(make: &dyn Fn() -> Box<dyn Entropy>) {
    const BYTES: usize = 65_536;
    const SEVEN_SIGMA: usize = 7 * 128; // the root of a quarter of 65,536 is 128
    let mut buffer = vec![0; BYTES];
    fill(&*make(), &mut buffer);
    for bit in 0..8 {
        let set = buffer.iter().filter(|byte| *byte >> bit & 1 == 1).count();
        assert!(set.abs_diff(BYTES / 2) <= SEVEN_SIGMA, "bit {bit} is set {set} times of {BYTES}");
    }
}
