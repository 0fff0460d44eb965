//! The question put to a policy engine, and its answer.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use crate::action::ActionName;
use crate::path::Target;
use crate::principal::{Principal, RequestContext};
use crate::time::Timestamp;

/// One request for access, as a policy engine sees it.
///
/// `Serialize`, so that it can be sent to a decision point elsewhere. It has no field that could
/// hold a secret.
#[non_exhaustive]
#[derive(Debug, Clone, Serialize)]
pub struct AccessRequest {
    /// Who asks.
    pub principal: Principal,
    /// To do what.
    pub action: ActionName,
    /// To what.
    pub target: Target,
    /// What is known of the secret; only where the engine said that it
    /// [needs](PolicyEngine::needs_secret) it. An absent secret has no facts.
    pub secret: Option<SecretFacts>,
    /// What is known of the request.
    pub context: RequestContext,
    /// Wall time of the request.
    pub now: Timestamp,
}

impl AccessRequest {
    /// A request without facts about the secret and without a context.
    #[must_use]
    pub fn new(
        principal: Principal,
        action: ActionName,
        target: impl Into<Target>,
        now: Timestamp,
    ) -> Self {
        Self {
            principal,
            action,
            target: target.into(),
            secret: None,
            context: RequestContext::default(),
            now,
        }
    }

    /// The same request with what is known of it.
    #[must_use]
    pub fn with_context(mut self, context: RequestContext) -> Self {
        self.context = context;
        self
    }

    /// The same request with what is known of the secret.
    #[must_use]
    pub fn with_secret(mut self, facts: SecretFacts) -> Self {
        self.secret = Some(facts);
        self
    }
}

/// What a policy may know of a secret.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SecretFacts {
    /// The kind's name.
    pub kind: String,
    /// The owner.
    pub owner: Option<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

/// What a decision does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The request may proceed.
    Allow,
    /// It may not.
    Deny,
    /// Nobody could tell: it may not either, but that is an outage and not a denial.
    Unavailable,
}

impl Effect {
    /// The name that records write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A decision with its reasons. Never a `Result`: what cannot be evaluated narrows access.
///
/// ```
/// use strongroom_core::{Decision, Effect};
///
/// let decision = Decision::deny().by_rule("no-interns").because("interns read no secrets");
/// assert_eq!(decision.effect(), Effect::Deny);
/// assert_eq!(decision.explanation().to_string(), "rule `no-interns`: interns read no secrets");
/// ```
#[must_use]
#[derive(Debug, Clone)]
pub struct Decision {
    effect: Effect,
    explanation: Explanation,
    obligations: Option<Arc<[Arc<str>]>>,
}

impl Decision {
    const fn of(effect: Effect) -> Self {
        Self { effect, explanation: Explanation { rule: None, reason: None }, obligations: None }
    }

    /// Access is granted.
    pub const fn allow() -> Self {
        Self::of(Effect::Allow)
    }

    /// Access is refused.
    pub const fn deny() -> Self {
        Self::of(Effect::Deny)
    }

    /// Nobody could decide; access is refused, and reported as an outage.
    pub fn unavailable(why: impl Into<Arc<str>>) -> Self {
        Self::of(Effect::Unavailable).because(why)
    }

    /// Names the rule that decided.
    pub fn by_rule(mut self, id: impl Into<Arc<str>>) -> Self {
        self.explanation.rule = Some(id.into());
        self
    }

    /// Says why, to the operator.
    pub fn because(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.explanation.reason = Some(reason.into());
        self
    }

    /// Grants only where the engine fulfils the obligation; one that it does not know refuses.
    pub fn requiring(mut self, obligation: impl Into<Arc<str>>) -> Self {
        let known = self.obligations.iter().flat_map(|all| all.iter().cloned());
        self.obligations = Some(known.chain([obligation.into()]).collect());
        self
    }

    /// What the decision does.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// Why, for the operator.
    #[must_use]
    pub const fn explanation(&self) -> &Explanation {
        &self.explanation
    }

    /// What must be fulfilled for an `Allow` to hold.
    #[must_use]
    pub fn obligations(&self) -> &[Arc<str>] {
        self.obligations.as_deref().unwrap_or_default()
    }
}

/// Why a decision was made. For the operator: it may name rules, which a refused caller is not told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    rule: Option<Arc<str>>,
    reason: Option<Arc<str>>,
}

impl Explanation {
    /// The rule that decided; `None` where no rule matched.
    #[must_use]
    pub fn rule(&self) -> Option<&Arc<str>> {
        self.rule.as_ref()
    }

    /// The reason in words.
    #[must_use]
    pub fn reason(&self) -> Option<&Arc<str>> {
        self.reason.as_ref()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.rule, &self.reason) {
            (Some(rule), Some(reason)) => write!(f, "rule `{rule}`: {reason}"),
            (Some(rule), None) => write!(f, "rule `{rule}`"),
            (None, Some(reason)) => f.write_str(reason),
            (None, None) => f.write_str("no rule allows it"),
        }
    }
}

/// What an engine worked out about a principal: which roles and rules concern it. Resolved once a
/// session, and again when the engine's revision has changed.
#[derive(Clone)]
pub struct Subject {
    revision: u64,
    resolved: Arc<dyn Any + Send + Sync>,
}

impl Subject {
    /// What the engine at `revision` worked out.
    #[must_use]
    pub fn new(revision: u64, resolved: Arc<dyn Any + Send + Sync>) -> Self {
        Self { revision, resolved }
    }

    /// A subject of an engine that works nothing out ahead.
    #[must_use]
    pub fn unresolved(revision: u64) -> Self {
        Self::new(revision, Arc::new(()))
    }

    /// The revision that this holds for.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The engine's own data, if it is of that type.
    #[must_use]
    pub fn resolved<T: Any>(&self) -> Option<&T> {
        self.resolved.downcast_ref()
    }
}

impl Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// Decides who may do what.
///
/// # Contract
/// A decision depends on the request and the engine's state alone: a [`Subject`] saves work, and one
/// that is stale, unresolved or another principal's widens nothing. Where
/// [`needs_secret`](Self::needs_secret) says no, facts about the secret change nothing. What cannot
/// be evaluated narrows access. `decide` makes progress under any executor; an engine that asks a remote
/// decision point brings its own reactor and deadline, and answers
/// [`Decision::unavailable`] where it got no answer. What is decided later than the store allows (5 s
/// unless it was built otherwise) is refused as an outage. `strongroom_testkit::policy` holds an engine to
/// this.
///
/// # Cancellation
/// `decide` can be dropped at any await point; it has no effect to undo.
#[async_trait]
pub trait PolicyEngine: Debug + Send + Sync + 'static {
    /// Changes with each swap of the rules. A permit that was granted under another one is stale.
    fn revision(&self) -> u64;

    /// Whether facts about the secret are needed, told by principal, action and path alone.
    fn needs_secret(&self, request: &AccessRequest) -> bool;

    /// Works out ahead what depends on the principal alone.
    fn subject(&self, principal: &Principal) -> Subject;

    /// Decides.
    async fn decide(&self, subject: &Subject, request: &AccessRequest) -> Decision;
}

#[async_trait]
impl<T: PolicyEngine + ?Sized> PolicyEngine for Arc<T> {
    fn revision(&self) -> u64 {
        (**self).revision()
    }
    fn needs_secret(&self, request: &AccessRequest) -> bool {
        (**self).needs_secret(request)
    }
    fn subject(&self, principal: &Principal) -> Subject {
        (**self).subject(principal)
    }
    async fn decide(&self, subject: &Subject, request: &AccessRequest) -> Decision {
        (**self).decide(subject, request).await
    }
}
