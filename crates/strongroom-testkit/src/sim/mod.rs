//! Deterministic simulation: many engines on one store, in an order and with faults that a seed
//! decides, and a check of all that they were told.
//!
//! - [`SimExecutor`] polls ready tasks in the order of a seed, on one thread;
//! - [`SimStorage`] does to a backend what its contract allows a bad day to do;
//! - [`Plan`] is what engines do, made from a seed; [`simulate`] does it and checks the run;
//! - [`shrink`] makes a plan that fails smaller.
//!
//! A backend of your own in memory is held against the engine in three lines; what is found comes
//! with a seed that shows it again:
//!
//! ```
//! use strongroom_testkit::MemoryStorage;
//! use strongroom_testkit::sim::{Plan, Size, shrink, simulate};
//!
//! for seed in 0..3 {
//!     let fails = |plan: &Plan| {
//!         let store = MemoryStorage::new();
//!         !simulate(plan, || store.clone()).faults.is_empty()
//!     };
//!     let plan = Plan::new(seed, Size::new(3, 12));
//!     assert!(!fails(&plan), "{}", shrink(&plan, fails));
//! }
//! ```

mod answer;
mod check;
#[cfg(test)]
mod check_tests;
mod client;
mod dice;
mod executor;
mod history;
mod last;
mod plan;
mod records;
mod restore;
mod run;
mod shrink;
mod storage;

pub use executor::{SimExecutor, Stuck, TaskId, Turn};
pub use plan::{Act, Batches, Guess, Plan, Restore, Size, Step};
pub use run::{Run, simulate};
pub use shrink::shrink;
pub use storage::{STALL, SimFaults, SimStorage};
