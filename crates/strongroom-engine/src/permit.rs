//! Permits: the only way to act on a secret, and the only code that can make or open one.
//!
//! [`Permit`] and [`Redeemed`] have private fields, so that no other module of the engine can
//! build one; what acts on a secret takes a `Redeemed`, so that none can act without. A permit is
//! made by [`authorize`] after the policy engine allowed the request and the audit sink
//! acknowledged the record of it. It carries its target, cannot be cloned, and is used up.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use strongroom_core::{
    AccessRequest, Action, ActionName, AuditRecord, Decision, DecisionRecord, Effect, Explanation,
    List, Monotonic, Principal, Read, Receipt, Recover, RequestContext, SecretPath, SecretRef,
    Stage, Subject, Target, Timestamp, VersionSelector, WholeStore,
};

use crate::error::{Denied, Error, Unavailable};
use crate::future::{catch_panic, within};
use crate::recording::{record, record_counts, spend, throttled};
use crate::refusals::Alike;
use crate::room::Inner;
use crate::vault::{Freshness, LoadedSecret};

/// Leave to do one thing to one target, once, within the permit's life time (60 s by default, from
/// the decision on).
///
/// ```compile_fail
/// # use strongroom_engine::{Permit, core::Read};
/// fn twice(permit: Permit<Read>) {
///     let again = permit.clone(); // a permit cannot be cloned
/// }
/// ```
#[must_use = "a permit does nothing until it is used"]
pub struct Permit<A: Action> {
    grant: Redeemed<A>,
    expires: Monotonic,
    policy_revision: u64,
}

/// A permit that was opened: what the vault asks for.
pub(crate) struct Redeemed<A: Action> {
    inner: Arc<Inner>,
    target: A::Target,
    receipt: Receipt,
    loaded: Option<LoadedSecret>,
    asker: Option<Asker>,
    at: Monotonic,
}

/// The decision under which the store is changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause {
    pub(crate) receipt: Receipt,
    pub(crate) action: ActionName,
}

/// Who asks, as a session knows it.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) principal: Principal,
    /// Whether the principal's id is one that strongroom takes.
    pub(crate) is_well_formed: bool,
    pub(crate) context: RequestContext,
    pub(crate) subject: Subject,
    pub(crate) freshness: Freshness,
}

impl<A: Action> Permit<A> {
    /// What the permit is about.
    #[must_use]
    pub fn target(&self) -> &A::Target {
        &self.grant.target
    }

    /// The audit record of the decision.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.grant.receipt
    }

    /// Opens the permit, if it still holds.
    pub(crate) fn redeem(mut self) -> Result<Redeemed<A>, Error> {
        self.grant.at = self.grant.inner.clock.elapsed();
        let inner = &self.grant.inner;
        if !inner.vault.is_open() {
            return Err(Error::Sealed);
        }
        let outdated = match &self.grant.loaded {
            Some(loaded) => inner.vault.is_outdated(loaded),
            None => false,
        };
        if outdated
            || self.grant.at >= self.expires
            || inner.policy.revision() != self.policy_revision
        {
            return Err(Unavailable::StalePermit.into());
        }
        Ok(self.grant)
    }
}

impl<A: Action> fmt::Debug for Permit<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("action", &A::NAME)
            .field("target", &self.grant.target)
            .field("receipt", &self.grant.receipt)
            .finish_non_exhaustive()
    }
}

impl<A: Action> Redeemed<A> {
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(crate) fn target(&self) -> &A::Target {
        &self.target
    }

    pub(crate) fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The decision, for the intents under it.
    pub(crate) fn cause(&self) -> Cause {
        Cause { receipt: self.receipt, action: A::NAME }
    }

    /// When the permit was redeemed.
    pub(crate) const fn at(&self) -> Monotonic {
        self.at
    }

    /// What was loaded when the permit was granted; once.
    pub(crate) fn take_loaded(&mut self) -> Option<LoadedSecret> {
        self.loaded.take()
    }

    /// The seq of the head that was loaded; 0 where there was none.
    pub(crate) fn seq(&self) -> u64 {
        let summary = self.loaded.as_ref().and_then(|l| l.summary(VersionSelector::default()));
        summary.and_then(|summary| summary.head).map_or(0, |head| head.seq)
    }
}

impl Redeemed<List> {
    /// Whether the holder may list this path: what is denied is left out of listings.
    pub(crate) async fn may_see(&self, path: &SecretPath) -> bool {
        let Some(asker) = &self.asker else { return false };
        let now = self.inner.clock.now();
        let request = AccessRequest::new(asker.principal.clone(), List::NAME, path.clone(), now)
            .with_context(asker.context.clone());
        let (decision, _) = decide(&self.inner, asker, &request, now).await;
        decision.effect() == Effect::Allow
    }
}

/// Decides a request, and says when: the policy engine's word, after what no policy can override.
async fn decide(
    inner: &Inner,
    asker: &Asker,
    request: &AccessRequest,
    now: Timestamp,
) -> (Decision, Monotonic) {
    let refused = |decision| (decision, inner.clock.elapsed());
    if !asker.is_well_formed {
        return refused(Decision::deny().because("the principal's id is not well formed"));
    }
    if asker.principal.expiry().is_some_and(|until| until <= now) {
        return refused(Decision::deny().because("the principal's authentication has expired"));
    }
    let asked = catch_panic(inner.policy.decide(&asker.subject, request));
    let (decision, at) = match within(inner.decision_limit, &*inner.clock, asked).await {
        Ok((Ok(decision), at)) => (decision, at),
        Ok((Err(_), at)) => {
            return (Decision::unavailable("policy failure: the policy engine panicked"), at);
        }
        Err(_) => {
            let limit = inner.decision_limit;
            let why = format!("policy failure: the policy engine took longer than {limit:?}");
            return refused(Decision::unavailable(why));
        }
    };
    match decision.obligations().first() {
        Some(_) if decision.effect() == Effect::Allow => refused(Decision::unavailable(
            "the policy asks for an obligation that this engine does not know",
        )),
        _ => (decision, at),
    }
}

/// A request that is decided, before anything is loaded for it.
struct Judged<A: Action> {
    target: A::Target,
    request: AccessRequest,
    decision: Decision,
    at: Monotonic,
    loaded: Option<LoadedSecret>,
    policy_revision: u64,
    failed: Option<Error>,
}

impl<A: Action> Judged<A> {
    /// The path that is still to be loaded: that of an allowed request alone.
    fn wanted(&self) -> Option<&SecretPath> {
        let open = self.decision.effect() == Effect::Allow
            && self.loaded.is_none()
            && self.failed.is_none();
        self.request.target.secret().filter(|_| open)
    }
}

/// A request whose decision is not recorded yet.
struct Decided<A: Action> {
    target: A::Target,
    decision: Decision,
    at: Monotonic,
    loaded: Option<LoadedSecret>,
    record: AuditRecord,
    policy_revision: u64,
    failed: Option<Error>,
}

impl<A: Action> Decided<A> {
    /// The record, where the request was denied. An outage is none: each is recorded.
    fn denial(&self) -> Option<&DecisionRecord> {
        match &self.record {
            AuditRecord::Decision(record) if record.effect == Effect::Deny => Some(record),
            _ => None,
        }
    }
}

async fn judge<A: Action>(
    inner: &Arc<Inner>,
    asker: &Asker,
    target: A::Target,
) -> Result<Judged<A>, Error> {
    let policy_revision = inner.policy.revision();
    let now = inner.clock.now();
    let wide: Target = target.clone().into();
    let mut request = AccessRequest::new(asker.principal.clone(), A::NAME, wide, now);
    request.context = asker.context.clone();
    let (mut loaded, mut failed, mut outage) = (None, None, false);
    // Only a policy that says so sees a secret before it is allowed, and it asks by principal,
    // action and path alone: within a namespace, what exists and what does not takes the same
    // calls.
    if inner.policy.needs_secret(&request)
        && let Some(path) = request.target.secret()
    {
        match inner.vault.load_undecided(path).await {
            Ok(secret) => {
                request.secret = secret.facts();
                loaded = Some(secret);
            }
            // Decided like a path without a secret, so that a refusal does not tell that there is
            // one. INVARIANT: whatever is decided, nothing is loaded any more.
            Err(error @ Error::Tampered(_)) => failed = Some(error),
            // Nobody can decide without the facts. An outage is the same for what exists and what
            // does not, so that the caller may know of it.
            Err(error @ Error::Unavailable(_)) => (failed, outage) = (Some(error), true),
            Err(error) => return Err(error),
        }
    }
    let (decision, at) = if outage {
        let why = "what the policy needs to know of the secret could not be loaded";
        (Decision::unavailable(why), inner.clock.elapsed())
    } else {
        decide(inner, asker, &request, now).await
    };
    if decision.effect() != Effect::Allow {
        loaded = None;
        // Nor is whoever is refused told of damage.
        failed = failed.filter(|_| outage);
    }
    Ok(Judged { target, request, decision, at, loaded, policy_revision, failed })
}

/// Adds what was loaded to what was judged, and puts both on record.
fn put_on_record<A: Action>(
    judged: Judged<A>,
    found: Option<Result<LoadedSecret, Error>>,
) -> Decided<A> {
    let Judged { target, request, decision, at, mut loaded, policy_revision, mut failed } = judged;
    match found {
        Some(Ok(secret)) => loaded = Some(secret),
        // Recorded as allowed; what was in the way goes to the caller.
        Some(Err(error)) => failed = Some(error),
        None => {}
    }
    let which = match &request.target {
        Target::Version(secret) => secret.which(),
        _ => Stage::Current.into(),
    };
    let record = AuditRecord::Decision(DecisionRecord {
        at: request.now,
        principal: Some(request.principal),
        action: A::NAME,
        effect: decision.effect(),
        count: NonZeroU64::MIN,
        explanation: decision.explanation().clone(),
        target: request.target,
        context: request.context,
        loaded: loaded.as_ref().and_then(|loaded| loaded.summary(which)),
    });
    Decided { target, decision, at, loaded, record, policy_revision, failed }
}

async fn prepare<A: Action>(
    inner: &Arc<Inner>,
    asker: &Asker,
    target: A::Target,
) -> Result<Decided<A>, Error> {
    let judged = judge::<A>(inner, asker, target).await?;
    let found = match judged.wanted() {
        Some(path) => Some(inner.vault.load(path, asker.freshness).await),
        None => None,
    };
    Ok(put_on_record(judged, found))
}

fn grant<A: Action>(
    inner: &Arc<Inner>,
    asker: &Asker,
    decided: Decided<A>,
    receipt: Receipt,
) -> Result<Permit<A>, Error> {
    let explanation = decided.decision.explanation();
    match decided.decision.effect() {
        Effect::Deny => Err(Denied::new(A::NAME, receipt, explanation.clone()).into()),
        Effect::Unavailable => Err(match decided.failed {
            Some(outage) => outage,
            None => Unavailable::Policy { receipt, explanation: explanation.clone() }.into(),
        }),
        Effect::Allow => match decided.failed {
            Some(error) => Err(error),
            None => Ok(Permit {
                grant: Redeemed {
                    inner: inner.clone(),
                    target: decided.target,
                    receipt,
                    loaded: decided.loaded,
                    // Only listings ask again, path by path.
                    asker: (A::NAME == List::NAME).then(|| asker.clone()),
                    at: decided.at,
                },
                expires: decided.at.saturating_add(inner.permit_lifetime),
                policy_revision: decided.policy_revision,
            }),
        },
    }
}

/// Decides, loads, records, and grants. The only way to a permit for a caller.
pub(crate) async fn authorize<A: Action>(
    inner: &Arc<Inner>,
    asker: &Asker,
    target: A::Target,
) -> Result<Permit<A>, Error> {
    if !inner.vault.is_open() {
        return Err(Error::Sealed);
    }
    let spent = spend(inner, asker, 1);
    if let Err(wait) = spent
        && !A::NAME.takes_access_away()
    {
        return Err(throttled(inner, asker, A::NAME, target.into(), wait).await);
    }
    let decided = prepare::<A>(inner, asker, target).await?;
    if let Err(wait) = spent
        && decided.decision.effect() != Effect::Allow
    {
        return Err(throttled(inner, asker, A::NAME, decided.target.into(), wait).await);
    }
    record_counts(inner, decided.at).await;
    let receipt = match counted(inner, &decided) {
        Some(receipt) => receipt,
        None => {
            let receipt = record(inner, &decided.record).await?;
            begin_to_count(inner, &decided, receipt);
            receipt
        }
    };
    grant(inner, asker, decided, receipt)
}

/// The record with which a refusal is counted, where there is one.
fn counted<A: Action>(inner: &Inner, decided: &Decided<A>) -> Option<Receipt> {
    inner.refusals.count(Alike::Requests, decided.denial()?, decided.at)
}

/// Counts those that follow with the refusal that was recorded just now.
fn begin_to_count<A: Action>(inner: &Inner, decided: &Decided<A>, receipt: Receipt) {
    if let Some(record) = decided.denial() {
        inner.refusals.begin(Alike::Requests, record, receipt, decided.at);
    }
}

/// Decides many reads, and records them in one append.
pub(crate) async fn authorize_reads(
    inner: &Arc<Inner>,
    asker: &Asker,
    secrets: &[SecretRef],
) -> Result<Vec<Result<Permit<Read>, Error>>, Error> {
    if !inner.vault.is_open() {
        return Err(Error::Sealed);
    }
    let Some(first) = secrets.first() else { return Ok(Vec::new()) };
    if let Err(wait) = spend(inner, asker, secrets.len()) {
        return Err(throttled(inner, asker, Read::NAME, first.clone().into(), wait).await);
    }
    let mut judged = Vec::with_capacity(secrets.len());
    for secret in secrets {
        judged.push(judge::<Read>(inner, asker, secret.clone()).await?);
    }
    let wanted: Vec<&SecretPath> = judged.iter().filter_map(Judged::wanted).collect();
    let mut found = inner.vault.load_many(&wanted, asker.freshness).await.into_iter();
    let mut decided = Vec::with_capacity(secrets.len());
    let mut records = Vec::with_capacity(secrets.len());
    if let Some(first) = judged.first() {
        record_counts(inner, first.at).await;
    }
    let mut denied = HashMap::new();
    for one in judged {
        let found = if one.wanted().is_some() { found.next() } else { None };
        let one = put_on_record(one, found);
        let place = match counted(inner, &one) {
            Some(receipt) => Place::Counted(receipt),
            None => match again(inner, &one, &mut denied, &mut records) {
                Some(at) => Place::Again(at),
                None => {
                    records.push(one.record.clone());
                    Place::New(records.len() - 1)
                }
            },
        };
        decided.push((one, place));
    }
    let receipts = match &*records {
        [] => Vec::new(),
        records => inner.sink.append(records, inner.durability).await?,
    };
    let mut granted = Vec::with_capacity(decided.len());
    for (one, place) in decided {
        let receipt = match place {
            Place::Counted(receipt) => Some(receipt),
            Place::New(at) | Place::Again(at) => receipts.get(at).copied(),
        };
        let receipt =
            receipt.ok_or(Unavailable::Unsupported("the audit sink gave too few receipts"))?;
        if matches!(place, Place::New(_)) {
            begin_to_count(inner, &one, receipt);
        }
        granted.push(grant(inner, asker, one, receipt));
    }
    Ok(granted)
}

/// Where one of many decisions is recorded.
enum Place {
    /// It is counted with an earlier one.
    Counted(Receipt),
    /// By a record of its own, or with an equal denial among the many.
    New(usize),
    Again(usize),
}

/// Counts a denial with an equal one that is recorded with it, and says which record that is.
fn again(
    inner: &Inner,
    one: &Decided<Read>,
    denied: &mut HashMap<Target, usize>,
    records: &mut [AuditRecord],
) -> Option<usize> {
    let denial = one.denial().filter(|_| !inner.refusals.window().is_zero())?;
    // Who asks, and why, is the same for all of them.
    let at = *denied.entry(denial.target.clone()).or_insert(records.len());
    match records.get_mut(at) {
        Some(AuditRecord::Decision(first))
            if first.effect == denial.effect && first.explanation == denial.explanation =>
        {
            first.count = first.count.saturating_add(1);
            Some(at)
        }
        _ => None,
    }
}

/// Mints the permit under which a dead process's writes are settled: without policy, for
/// `system:strongroom`, at open alone, and able only to fence.
pub(crate) async fn authorize_recovery(inner: &Arc<Inner>) -> Result<Redeemed<Recover>, Error> {
    let settles = system_record(inner, Recover::NAME, "settles what a dead process left open");
    let receipt = record(inner, &settles).await?;
    Ok(Redeemed {
        inner: inner.clone(),
        target: WholeStore,
        receipt,
        loaded: None,
        asker: None,
        at: inner.clock.elapsed(),
    })
}

fn system_record(inner: &Inner, action: ActionName, reason: &'static str) -> AuditRecord {
    let explanation: Explanation = Decision::allow().because(reason).explanation().clone();
    AuditRecord::Decision(DecisionRecord {
        at: inner.clock.now(),
        principal: None,
        action,
        target: Target::Store,
        effect: Effect::Allow,
        count: NonZeroU64::MIN,
        explanation,
        context: RequestContext::default(),
        loaded: None,
    })
}
