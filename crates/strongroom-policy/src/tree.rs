//! All path patterns of a policy as one tree, so that a path meets only the patterns that can
//! match it, however many rules there are.

use std::sync::Arc;

use strongroom_core::{MAX_SEGMENTS, Target};

use crate::bits::Bits;
use crate::hash::FastMap;
use crate::pattern::{PathPattern, SegmentPattern};
use crate::rule::RuleEffect;
use crate::truth::Truth;

const ROOT: u32 = 0;

/// The patterns of all rules, and which rules end at each.
#[derive(Debug)]
pub(crate) struct PatternTree {
    /// Each text that is a literal segment somewhere, so that a path's segments are hashed once.
    literals: FastMap<Box<[u8]>, u32>,
    /// From a node by a literal segment, as [`edge`] joins them.
    edges: FastMap<u64, u32>,
    nodes: Vec<Node>,
    claims: Vec<Arc<str>>,
    /// The rules about `/`.
    store: Ends,
}

/// What can follow at one place of a pattern, and the rules whose pattern ends there.
#[derive(Debug, Default)]
struct Node {
    any: Option<u32>,
    rest: Option<u32>,
    claims: Vec<(u32, u32)>,
    affixes: Vec<Affixes>,
    /// Whether anything can follow.
    inner: bool,
    ends: Ends,
}

/// The affix patterns of one shape, found by their text and not one by one.
#[derive(Debug)]
struct Affixes {
    prefix_len: usize,
    suffix_len: usize,
    by_prefix: FastMap<Box<[u8]>, BySuffix>,
}

/// The affix patterns of one beginning.
#[derive(Debug, Default)]
struct BySuffix(FastMap<Box<[u8]>, u32>);

impl Affixes {
    fn find(&self, segment: &[u8]) -> Option<u32> {
        let suffix_at = segment.len().checked_sub(self.suffix_len)?;
        if self.prefix_len > suffix_at {
            return None;
        }
        let by_suffix = self.by_prefix.get(segment.get(..self.prefix_len)?)?;
        by_suffix.0.get(segment.get(suffix_at..)?).copied()
    }
}

/// The rules whose pattern ends at a node.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) allow: RuleSet,
    pub(crate) deny: RuleSet,
}

impl Ends {
    fn push(&mut self, effect: RuleEffect, rule: u32) {
        let RuleSet::Few(rules) = (match effect {
            RuleEffect::Allow => &mut self.allow,
            RuleEffect::Deny => &mut self.deny,
        }) else {
            return;
        };
        // Rules come in order, so that one that names a pattern twice follows itself.
        if rules.last() != Some(&rule) {
            rules.push(rule);
        }
    }

    fn seal(&mut self, rules: usize) {
        self.allow.seal(rules);
        self.deny.seal(rules);
    }
}

/// A set of rules: a list while that is shorter than one bit for each rule of the policy.
#[derive(Debug)]
pub(crate) enum RuleSet {
    Few(Vec<u32>),
    Many(Bits),
}

impl Default for RuleSet {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl RuleSet {
    fn seal(&mut self, rules: usize) {
        let Self::Few(list) = self else { return };
        if list.len() > Bits::words(rules) {
            let mut bits = Bits::new(rules);
            list.iter().for_each(|&rule| bits.insert(rule));
            *self = Self::Many(bits);
        } else {
            list.shrink_to_fit();
        }
    }

    /// The first rule that is in all three sets.
    pub(crate) fn first_common(&self, second: &Bits, third: &Bits) -> Option<u32> {
        match self {
            Self::Few(list) => {
                list.iter().copied().find(|&rule| second.contains(rule) && third.contains(rule))
            }
            Self::Many(bits) => bits.first_common(second, third),
        }
    }
}

/// What a principal's claim puts in place of `${claim}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClaimSegment {
    /// That one literal segment.
    Segment(Arc<str>),
    /// Nothing that can be told: the claim is missing, no text, or no single segment.
    Unknown,
}

#[derive(Clone, Copy)]
struct Segment<'a> {
    /// Bytes, since a path is ASCII and they can be cut anywhere.
    text: &'a [u8],
    literal: Option<u32>,
}

impl PatternTree {
    pub(crate) fn new() -> Self {
        Self {
            literals: FastMap::default(),
            edges: FastMap::default(),
            nodes: vec![Node::default()],
            claims: Vec::new(),
            store: Ends::default(),
        }
    }

    /// Adds a pattern of a rule; rules come in order.
    pub(crate) fn insert(&mut self, pattern: &PathPattern, effect: RuleEffect, rule: u32) {
        let segments = match pattern {
            PathPattern::Store => return self.store.push(effect, rule),
            PathPattern::Path(segments) => segments,
        };
        let mut at = ROOT;
        for segment in segments {
            at = self.child(at, segment);
        }
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.ends.push(effect, rule);
        }
    }

    /// Brings the sets of rules into their final form, for a policy of that many rules.
    pub(crate) fn seal(&mut self, rules: usize) {
        self.store.seal(rules);
        self.nodes.iter_mut().for_each(|node| node.ends.seal(rules));
        self.nodes.shrink_to_fit();
    }

    /// The claims that patterns name; a subject holds a [`ClaimSegment`] for each, in this order.
    pub(crate) fn claims(&self) -> &[Arc<str>] {
        &self.claims
    }

    /// Calls `found` with the rules of each pattern that matches or may match the target.
    pub(crate) fn visit<'t>(
        &'t self,
        target: &Target,
        claims: &[ClaimSegment],
        found: &mut impl FnMut(&'t Ends, Truth),
    ) {
        if matches!(target, Target::Store) {
            return found(&self.store, Truth::True);
        }
        let mut segments = [Segment { text: b"", literal: None }; MAX_SEGMENTS];
        let mut count = 0;
        for (slot, text) in
            segments.iter_mut().zip(target.as_str().as_bytes().split(|&byte| byte == b'/'))
        {
            *slot = Segment { text, literal: self.literals.get(text).copied() };
            count += 1;
        }
        // INVARIANT: core's paths have at most MAX_SEGMENTS segments, so none is left over.
        if let Some(segments) = segments.get(..count) {
            self.walk(ROOT, segments, claims, Truth::True, found);
        }
    }

    fn walk<'t>(
        &'t self,
        at: u32,
        segments: &[Segment<'_>],
        claims: &[ClaimSegment],
        so_far: Truth,
        found: &mut impl FnMut(&'t Ends, Truth),
    ) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        if let Some(rest) = node.rest {
            // Most `**` come last: then they match whatever is left.
            let inner = self.nodes.get(rest as usize).is_some_and(|node| node.inner);
            let first = if inner { 0 } else { segments.len() };
            for skipped in first..=segments.len() {
                let tail = segments.get(skipped..).unwrap_or_default();
                self.walk(rest, tail, claims, so_far, found);
            }
        }
        let Some((segment, tail)) = segments.split_first() else {
            return found(&node.ends, so_far);
        };
        if !node.inner {
            return;
        }
        if let Some(literal) = segment.literal
            && let Some(&child) = self.edges.get(&edge(at, literal))
        {
            self.walk(child, tail, claims, so_far, found);
        }
        if let Some(child) = node.any {
            self.walk(child, tail, claims, so_far, found);
        }
        for child in node.affixes.iter().filter_map(|shape| shape.find(segment.text)) {
            self.walk(child, tail, claims, so_far, found);
        }
        for &(claim, child) in &node.claims {
            let equal = match claims.get(claim as usize) {
                Some(ClaimSegment::Segment(text)) => Truth::from(text.as_bytes() == segment.text),
                Some(ClaimSegment::Unknown) | None => Truth::Unknown,
            };
            let matches = so_far.and(equal);
            if matches != Truth::False {
                self.walk(child, tail, claims, matches, found);
            }
        }
    }

    /// The node that the segment leads to, made where there is none.
    fn child(&mut self, at: u32, segment: &SegmentPattern) -> u32 {
        // INVARIANT: a document of 16 MiB has fewer segments than a u32 counts.
        let fresh = index(self.nodes.len());
        let Some(node) = self.nodes.get_mut(at as usize) else { return at };
        node.inner = true;
        let child = match segment {
            SegmentPattern::Literal(text) => {
                let literal = match self.literals.get(text.as_bytes()) {
                    Some(&literal) => literal,
                    None => {
                        let literal = index(self.literals.len());
                        self.literals.insert(text.as_bytes().into(), literal);
                        literal
                    }
                };
                *self.edges.entry(edge(at, literal)).or_insert(fresh)
            }
            SegmentPattern::Any => *node.any.get_or_insert(fresh),
            SegmentPattern::Rest => *node.rest.get_or_insert(fresh),
            SegmentPattern::Claim(name) => {
                let claim = match self.claims.iter().position(|known| known == name) {
                    Some(known) => index(known),
                    None => {
                        self.claims.push(Arc::clone(name));
                        index(self.claims.len() - 1)
                    }
                };
                match node.claims.iter().find(|(known, _)| *known == claim) {
                    Some(&(_, child)) => child,
                    None => {
                        node.claims.push((claim, fresh));
                        fresh
                    }
                }
            }
            SegmentPattern::Affix { prefix, suffix } => {
                let shape = (prefix.len(), suffix.len());
                let position =
                    node.affixes.iter().position(|a| (a.prefix_len, a.suffix_len) == shape);
                let shape = match position.and_then(|position| node.affixes.get_mut(position)) {
                    Some(affixes) => &mut affixes.by_prefix,
                    None => {
                        let (prefix_len, suffix_len) = shape;
                        let by_prefix = FastMap::default();
                        node.affixes.push(Affixes { prefix_len, suffix_len, by_prefix });
                        match node.affixes.last_mut() {
                            Some(affixes) => &mut affixes.by_prefix,
                            None => return at,
                        }
                    }
                };
                let by_suffix = shape.entry(prefix.as_bytes().into()).or_default();
                *by_suffix.0.entry(suffix.as_bytes().into()).or_insert(fresh)
            }
        };
        if child == fresh {
            self.nodes.push(Node::default());
        }
        child
    }
}

fn edge(node: u32, literal: u32) -> u64 {
    u64::from(node) << 32 | u64::from(literal)
}

fn index(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
