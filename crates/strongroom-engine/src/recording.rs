//! Putting decisions on record, and refusing who asks for too many.

use std::num::NonZeroU64;
use std::time::Duration;

use strongroom_core::{
    ActionName, AuditRecord, Decision, DecisionRecord, Effect, Monotonic, Receipt, Target,
};

use crate::budget::Budget;
use crate::error::{Error, Unavailable};
use crate::permit::Asker;
use crate::refusals::Alike;
use crate::room::Inner;

/// Puts one on record.
pub(crate) async fn record(inner: &Inner, record: &AuditRecord) -> Result<Receipt, Error> {
    let receipts = inner.sink.append(std::slice::from_ref(record), inner.durability).await?;
    let receipt = receipts.first();
    Ok(*receipt.ok_or(Unavailable::Unsupported("the audit sink gave no receipt"))?)
}

/// Takes so many decisions from the budget of who asks, where there is one.
pub(crate) fn spend(inner: &Inner, asker: &Asker, decisions: usize) -> Result<(), Duration> {
    let budget = match inner.budget {
        Some(budget) => budget,
        None if inner.sink.is_scarce() => Budget::SCARCE,
        None => return Ok(()),
    };
    let decisions = u32::try_from(decisions).unwrap_or(u32::MAX);
    inner.budgets.spend(budget, asker.principal.shared_id(), decisions, inner.clock.elapsed())
}

/// The error of a request that is refused since the budget of who asks is used up. All of them that
/// come within a while share a record.
pub(crate) async fn throttled(
    inner: &Inner,
    asker: &Asker,
    action: ActionName,
    target: Target,
    retry_after: Duration,
) -> Error {
    let why = "throttled: the principal has used up its budget of records";
    let refusal = DecisionRecord {
        at: inner.clock.now(),
        principal: Some(asker.principal.clone()),
        action,
        target,
        effect: Effect::Unavailable,
        count: NonZeroU64::MIN,
        explanation: Decision::unavailable(why).explanation().clone(),
        context: asker.context.clone(),
        loaded: None,
    };
    let now = inner.clock.elapsed();
    record_counts(inner, now).await;
    if inner.refusals.count(Alike::Throttled, &refusal, now).is_none() {
        match record(inner, &AuditRecord::Decision(refusal.clone())).await {
            Ok(receipt) => inner.refusals.begin(Alike::Throttled, &refusal, receipt, now),
            Err(error) => return error,
        }
    }
    Unavailable::Throttled { retry_after }.into()
}

/// Writes the counts that are due. What cannot be written now stays counted, and is in nobody's way.
pub(crate) async fn record_counts(inner: &Inner, now: Monotonic) {
    let _ = inner.refusals.record_due(&*inner.sink, inner.durability, now).await;
}
