//! A policy: parsed, compiled, and decided with.

use std::fmt;
use std::sync::Arc;

use strongroom_core::{AccessRequest, Decision, PolicyEngine, Principal, Subject, async_trait};

use crate::compiled::{Compiled, Resolved};
use crate::document;
use crate::fault::PolicyError;
use crate::rule::Rule;

/// An immutable set of rules, compiled. Clones share it.
///
/// See the [crate documentation](crate) for the form of a document and for what rules mean.
///
/// ```
/// use strongroom_core::{AccessRequest, ActionName, Effect, Principal, Timestamp, path};
/// use strongroom_policy::Policy;
///
/// let policy = Policy::from_toml(
///     r#"
///     [[rule]]
///     id = "billing-owns-its-database"
///     effect = "allow"
///     principals = ["service:billing"]
///     actions = ["read", "write", "create-namespace"]
///     paths = ["prod", "prod/billing/**"]
///     "#,
/// )?;
/// let ask = |who: Principal| {
///     let now = Timestamp::default();
///     policy.evaluate(&AccessRequest::new(who, ActionName::Read, path!("prod/billing/db"), now))
/// };
///
/// let granted = ask(Principal::service("billing"));
/// assert_eq!(granted.effect(), Effect::Allow);
/// assert_eq!(granted.explanation().to_string(), "rule `billing-owns-its-database`");
/// assert_eq!(ask(Principal::service("intern")).effect(), Effect::Deny);
/// # Ok::<(), strongroom_policy::PolicyError>(())
/// ```
#[derive(Clone)]
pub struct Policy(Arc<Compiled>);

impl Policy {
    /// The policy that a TOML document says.
    ///
    /// # Errors
    /// Everything that is wrong with the document.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        document::from_toml(text).map(Self::from_rules)
    }

    /// The policy that a JSON document says: `{"rule": [{"id": …}]}`.
    ///
    /// # Errors
    /// Everything that is wrong with the document.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        document::from_json(text).map(Self::from_rules)
    }

    /// The policy that a YAML document says. Anchors and aliases are refused.
    ///
    /// # Errors
    /// Everything that is wrong with the document.
    #[cfg(feature = "yaml")]
    pub fn from_yaml(text: &str) -> Result<Self, PolicyError> {
        document::from_yaml(text).map(Self::from_rules)
    }

    /// Everything that can be granted, for exactly that principal id: a tool with one user.
    ///
    /// Roles and claims of the principal play no part. Decisions name the rule `owner`.
    ///
    /// ```
    /// use strongroom_core::{AccessRequest, ActionName, Effect, Principal, Timestamp, WholeStore};
    /// use strongroom_policy::Policy;
    ///
    /// let me = Principal::user("alice");
    /// let now = Timestamp::default();
    /// let verify = AccessRequest::new(me.clone(), ActionName::Verify, WholeStore, now);
    /// assert_eq!(Policy::owned_by(&me).evaluate(&verify).effect(), Effect::Allow);
    /// assert_eq!(Policy::owned_by(&Principal::user("bob")).evaluate(&verify).effect(), Effect::Deny);
    /// ```
    #[must_use]
    pub fn owned_by(principal: &Principal) -> Self {
        Self::from_rules(vec![Rule::owner(principal)])
    }

    /// Decides a request, working out its principal on the way.
    pub fn evaluate(&self, request: &AccessRequest) -> Decision {
        self.0.decide(&self.0.resolve(&request.principal), request)
    }

    /// Decides a request for a subject that [`PolicyEngine::subject`] worked out, without an
    /// allocation.
    ///
    /// A subject of other rules, or of another principal than the request's (a clone is the same
    /// one), is not trusted: then this does what [`Policy::evaluate`] does.
    pub fn evaluate_for(&self, subject: &Subject, request: &AccessRequest) -> Decision {
        match subject.resolved::<Resolved>() {
            Some(resolved) if resolved.is_for(&self.0, &request.principal) => {
                self.0.decide(resolved, request)
            }
            _ => self.evaluate(request),
        }
    }

    /// The rules, in the order of the document.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        self.0.rules()
    }

    /// The subject under a revision that the caller chooses.
    pub(crate) fn subject_at(&self, revision: u64, principal: &Principal) -> Subject {
        Subject::new(revision, Arc::new(self.0.resolve(principal)))
    }

    fn from_rules(rules: Vec<Rule>) -> Self {
        Self(Arc::new(Compiled::new(rules)))
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("rules", &self.rules()).finish()
    }
}

#[async_trait]
impl PolicyEngine for Policy {
    /// The same for the same rules in the same order.
    fn revision(&self) -> u64 {
        self.0.revision()
    }

    fn needs_secret(&self, _request: &AccessRequest) -> bool {
        false
    }

    fn subject(&self, principal: &Principal) -> Subject {
        self.subject_at(self.revision(), principal)
    }

    async fn decide(&self, subject: &Subject, request: &AccessRequest) -> Decision {
        self.evaluate_for(subject, request)
    }
}
