//! A policy that can be replaced while it is in use.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use strongroom_core::{AccessRequest, Decision, PolicyEngine, Principal, Subject, async_trait};

use crate::policy::Policy;

/// A handle on the policy in force. Clones are the same handle: keep one, and give one to the
/// store.
///
/// [`replace`](LivePolicy::replace) takes a parsed policy, so that a broken document leaves the
/// old one in force. A decision sees the old rules or the new ones, never a mixture.
///
/// ```
/// use strongroom_core::Principal;
/// use strongroom_policy::{LivePolicy, Policy};
///
/// let live = LivePolicy::new(Policy::owned_by(&Principal::user("alice")));
/// let for_the_store = live.clone();
///
/// let nobody = Policy::from_toml("rule = []")?;
/// let old = live.replace(nobody);
/// assert_eq!(old.rules().len(), 1);
/// assert!(for_the_store.current().rules().is_empty());
/// # Ok::<(), strongroom_policy::PolicyError>(())
/// ```
#[derive(Clone)]
pub struct LivePolicy(Arc<ArcSwap<Installed>>);

struct Installed {
    policy: Arc<Policy>,
    swaps: u64,
    /// Of the content and of how often it was swapped: putting back earlier rules is a change too.
    revision: u64,
}

impl Installed {
    fn new(policy: Arc<Policy>, swaps: u64) -> Self {
        let revision = policy.revision().wrapping_add(swaps);
        Self { policy, swaps, revision }
    }
}

impl LivePolicy {
    /// A handle on this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Installed::new(Arc::new(policy), 0))))
    }

    /// Puts another policy in force for all clones, and gives the old one back.
    pub fn replace(&self, policy: Policy) -> Arc<Policy> {
        let policy = Arc::new(policy);
        let old = self.0.rcu(|old| Installed::new(Arc::clone(&policy), old.swaps.wrapping_add(1)));
        Arc::clone(&old.policy)
    }

    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.0.load().policy)
    }
}

impl fmt::Debug for LivePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let installed = self.0.load();
        f.debug_struct("LivePolicy")
            .field("policy", &installed.policy)
            .field("swaps", &installed.swaps)
            .finish()
    }
}

#[async_trait]
impl PolicyEngine for LivePolicy {
    fn revision(&self) -> u64 {
        self.0.load().revision
    }

    fn needs_secret(&self, request: &AccessRequest) -> bool {
        self.0.load().policy.needs_secret(request)
    }

    fn subject(&self, principal: &Principal) -> Subject {
        let installed = self.0.load();
        installed.policy.subject_at(installed.revision, principal)
    }

    async fn decide(&self, subject: &Subject, request: &AccessRequest) -> Decision {
        self.0.load().policy.evaluate_for(subject, request)
    }
}
