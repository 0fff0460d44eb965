//! A rule, checked.

use std::fmt;
use std::sync::Arc;

use strongroom_core::{ActionName, Principal};

use crate::pattern::{PathPattern, SegmentPattern};
use crate::truth::Truth;

/// The types of principal that a rule can name: those that a host can assert.
pub(crate) const PRINCIPAL_TYPES: [&str; 4] = ["user", "service", "pipeline", "host"];

/// What a rule does to the requests that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleEffect {
    /// Grants them, unless a deny matches too.
    Allow,
    /// Refuses them, whatever else matches.
    Deny,
}

impl RuleEffect {
    /// The name that policy files write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// Whether a rule of this effect applies, given whether it matches: what cannot be told makes
    /// a deny apply and an allow not.
    #[must_use]
    pub fn applies(self, matches: Truth) -> bool {
        match self {
            Self::Allow => matches == Truth::True,
            Self::Deny => matches != Truth::False,
        }
    }
}

/// A rule of a [`Policy`](crate::Policy).
pub struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) effect: RuleEffect,
    pub(crate) description: Option<Arc<str>>,
    /// `None`: whoever has one of the roles.
    pub(crate) principals: Option<Vec<PrincipalPattern>>,
    /// `None`: whatever roles the principal has.
    pub(crate) roles: Option<Vec<Arc<str>>>,
    pub(crate) actions: Vec<ActionName>,
    pub(crate) paths: Vec<PathPattern>,
}

impl Rule {
    /// The id, which decisions name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it does.
    #[must_use]
    pub fn effect(&self) -> RuleEffect {
        self.effect
    }

    /// What it is for; the reason of the decisions that it makes.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Everything that can be granted, for that principal id alone.
    pub(crate) fn owner(principal: &Principal) -> Self {
        Self {
            id: "owner".into(),
            effect: RuleEffect::Allow,
            description: None,
            principals: Some(vec![PrincipalPattern::Id(Arc::clone(principal.shared_id()))]),
            roles: None,
            actions: grantable().collect(),
            paths: vec![PathPattern::Store, PathPattern::Path(vec![SegmentPattern::Rest])],
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("id", &self.id).field("effect", &self.effect).finish()
    }
}

/// The actions that a rule can be about.
pub(crate) fn grantable() -> impl Iterator<Item = ActionName> {
    ActionName::ALL.iter().copied().filter(|&action| action != ActionName::Recover)
}

/// Which principals an entry of `principals` is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PrincipalPattern {
    /// `*`
    Anyone,
    /// `service:*`
    Type(&'static str),
    /// `service:billing`
    Id(Arc<str>),
}

impl PrincipalPattern {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Anyone);
        }
        let (kind, name) = text.split_once(':')?;
        let kind = PRINCIPAL_TYPES.into_iter().find(|known| *known == kind)?;
        match name {
            "*" => Some(Self::Type(kind)),
            _ if is_exact(name, 255) => Some(Self::Id(text.into())),
            _ => None,
        }
    }
}

/// Whether the text can name one principal or role and nothing else.
pub(crate) fn is_exact(text: &str, most_bytes: usize) -> bool {
    (1..=most_bytes).contains(&text.len()) && !text.chars().any(|c| c == '*' || c.is_control())
}
