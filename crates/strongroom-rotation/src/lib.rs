//! Rotation of the secrets in a strongroom, by however many processes, with nothing but the store between
//! them.
//!
//! - [`Rotation`] makes new versions when they are due and tells targets of them, through a
//!   [`Rotator`](strongroom_core::Rotator) each; what is in force or was before logs in at every moment;
//! - [`Coordinator::exchange`] spends a credential that can be used once, and no process spends it twice;
//! - [`Coordinator::lease`] gives one caller at a time the right to work on a secret, with a fencing
//!   token;
//! - [`Schedule`] says when a secret is due, and [`TextPolicy`] what a new one looks like.
//!
//! Nothing runs by itself, and no clock is compared with that of another machine. All state is in the
//! secrets themselves: processes that open the same store need nothing else to find each other.
//! `docs/rotation.md` is for whoever runs it.
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
mod event;
mod exchange;
mod generate;
mod lease;
mod machine;
mod mend;
mod note;
mod plan;
mod race;
mod rotation;
mod schedule;
mod state;
mod steps;
mod timer;

pub use coordinator::{Coordinator, DEFAULT_LEASE, SHORTEST_LEASE};
pub use event::{Event, Failure, Step};
pub use exchange::{ExchangeError, Failed};
pub use generate::{
    CharClass, GenerateError, TextGenerator, TextPolicy, TextPolicyError, generate_key,
    generate_name,
};
pub use lease::{Lease, LeaseError};
pub use plan::Plan;
pub use rotation::{Rotation, Tick};
pub use schedule::{Broken, Day, Facts, Next, Schedule, ScheduleError, Validity, Window};
pub use timer::SystemTimer;
