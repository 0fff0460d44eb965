//! Rules compiled for deciding: who is concerned is worked out once a session, the rest is a walk
//! along the path and a few words of bits.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use strongroom_core::{AccessRequest, ActionName, Claim, Decision, Namespace, Principal};

use crate::bits::Bits;
use crate::hash::FastMap;
use crate::pattern::{PathPattern, SegmentPattern};
use crate::rule::{PRINCIPAL_TYPES, PrincipalPattern, Rule};
use crate::tree::{ClaimSegment, Ends, PatternTree};
use crate::truth::Truth;

/// An immutable set of rules with its indices. Rules are named by their place.
#[derive(Debug)]
pub(crate) struct Compiled {
    rules: Vec<Rule>,
    revision: u64,
    patterns: PatternTree,
    /// For each action, by its place in [`ActionName::ALL`].
    by_action: Vec<Bits>,
    ids: Naming,
    roles: Naming,
    by_type: [Bits; PRINCIPAL_TYPES.len()],
    reasons: Reasons,
}

/// Which rules name an id, or a role.
#[derive(Debug)]
struct Naming {
    by_name: FastMap<Arc<str>, Vec<u32>>,
    /// Rules that every principal fits in this respect.
    everyone: Bits,
}

impl Naming {
    fn new(rules: usize) -> Self {
        Self { by_name: FastMap::default(), everyone: Bits::new(rules) }
    }

    fn add_named(&self, name: &str, to: &mut Bits) {
        self.by_name.get(name).into_iter().flatten().for_each(|&rule| to.insert(rule));
    }
}

/// Texts of decisions that no rule explains, made ahead since deciding allocates nothing.
#[derive(Debug)]
struct Reasons {
    no_rule: Arc<str>,
    undecided_allow: Arc<str>,
    undecided_deny: Arc<str>,
    expired: Arc<str>,
    malformed: Arc<str>,
}

/// What is worked out about one principal.
#[derive(Debug)]
pub(crate) struct Resolved {
    principal: Principal,
    concerned: Bits,
    claims: Box<[ClaimSegment]>,
    well_formed: bool,
    /// Keeps the rules that the rest holds for, and tells them from others.
    rules: Arc<Compiled>,
}

impl Resolved {
    /// Whether this was worked out from exactly these rules and this principal.
    pub(crate) fn is_for(&self, rules: &Arc<Compiled>, principal: &Principal) -> bool {
        // Clones of a principal share their claims; one with a role or claim more has its own.
        Arc::ptr_eq(&self.rules, rules) && std::ptr::eq(self.principal.claims(), principal.claims())
    }
}

impl Compiled {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let count = rules.len();
        let mut compiled = Self {
            revision: revision(&rules),
            patterns: PatternTree::new(),
            by_action: ActionName::ALL.iter().map(|_| Bits::new(count)).collect(),
            ids: Naming::new(count),
            roles: Naming::new(count),
            by_type: PRINCIPAL_TYPES.map(|_| Bits::new(count)),
            reasons: Reasons {
                no_rule: "no rule allows it".into(),
                undecided_allow: "no rule allows it; one that might names a claim that the \
                                  principal lacks or that is no single segment"
                    .into(),
                undecided_deny: "it names a claim that the principal lacks or that is no single \
                                 segment, and a deny that cannot be evaluated applies"
                    .into(),
                expired: "the principal's authentication has expired".into(),
                malformed: "the principal's id is not well-formed".into(),
            },
            rules: Vec::new(),
        };
        for (number, rule) in (0..).zip(&rules) {
            compiled.insert(number, rule);
        }
        compiled.patterns.seal(count);
        compiled.rules = rules;
        compiled
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Constant for the same rules in the same order.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn resolve(self: &Arc<Self>, principal: &Principal) -> Resolved {
        let mut concerned = self.ids.everyone.clone();
        self.ids.add_named(principal.id(), &mut concerned);
        let kind = principal.id().split(':').next().unwrap_or_default();
        for (known, rules) in PRINCIPAL_TYPES.iter().zip(&self.by_type) {
            if *known == kind {
                concerned.insert_all(rules);
            }
        }
        let mut by_role = self.roles.everyone.clone();
        for role in principal.roles() {
            self.roles.add_named(role, &mut by_role);
        }
        concerned.keep_only(&by_role);
        Resolved {
            principal: principal.clone(),
            concerned,
            claims: self.patterns.claims().iter().map(|name| claim(principal, name)).collect(),
            well_formed: principal.is_well_formed(),
            rules: Arc::clone(self),
        }
    }

    /// Decides without allocating. `resolved` is for these rules and the request's principal.
    pub(crate) fn decide(&self, resolved: &Resolved, request: &AccessRequest) -> Decision {
        if !resolved.well_formed {
            return Decision::deny().because(Arc::clone(&self.reasons.malformed));
        }
        if request.principal.expiry().is_some_and(|until| request.now >= until) {
            return Decision::deny().because(Arc::clone(&self.reasons.expired));
        }
        let Some(about_action) = self.by_action.get(request.action as usize) else {
            return Decision::deny().because(Arc::clone(&self.reasons.no_rule));
        };
        let mut found = Found::default();
        self.patterns.visit(&request.target, &resolved.claims, &mut |ends, matches| {
            found.add(ends, matches, &resolved.concerned, about_action);
        });
        self.conclude(&found)
    }

    /// A deny wins, then an allow; otherwise the answer is no.
    fn conclude(&self, found: &Found) -> Decision {
        if let Some((rule, matches)) = found.deny {
            let decision = self.by_rule(Decision::deny(), rule);
            return match matches {
                Truth::Unknown => decision.because(Arc::clone(&self.reasons.undecided_deny)),
                Truth::True | Truth::False => decision,
            };
        }
        if let Some(rule) = found.allow {
            return self.by_rule(Decision::allow(), rule);
        }
        let reasons = &self.reasons;
        let reason = if found.undecided { &reasons.undecided_allow } else { &reasons.no_rule };
        Decision::deny().because(Arc::clone(reason))
    }

    fn by_rule(&self, decision: Decision, rule: u32) -> Decision {
        let Some(rule) = self.rules.get(rule as usize) else { return decision };
        let decision = decision.by_rule(Arc::clone(&rule.id));
        match &rule.description {
            Some(description) => decision.because(Arc::clone(description)),
            None => decision,
        }
    }

    fn insert(&mut self, number: u32, rule: &Rule) {
        for action in &rule.actions {
            if let Some(about) = self.by_action.get_mut(*action as usize) {
                about.insert(number);
            }
        }
        match &rule.principals {
            None => self.ids.everyone.insert(number),
            Some(principals) => {
                principals.iter().for_each(|principal| self.insert_principal(number, principal));
            }
        }
        match &rule.roles {
            None => self.roles.everyone.insert(number),
            Some(roles) => {
                for role in roles {
                    self.roles.by_name.entry(Arc::clone(role)).or_default().push(number);
                }
            }
        }
        for pattern in &rule.paths {
            self.patterns.insert(pattern, rule.effect, number);
        }
    }

    fn insert_principal(&mut self, number: u32, principal: &PrincipalPattern) {
        match principal {
            PrincipalPattern::Anyone => self.ids.everyone.insert(number),
            PrincipalPattern::Type(kind) => {
                for (known, rules) in PRINCIPAL_TYPES.iter().zip(&mut self.by_type) {
                    if known == kind {
                        rules.insert(number);
                    }
                }
            }
            PrincipalPattern::Id(id) => {
                self.ids.by_name.entry(Arc::clone(id)).or_default().push(number);
            }
        }
    }
}

/// The rules that were found to match, of each effect the first in the order of the document.
#[derive(Default)]
struct Found {
    deny: Option<(u32, Truth)>,
    allow: Option<u32>,
    undecided: bool,
}

impl Found {
    /// Takes up the rules of a pattern: those that concern the principal and the action.
    fn add(&mut self, ends: &Ends, path: Truth, concerned: &Bits, about_action: &Bits) {
        let first_deny = ends.deny.first_common(concerned, about_action);
        if let Some(rule) = first_deny.filter(|_| crate::RuleEffect::Deny.applies(path)) {
            self.deny = Some(match self.deny {
                Some((known, matches)) if known == rule => (rule, matches.or(path)),
                Some(earlier) if earlier.0 < rule => earlier,
                _ => (rule, path),
            });
        }
        if let Some(rule) = ends.allow.first_common(concerned, about_action) {
            if crate::RuleEffect::Allow.applies(path) {
                self.allow = Some(self.allow.map_or(rule, |known| known.min(rule)));
            } else {
                self.undecided = true;
            }
        }
    }
}

/// A claim is one literal segment or unknown, so that no claim can widen a pattern.
fn claim(principal: &Principal, name: &str) -> ClaimSegment {
    match principal.claim(name) {
        Some(Claim::Text(text)) if Namespace::try_from(&**text).is_ok() => {
            ClaimSegment::Segment(Arc::clone(text))
        }
        _ => ClaimSegment::Unknown,
    }
}

/// The first eight bytes of a SHA-256 over the rules, each part with its length before it.
fn revision(rules: &[Rule]) -> u64 {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    for rule in rules {
        part(&rule.id);
        part(rule.effect.as_str());
        part(rule.description.as_deref().unwrap_or_default());
        part("principals");
        for principal in rule.principals.iter().flatten() {
            match principal {
                PrincipalPattern::Anyone => part("*"),
                PrincipalPattern::Type(kind) => part(kind),
                PrincipalPattern::Id(id) => part(id),
            }
        }
        part("roles");
        rule.roles.iter().flatten().for_each(|role| part(role));
        part("actions");
        rule.actions.iter().for_each(|action| part(action.as_str()));
        for pattern in &rule.paths {
            part("path");
            match pattern {
                PathPattern::Store => part("/"),
                PathPattern::Path(segments) => segments.iter().for_each(|segment| match segment {
                    SegmentPattern::Literal(text) => part(text),
                    SegmentPattern::Any => part("*"),
                    SegmentPattern::Rest => part("**"),
                    SegmentPattern::Affix { prefix, suffix } => {
                        part("affix");
                        part(prefix);
                        part(suffix);
                    }
                    SegmentPattern::Claim(name) => {
                        part("claim");
                        part(name);
                    }
                }),
            }
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
