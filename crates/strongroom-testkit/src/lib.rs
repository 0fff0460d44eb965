//! For tests around strongroom: of backends, of the engine, and of the programs that use it.
//!
//! - [`MemoryStorage`] is a complete backend in memory, which a test can read and change;
//! - [`FaultyStorage`] makes chosen calls of any backend fail, lose their reply, or wait;
//! - [`Delaying`] makes each call of a sink, seal or policy engine wait, so that it can be dropped there;
//! - [`MemorySink`] keeps the audit log in memory, readable, and fails on demand;
//! - [`MemoryAnchor`] keeps pins in memory;
//! - [`TestRoom`] is a whole store in memory, for tests of a program that uses strongroom;
//! - [`sim`] runs many engines on one store in an order that a seed decides, and checks what they say;
//! - [`ManualClock`] and [`SeededEntropy`] put time and randomness in the test's hand;
//! - [`storage_suite!`], [`seal_suite!`], [`policy_suite!`], [`audit_suite!`], [`anchor_suite!`],
//!   [`clock_suite!`] and [`entropy_suite!`] hold an implementation of your own to the contract of its trait, in a line.
//!
//! Nothing in this crate belongs in a program that keeps real secrets.
//!
//! ```
//! use std::time::Duration;
//! use strongroom_core::{Clock, Key, Storage};
//! use strongroom_testkit::{ManualClock, MemoryStorage};
//!
//! let (clock, storage) = (ManualClock::new(), MemoryStorage::new());
//! clock.advance(Duration::from_secs(3600));
//! let found = futures_executor::block_on(storage.read(&[Key::new(*b"none")]))?;
//!
//! assert_eq!(found, [None]);
//! assert_eq!(clock.now().to_string(), "2027-01-01T01:00:00Z");
//! # Ok::<(), strongroom_core::StorageError>(())
//! ```

pub mod anchor;
pub mod audit;
mod clock;
mod delaying;
mod entropy;
mod faulty;
mod identity;
mod memory;
mod memory_seal;
pub mod policy;
mod room;
pub mod seal;
pub mod sim;
mod sink;
pub mod sources;
pub mod storage;

pub use anchor::MemoryAnchor;
pub use clock::ManualClock;
pub use delaying::Delaying;
pub use entropy::SeededEntropy;
pub use faulty::{Call, Fault, FaultyStorage};
pub use identity::FakeIdentity;
pub use memory::{Calls, MemoryStorage};
pub use memory_seal::MemorySeal;
pub use room::TestRoom;
pub use sink::{MemorySink, RecordedDecision};
