//! YAML, without what makes a short document a long one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Budget, DuplicateKeyPolicy, Options, Spanned};

use super::{Content, Node};
use crate::MAX_DOCUMENT_BYTES;
use crate::fault::{FaultKind, PolicyError};

/// The nesting that is read at all. Less would tell a mistaken type as an expansion.
const MAX_NESTING: usize = 16;

pub(super) fn parse(text: &str) -> Result<Node, PolicyError> {
    let mut budget = Budget::default();
    budget.max_aliases = 0;
    budget.max_anchors = 0;
    budget.max_merge_keys = 0;
    budget.max_documents = 1;
    budget.max_inclusion_depth = 0;
    budget.max_depth = MAX_NESTING;
    // No value is shorter than a byte, so that the size of the document is the one limit.
    budget.max_nodes = MAX_DOCUMENT_BYTES;
    budget.max_events = 2 * MAX_DOCUMENT_BYTES;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.with_snippet = false;
    serde_saphyr::from_str_with_options::<Spanned<Content>>(text, options).map(node).map_err(
        |error| {
            // The parser's own message is left out, since it may quote the text.
            let place = error.location();
            let number = |n: u64| usize::try_from(n).ok();
            let kind = match error.without_snippet() {
                serde_saphyr::Error::Budget { .. } => FaultKind::Expansion,
                serde_saphyr::Error::DuplicateMappingKey { .. } => FaultKind::DuplicateField,
                _ => FaultKind::Malformed { format: "YAML" },
            };
            PolicyError::one(
                kind,
                place.and_then(|place| number(place.line())),
                place.and_then(|place| number(place.column())),
            )
        },
    )
}

fn node(spanned: Spanned<Content>) -> Node {
    Node { line: usize::try_from(spanned.defined.line()).ok(), content: spanned.value }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Content, E> {
        Ok(Content::Other("a boolean (quote it if it is meant as text)"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Content, E> {
        Ok(Content::Other(NUMBER))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Content, E> {
        Ok(Content::Other(NUMBER))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Content, E> {
        Ok(Content::Other(NUMBER))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Content, E> {
        Ok(Content::Other(NUMBER))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Content, E> {
        Ok(Content::Other(NUMBER))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(node(item));
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Content>()? {
            match key {
                Content::Text(key) => {
                    entries.push((key, node(map.next_value()?)));
                }
                // A table by numbers or lists is none that a policy has.
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    entries.push((String::new(), Node { line: None, content: key }));
                }
            }
        }
        Ok(Content::Table(entries))
    }
}

const NUMBER: &str = "a number (quote it if it is meant as text)";
