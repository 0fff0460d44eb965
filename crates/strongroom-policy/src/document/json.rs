//! JSON. Values are taken apart from their raw text, which tells where they stand.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Content, DEPTH, Lines, Node};
use crate::fault::{FaultKind, PolicyError};

pub(super) fn parse(text: &str) -> Result<Node, PolicyError> {
    let malformed = |error: serde_json::Error| {
        // The parser's own message is left out, since it may quote the text.
        let kind = FaultKind::Malformed { format: "JSON" };
        PolicyError::one(kind, Some(error.line()), Some(error.column()))
    };
    let root: &RawValue = serde_json::from_str(text).map_err(malformed)?;
    let source = Source { start: text.as_ptr().addr(), lines: Lines::of(text) };
    Ok(source.node(root, DEPTH))
}

struct Source {
    start: usize,
    lines: Lines,
}

impl Source {
    fn node(&self, raw: &RawValue, depth: usize) -> Node {
        let offset = raw.get().as_ptr().addr().saturating_sub(self.start);
        Node { line: Some(self.lines.line(offset)), content: self.content(raw.get(), depth) }
    }

    /// What was well-formed as a whole can still hold a text that is none, such as half of a
    /// surrogate pair.
    fn content(&self, text: &str, depth: usize) -> Content {
        let broken = Content::Other("not valid Unicode");
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text).map_or(broken, Content::Text),
            Some(b'[' | b'{') if depth == 0 => Content::Other("nested too deep"),
            Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(text).map_or(broken, |list| {
                Content::List(list.into_iter().map(|raw| self.node(raw, depth - 1)).collect())
            }),
            Some(b'{') => serde_json::from_str::<Pairs<'_>>(text).map_or(broken, |Pairs(pairs)| {
                let entry = |(key, raw)| (key, self.node(raw, depth - 1));
                Content::Table(pairs.into_iter().map(entry).collect())
            }),
            Some(b't' | b'f') => Content::Other("a boolean"),
            Some(b'n') => Content::Other("null"),
            _ => Content::Other("a number"),
        }
    }
}

/// The fields of an object in order, one that is given twice included.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
