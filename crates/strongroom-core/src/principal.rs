//! Who asks, and what is known of this one request.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::time::Timestamp;

/// A caller, asserted by the host after its own authentication.
///
/// Never `Deserialize`: it is built in code, from a verified token or peer, and cannot arrive
/// in a request body. Ids are typed, so that `user:billing` and `service:billing` differ;
/// no constructor makes a `system:` principal.
///
/// ```
/// use strongroom_core::Principal;
///
/// let billing = Principal::service("billing").with_role("reader").with_claim("tenant", "acme");
/// assert_eq!(billing.id(), "service:billing");
/// ```
#[derive(Clone)]
pub struct Principal(Arc<PrincipalData>);

#[derive(Debug, Clone, Serialize)]
struct PrincipalData {
    id: Arc<str>,
    roles: Vec<Arc<str>>,
    claims: BTreeMap<Arc<str>, Claim>,
    authenticated_at: Option<Timestamp>,
    strength: Option<Strength>,
    valid_until: Option<Timestamp>,
}

/// What a token says of its bearer.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Claim {
    /// Text.
    Text(Arc<str>),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<Arc<str>>),
}

impl From<&str> for Claim {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Claim {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Claim {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Claim {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Vec<String>> for Claim {
    fn from(list: Vec<String>) -> Self {
        Self::List(list.into_iter().map(Arc::from).collect())
    }
}

/// How strongly a principal was authenticated, weakest first.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// Something known: a password.
    Single,
    /// Two factors.
    Multi,
    /// A key in hardware.
    Hardware,
}

impl Principal {
    fn of_type(kind: &str, name: &str) -> Self {
        Self(Arc::new(PrincipalData {
            id: format!("{kind}:{name}").into(),
            roles: Vec::new(),
            claims: BTreeMap::new(),
            authenticated_at: None,
            strength: None,
            valid_until: None,
        }))
    }

    /// A person: `user:alice`.
    #[must_use]
    pub fn user(name: impl AsRef<str>) -> Self {
        Self::of_type("user", name.as_ref())
    }

    /// A program that runs on its own account: `service:billing`.
    #[must_use]
    pub fn service(name: impl AsRef<str>) -> Self {
        Self::of_type("service", name.as_ref())
    }

    /// A job of a build or deployment: `pipeline:deploy`.
    #[must_use]
    pub fn pipeline(name: impl AsRef<str>) -> Self {
        Self::of_type("pipeline", name.as_ref())
    }

    /// A machine: `host:db-1`.
    #[must_use]
    pub fn host(name: impl AsRef<str>) -> Self {
        Self::of_type("host", name.as_ref())
    }

    /// The same principal in a role more.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<Arc<str>>) -> Self {
        Arc::make_mut(&mut self.0).roles.push(role.into());
        self
    }

    /// The same principal with a claim; a claim of that name is replaced.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<Arc<str>>, value: impl Into<Claim>) -> Self {
        Arc::make_mut(&mut self.0).claims.insert(name.into(), value.into());
        self
    }

    /// The same principal with when and how strongly it was authenticated.
    #[must_use]
    pub fn authenticated_at(mut self, at: Timestamp, strength: Strength) -> Self {
        let data = Arc::make_mut(&mut self.0);
        data.authenticated_at = Some(at);
        data.strength = Some(strength);
        self
    }

    /// The same principal, refused from `until` on: the expiry of the token behind it.
    #[must_use]
    pub fn valid_until(mut self, until: Timestamp) -> Self {
        Arc::make_mut(&mut self.0).valid_until = Some(until);
        self
    }

    /// The typed id: `service:billing`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The typed id, shared.
    #[must_use]
    pub fn shared_id(&self) -> &Arc<str> {
        &self.0.id
    }

    /// The roles, in the order in which they were given.
    #[must_use]
    pub fn roles(&self) -> &[Arc<str>] {
        &self.0.roles
    }

    /// The claim of that name.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Claim> {
        self.0.claims.get(name)
    }

    /// All claims, by name.
    #[must_use]
    pub fn claims(&self) -> &BTreeMap<Arc<str>, Claim> {
        &self.0.claims
    }

    /// When it was authenticated.
    #[must_use]
    pub fn authentication_time(&self) -> Option<Timestamp> {
        self.0.authenticated_at
    }

    /// How strongly it was authenticated.
    #[must_use]
    pub fn strength(&self) -> Option<Strength> {
        self.0.strength
    }

    /// From when on it is refused.
    #[must_use]
    pub fn expiry(&self) -> Option<Timestamp> {
        self.0.valid_until
    }

    /// Whether the id is one that strongroom takes: a name of 1 to 255 bytes without control
    /// characters after the type. Requests of any other are refused.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let name = self.id().split_once(':').map_or("", |(_, name)| name);
        (1..=255).contains(&name.len()) && !name.chars().any(char::is_control)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What is known of one request, apart from who asks.
///
/// ```
/// use strongroom_core::RequestContext;
/// let context = RequestContext::new().with_request_id("req-7").with_reason("ticket 4711");
/// assert_eq!(context.request_id.as_deref(), Some("req-7"));
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestContext {
    /// The host's id of the request. The one thing of a request that the log shows in clear.
    pub request_id: Option<Arc<str>>,
    /// The address that the request came from.
    pub source: Option<IpAddr>,
    /// Why, in the caller's words.
    pub reason: Option<Arc<str>>,
}

impl RequestContext {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With the host's id of the request.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// With the address that the request came from.
    #[must_use]
    pub fn with_source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// With the caller's reason.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}
