//! Rotation of the secrets in a strongroom: work on a secret that only one of many processes does at
//! a time.
//!
//! - [`Coordinator::lease`] gives one caller at a time the right to work on a secret, with a fencing
//!   token;
//! - [`Coordinator::exchange`] spends a credential that can be used once, and no process spends it twice.
//!
//! Nothing runs by itself, and no clock is compared with that of another machine. All state is in the
//! secrets themselves: processes that open the same store need nothing else to find each other.
//!
//! ```
//! use strongroom_core::{Principal, Token};
//! use strongroom_rotation::{Coordinator, Failed};
//! use strongroom_testkit::TestRoom;
//!
//! # futures_executor::block_on(async {
//! let kit = TestRoom::allowing_all(); // a store in memory
//! let app = kit.room().session(Principal::service("app"));
//! let first = app.put("prod/issuer/refresh", Token::new("rt-1")).await?;
//!
//! let coordinator = Coordinator::new(app);
//! let refresh = |old: Token| async move {
//!     drop(old); // ask the issuer with it
//!     Ok::<_, Failed>(Token::new("rt-2"))
//! };
//! let next = coordinator.exchange("prod/issuer/refresh", first, refresh).await?;
//!
//! // Whoever comes with the old version, from whatever process, gets the new one.
//! let late = coordinator.exchange("prod/issuer/refresh", first, refresh).await?;
//! assert_eq!(late.version, next.version);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod coordinator;
mod exchange;
mod generate;
mod lease;
mod note;
mod schedule;
mod timer;

pub use coordinator::{Coordinator, DEFAULT_LEASE, SHORTEST_LEASE};
pub use exchange::{ExchangeError, Failed};
pub use generate::{
    CharClass, GenerateError, PolicyError, TextGenerator, TextPolicy, generate_key, generate_name,
};
pub use lease::{Lease, LeaseError};
pub use schedule::{Broken, Day, Facts, Next, Schedule, ScheduleError, Validity, Window};
pub use timer::SystemTimer;
