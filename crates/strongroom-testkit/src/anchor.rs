//! What every anchor must do: one function a case, and [`anchor_suite!`](crate::anchor_suite) to run
//! them all; and an anchor in memory.
//!
//! ```
//! # use strongroom_testkit::MemoryAnchor;
//! # use std::sync::LazyLock;
//! # static KEPT: LazyLock<MemoryAnchor> = LazyLock::new(MemoryAnchor::new);
//! strongroom_testkit::anchor_suite!(|_dir| KEPT.clone());
//! ```
//!
//! The closure gets a scratch directory and opens the anchor there; called again with the same
//! directory, it opens the same anchor anew, as after a restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_executor::block_on;
use strongroom_core::{Anchor, AnchorError, LogId, Pin, StoreId, async_trait};

/// Makes a test of each case of the suite.
#[macro_export]
macro_rules! anchor_suite {
    ($open:expr) => {
        $crate::anchor_suite! { @cases $open;
            a_store_without_pins_has_none
            pins_of_several_logs_are_kept
            a_pin_takes_the_place_of_the_one_before_it
            covered_pins_are_forgotten
            a_pin_does_not_cover_itself
            stores_are_told_apart
            pins_outlive_who_kept_them
            several_threads_lose_nothing
        }
    };
    (@cases $open:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::anchor::run($open, $crate::anchor::$case);
            }
        )*
    };
}

/// How a case opens its anchor.
pub type Open<'a> = &'a (dyn Fn() -> Box<dyn Anchor> + Sync);

/// Runs one case in a scratch directory, with a store of its own.
///
/// # Panics
/// Where the case fails.
pub fn run<A: Anchor>(open: impl Fn(&Path) -> A + Sync, case: fn(Open<'_>, StoreId)) {
    static STARTED: Mutex<u64> = Mutex::new(0);
    let number = {
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        *started += 2;
        *started
    };
    let scratch = tempfile::tempdir().unwrap_or_else(|error| fail(&error));
    let mut store = [7; 16];
    store[..8].copy_from_slice(&number.to_be_bytes());
    case(&|| Box::new(open(scratch.path())), StoreId::from_bytes(store));
}

#[expect(clippy::panic, reason = "a case of a suite fails by panicking")]
fn fail(what: &dyn std::fmt::Display) -> ! {
    panic!("{what}")
}

fn pin(log: u8, text: &str) -> Pin {
    Pin { log: LogId::from_bytes([log; 8]), record: text.as_bytes().to_vec() }
}

fn load(anchor: &dyn Anchor, store: StoreId) -> Vec<Pin> {
    let mut pins = block_on(anchor.load(store)).unwrap_or_else(|error| fail(&error));
    pins.sort_unstable_by_key(|pin| pin.log);
    pins
}

fn advance(anchor: &dyn Anchor, store: StoreId, pin: &Pin, covers: &[u8]) {
    let covers: Vec<LogId> = covers.iter().map(|log| LogId::from_bytes([*log; 8])).collect();
    block_on(anchor.advance(store, pin, &covers)).unwrap_or_else(|error| fail(&error));
}

/// Nothing was pinned: there is nothing, and that is no error.
pub fn a_store_without_pins_has_none(open: Open<'_>, store: StoreId) {
    assert_eq!(load(&*open(), store), []);
}

/// Each log has its pin, byte for byte.
pub fn pins_of_several_logs_are_kept(open: Open<'_>, store: StoreId) {
    let anchor = open();
    let long = Pin { record: (0..=255).collect(), ..pin(3, "") };
    let pins = [pin(1, "one"), pin(2, ""), long];
    pins.iter().for_each(|pin| advance(&*anchor, store, pin, &[]));
    assert_eq!(load(&*anchor, store), pins);
}

/// Of one log the last pin counts.
pub fn a_pin_takes_the_place_of_the_one_before_it(open: Open<'_>, store: StoreId) {
    let anchor = open();
    advance(&*anchor, store, &pin(2, "other"), &[]);
    for text in ["a longer one", "short", "short", "again"] {
        advance(&*anchor, store, &pin(1, text), &[]);
        assert_eq!(load(&*anchor, store), [pin(1, text), pin(2, "other")]);
    }
}

/// What a pin covers is gone once it is kept; what it does not cover stays.
pub fn covered_pins_are_forgotten(open: Open<'_>, store: StoreId) {
    let anchor = open();
    for log in 1..=4 {
        advance(&*anchor, store, &pin(log, "old"), &[]);
    }
    advance(&*anchor, store, &pin(5, "new"), &[1, 3, 9]);
    assert_eq!(load(&*anchor, store), [pin(2, "old"), pin(4, "old"), pin(5, "new")]);
}

/// A log among those that its own pin covers keeps that pin.
pub fn a_pin_does_not_cover_itself(open: Open<'_>, store: StoreId) {
    let anchor = open();
    advance(&*anchor, store, &pin(1, "new"), &[1]);
    assert_eq!(load(&*anchor, store), [pin(1, "new")]);
}

/// The pins of one store are not another's, nor covered by it.
pub fn stores_are_told_apart(open: Open<'_>, store: StoreId) {
    let anchor = open();
    let mut other = *store.as_bytes();
    other[15] ^= 1;
    let other = StoreId::from_bytes(other);
    advance(&*anchor, store, &pin(1, "mine"), &[]);
    advance(&*anchor, other, &pin(1, "theirs"), &[]);
    advance(&*anchor, other, &pin(2, "theirs"), &[1]);
    assert_eq!(load(&*anchor, store), [pin(1, "mine")]);
    assert_eq!(load(&*anchor, other), [pin(2, "theirs")]);
}

/// They are there for the next process.
pub fn pins_outlive_who_kept_them(open: Open<'_>, store: StoreId) {
    let first = open();
    advance(&*first, store, &pin(1, "one"), &[]);
    drop(first);
    assert_eq!(load(&*open(), store), [pin(1, "one")]);
}

/// Processes pin their own logs at the same time.
pub fn several_threads_lose_nothing(open: Open<'_>, store: StoreId) {
    std::thread::scope(|scope| {
        for log in 1..=4 {
            scope.spawn(move || {
                let anchor = open();
                for round in 0..10 {
                    advance(&*anchor, store, &pin(log, &round.to_string()), &[log + 100]);
                    load(&*anchor, store);
                }
            });
        }
    });
    assert_eq!(load(&*open(), store), [1, 2, 3, 4].map(|log| pin(log, "9")));
}

/// Keeps pins in memory. Clones are the same anchor.
#[derive(Debug, Clone, Default)]
pub struct MemoryAnchor(Arc<Mutex<Pins>>);

type Pins = BTreeMap<(StoreId, LogId), Vec<u8>>;

impl MemoryAnchor {
    /// One without pins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Pins> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Anchor for MemoryAnchor {
    async fn load(&self, store: StoreId) -> Result<Vec<Pin>, AnchorError> {
        let pins = self.lock();
        let own = pins.iter().filter(|((of, _), _)| *of == store);
        Ok(own.map(|((_, log), record)| Pin { log: *log, record: record.clone() }).collect())
    }

    async fn advance(
        &self,
        store: StoreId,
        pin: &Pin,
        covers: &[LogId],
    ) -> Result<(), AnchorError> {
        let mut pins = self.lock();
        pins.retain(|(of, log), _| *of != store || !covers.contains(log));
        pins.insert((store, pin.log), pin.record.clone());
        Ok(())
    }
}
