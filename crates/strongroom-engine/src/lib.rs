//! The engine of strongroom: it composes storage, seal, policy and audit into a [`Strongroom`],
//! opened per caller as a [`Session`].
//!
//! Every operation on a secret needs a [`Permit`], which is made in one place, after the policy
//! engine allowed the request and the audit sink acknowledged the record of it. The engine names
//! no backend, sink or policy language; a host composes them, or takes the `strongroom` crate,
//! which brings the usual ones.
//!
//! ```
//! use strongroom_engine::core::{Credential, Principal};
//! # futures_executor::block_on(async {
//! # let kit = strongroom_testkit::TestRoom::allowing_all();
//! # let room = kit.room(); // a store in memory
//! let billing = room.session(Principal::service("billing"));
//! let version = billing.put("prod/billing/db", Credential::new("billing_rw", "s3cr3t")).await?;
//!
//! // Replaced only if nobody else did meanwhile.
//! billing.put_with("prod/billing/db", Credential::new("billing_rw", "n3w"), version).await?;
//! let old: Credential = billing.get("prod/billing/db@1").await?;
//! assert_eq!(old.password().expose(str::len), 6);
//! # Ok::<(), strongroom_engine::Error>(())
//! # }).unwrap();
//! ```

pub mod blocking;

mod budget;
mod builder;
mod error;
mod future;
mod listing;
mod permit;
mod recording;
mod refusals;
mod room;
mod session;
mod system;
mod vault;
mod write_options;

pub use strongroom_audit::{Counts, Finding, RegistryError, Report, Verdict};
pub use strongroom_core as core;

pub use budget::Budget;
pub use builder::{
    Builder, DEFAULT_CACHE_BYTES, DEFAULT_DECISION_LIMIT, DEFAULT_PERMIT_LIFETIME, NeedsAudit,
    NeedsPolicy, NeedsSeal, NeedsStorage,
};
pub use error::{
    Conflict, Denied, Error, Indeterminate, Invalid, NotFound, Tampered, Unavailable, WriteOutcome,
};
pub use listing::{Listing, MAX_SORTED};
pub use permit::Permit;
pub use refusals::DEFAULT_REFUSAL_WINDOW;
pub use room::{SealedStrongroom, Strongroom};
pub use session::Session;
pub use system::{SystemClock, SystemEntropy};
pub use vault::{Child, Freshness, PruneReport, RewrapReport, SweepReport, Versioned};
pub use write_options::WriteOptions;
