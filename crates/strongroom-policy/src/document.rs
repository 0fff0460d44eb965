//! From a document's text to checked rules. The three formats differ only in how they become
//! [`Node`]s; what rules mean is said once.

mod json;
mod read;
mod toml;
#[cfg(feature = "yaml")]
mod yaml;

use crate::MAX_DOCUMENT_BYTES;
use crate::fault::{FaultKind, PolicyError};
use crate::rule::Rule;

/// How deep a document is: table, list of rules, rule, list of entries, entry. What lies deeper is
/// of the wrong type anyway, and is not looked into.
const DEPTH: usize = 5;

pub(crate) fn from_toml(text: &str) -> Result<Vec<Rule>, PolicyError> {
    check_size(text)?;
    read::rules(toml::parse(text)?)
}

pub(crate) fn from_json(text: &str) -> Result<Vec<Rule>, PolicyError> {
    check_size(text)?;
    read::rules(json::parse(text)?)
}

#[cfg(feature = "yaml")]
pub(crate) fn from_yaml(text: &str) -> Result<Vec<Rule>, PolicyError> {
    check_size(text)?;
    read::rules(yaml::parse(text)?)
}

fn check_size(text: &str) -> Result<(), PolicyError> {
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(PolicyError::one(FaultKind::TooLarge { bytes: text.len() }, None, None));
    }
    Ok(())
}

/// A value of a document, and the line that it begins on.
#[derive(Debug)]
struct Node {
    line: Option<usize>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    /// Something that no policy has, in words.
    Other(&'static str),
}

impl Content {
    fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(what) => what,
        }
    }
}

/// Finds lines by byte offset.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(at, _)| at).collect())
    }

    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|&newline| newline < offset) + 1
    }

    /// The column, in bytes from the begin of the line.
    fn column(&self, offset: usize) -> usize {
        let before = self.0.partition_point(|&newline| newline < offset);
        let start = before.checked_sub(1).and_then(|i| self.0.get(i)).map_or(0, |at| at + 1);
        offset - start + 1
    }
}
