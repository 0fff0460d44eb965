//! An embeddable secret manager: encrypted, versioned, policy-checked, audited secrets inside
//! your own process.
//!
//! This crate is the one that a host names. It re-exports the others and adds nothing.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use strongroom::{Credential, FileLog, Passphrase, Policy, Principal, SqliteStorage, Strongroom};
//!
//! # let scratch = tempfile::tempdir()?;
//! # let dir = scratch.path().join("room");
//! let owner = Principal::user("alice");
//! let room = Strongroom::builder()
//!     .storage(SqliteStorage::open(dir.join("secrets.db"))?)
//!     .seal(Passphrase::new("correct horse battery staple"))
//!     .policy(Policy::owned_by(&owner))
//!     .audit(FileLog::open(dir.join("audit"))?)
//!     .blocking() // leave this out, and write `.await`, under a runtime
//!     .open_or_create()?;
//!
//! let alice = room.session(owner);
//! alice.put("home/router", Credential::new("admin", "s3cr3t"))?;
//! let router: Credential = alice.get("home/router")?;
//! assert_eq!(router.username(), "admin");
//! room.close()?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```

/// The lines of the audit log, proofs that others can check, and what sinks of one's own need.
pub use strongroom_audit as audit;
pub use strongroom_audit::{
    Counts, FileAnchor, FileLog, Finding, RegistryError, Report, Verdict, Verifier, verify_dir,
    verify_logs,
};
pub use strongroom_core::*;
pub use strongroom_crypto::{Argon2Cost, AuditorKey, AuditorKeyError, Passphrase};
pub use strongroom_engine::{
    Budget, Builder, Child, Conflict, Denied, Error, Freshness, Indeterminate, Invalid, Listing,
    NotFound, Permit, PruneReport, RewrapReport, SealedStrongroom, Session, Strongroom,
    SweepReport, SystemClock, SystemEntropy, Tampered, Unavailable, Versioned, WriteOptions,
    WriteOutcome, blocking,
};
pub use strongroom_policy::{LivePolicy, Policy, PolicyError};
/// Leases on secrets across processes, and the exchange of credentials that can be used once.
#[cfg(feature = "rotation")]
pub use strongroom_rotation as rotation;
#[cfg(feature = "sqlite")]
pub use strongroom_storage_sqlite::SqliteStorage;
