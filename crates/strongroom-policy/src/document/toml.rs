//! TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Content, DEPTH, Lines, Node};
use crate::fault::{FaultKind, PolicyError};

pub(super) fn parse(text: &str) -> Result<Node, PolicyError> {
    let lines = Lines::of(text);
    let table = DeTable::parse(text).map_err(|error| {
        // The parser's own message is left out, since it may quote the text.
        let at = error.span().map(|span| span.start);
        let line = at.map(|at| lines.line(at));
        PolicyError::one(
            FaultKind::Malformed { format: "TOML" },
            line,
            at.map(|at| lines.column(at)),
        )
    })?;
    Ok(Node { line: None, content: table_content(table.get_ref(), &lines, DEPTH) })
}

fn table_content(table: &DeTable<'_>, lines: &Lines, depth: usize) -> Content {
    let mut entries: Vec<_> = table.iter().collect();
    // The parser sorts by name; faults come in the order of the document.
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&Spanned<_>, _)| {
        let mut node = node(value, lines, depth - 1);
        node.line = Some(lines.line(key.span().start));
        (AsRef::<str>::as_ref(key.get_ref()).to_owned(), node)
    };
    Content::Table(entries.into_iter().map(entry).collect())
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines, depth: usize) -> Node {
    let content = match value.get_ref() {
        DeValue::String(text) => Content::Text(text.clone().into_owned()),
        DeValue::Array(_) | DeValue::Table(_) if depth == 0 => Content::Other("nested too deep"),
        DeValue::Array(list) => {
            Content::List(list.iter().map(|value| node(value, lines, depth - 1)).collect())
        }
        DeValue::Table(table) => table_content(table, lines, depth),
        DeValue::Integer(_) | DeValue::Float(_) => Content::Other("a number"),
        DeValue::Boolean(_) => Content::Other("a boolean"),
        DeValue::Datetime(_) => Content::Other("a date"),
    };
    Node { line: Some(lines.line(value.span().start)), content }
}
