//! The record that is appended most.

use std::num::NonZeroU64;

use strongroom::{
    ActionName, AuditRecord, Decision, DecisionRecord, Digest, Effect, Key, Loaded, LoadedHead,
    RequestContext, SecretPath, Target, Timestamp, Version,
};

use crate::{Outcome, owner};

/// What is recorded of a `get` that was allowed.
///
/// # Errors
/// None: the time is one that a record can have.
pub fn record_of_get(path: &SecretPath) -> Outcome<AuditRecord> {
    Ok(AuditRecord::Decision(DecisionRecord {
        at: Timestamp::from_millis(1_700_000_000_000)?,
        principal: Some(owner()),
        action: ActionName::Read,
        target: Target::Secret(path.clone()),
        effect: Effect::Allow,
        count: NonZeroU64::MIN,
        explanation: Decision::allow().by_rule("owner").explanation().clone(),
        context: RequestContext::default(),
        loaded: Some(Loaded {
            key: Key::new([3; 41]),
            head: Some(LoadedHead {
                seq: 1,
                digest: Digest::from_bytes([9; 32]),
                version: Version::new(1),
            }),
        }),
    }))
}
