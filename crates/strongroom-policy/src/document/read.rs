//! From nodes to rules. Goes on after a fault, so that all are told at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use strongroom_core::ActionName;

use super::{Content, Node};
use crate::fault::{Fault, FaultKind, Place, PolicyError};
use crate::pattern::{PathPattern, SegmentPattern};
use crate::rule::{PrincipalPattern, Rule, RuleEffect, grantable, is_exact};

const FIELDS: &str = "`id`, `effect`, `description`, `principals`, `roles`, `actions` and `paths`";
const MAX_ID_BYTES: usize = 128;
const MAX_DESCRIPTION_BYTES: usize = 1024;
const MAX_ROLE_BYTES: usize = 255;
const MAX_CLAIMS: usize = 64;

/// The rules of a document, or everything that is wrong with it.
pub(super) fn rules(root: Node) -> Result<Vec<Rule>, PolicyError> {
    let mut reader = Reader::default();
    let rules = reader.document(root);
    if reader.faults.is_empty() { Ok(rules) } else { Err(PolicyError::new(reader.faults)) }
}

#[derive(Default)]
struct Reader {
    faults: Vec<Fault>,
    ids: HashMap<Arc<str>, usize>,
    claims: HashSet<Arc<str>>,
}

/// The fields of a rule as they stand in the document.
#[derive(Default)]
struct Fields {
    id: Option<Node>,
    effect: Option<Node>,
    description: Option<Node>,
    principals: Option<Node>,
    roles: Option<Node>,
    actions: Option<Node>,
    paths: Option<Node>,
}

impl Fields {
    fn slot(&mut self, name: &str) -> Option<(&'static str, &mut Option<Node>)> {
        Some(match name {
            "id" => ("id", &mut self.id),
            "effect" => ("effect", &mut self.effect),
            "description" => ("description", &mut self.description),
            "principals" => ("principals", &mut self.principals),
            "roles" => ("roles", &mut self.roles),
            "actions" => ("actions", &mut self.actions),
            "paths" => ("paths", &mut self.paths),
            _ => return None,
        })
    }
}

impl Reader {
    fn fault(&mut self, place: &Place, kind: FaultKind) {
        self.faults.push(Fault { place: place.clone(), column: None, kind });
    }

    fn document(&mut self, root: Node) -> Vec<Rule> {
        let place = Place { line: root.line, ..Place::default() };
        let fields = match root.content {
            Content::Table(fields) => fields,
            // An empty YAML document is null.
            Content::Other("null") => Vec::new(),
            other => {
                let found = other.describe();
                let wanted = "a table with the one field `rule`";
                self.fault(&place, FaultKind::Type { found, wanted });
                return Vec::new();
            }
        };
        let mut rules = None;
        for (name, node) in fields {
            let place = Place { line: node.line, ..Place::default() };
            if name != "rule" {
                self.fault(&place, FaultKind::UnknownField { known: "`rule` alone" });
            } else if rules.is_some() {
                self.fault(&Place { field: Some("rule"), ..place }, FaultKind::DuplicateField);
            } else {
                rules = Some(node);
            }
        }
        match rules {
            Some(Node { content: Content::List(list), .. }) => {
                (1..).zip(list).filter_map(|(number, node)| self.rule(number, node)).collect()
            }
            Some(Node { line, content }) => {
                let kind = FaultKind::Type { found: content.describe(), wanted: "a list of rules" };
                self.fault(&Place { field: Some("rule"), line, ..Place::default() }, kind);
                Vec::new()
            }
            None => {
                self.fault(&place, FaultKind::NoRules);
                Vec::new()
            }
        }
    }

    fn rule(&mut self, number: usize, node: Node) -> Option<Rule> {
        let mut place = Place { rule: Some(number), line: node.line, ..Place::default() };
        let Content::Table(entries) = node.content else {
            let kind = FaultKind::Type { found: node.content.describe(), wanted: "a table" };
            self.fault(&place, kind);
            return None;
        };
        place.id = entries.iter().find_map(|(name, node)| match &node.content {
            Content::Text(text) if name == "id" && is_rule_id(text) => Some(text.as_str().into()),
            _ => None,
        });
        let mut fields = Fields::default();
        for (name, node) in entries {
            let here = Place { line: node.line.or(place.line), ..place.clone() };
            match fields.slot(&name) {
                None => self.fault(&here, FaultKind::UnknownField { known: FIELDS }),
                Some((field, Some(_))) => {
                    let here = Place { field: Some(field), ..here };
                    self.fault(&here, FaultKind::DuplicateField);
                }
                Some((_, slot)) => *slot = Some(node),
            }
        }
        if fields.principals.is_none() && fields.roles.is_none() {
            self.fault(&place, FaultKind::Nobody);
        }

        // Each is read before the rule is given up, for the faults of all.
        let id = self.required(&place, "id", fields.id).and_then(|node| self.id(&place, node));
        let effect = self
            .required(&place, "effect", fields.effect)
            .and_then(|node| self.text(&place, "effect", node, effect));
        let description =
            fields.description.map(|node| self.text(&place, "description", node, description));
        let principals = fields.principals.map(|node| {
            self.list(&place, "principals", node, |_, text| {
                PrincipalPattern::parse(text).ok_or(FaultKind::Principal)
            })
        });
        let roles = fields.roles.map(|node| self.list(&place, "roles", node, |_, text| role(text)));
        let actions = self
            .required(&place, "actions", fields.actions)
            .and_then(|node| self.list(&place, "actions", node, |_, text| actions(text)));
        let paths = self
            .required(&place, "paths", fields.paths)
            .and_then(|node| self.list(&place, "paths", node, Self::path));
        Some(Rule {
            id: id?,
            effect: effect?,
            description: all_or_nothing(description)?,
            principals: all_or_nothing(principals)?,
            roles: all_or_nothing(roles)?,
            actions: actions?.concat(),
            paths: paths?,
        })
    }

    fn required(&mut self, place: &Place, field: &'static str, node: Option<Node>) -> Option<Node> {
        if node.is_none() {
            let here = Place { field: Some(field), ..place.clone() };
            self.fault(&here, FaultKind::MissingField);
        }
        node
    }

    fn id(&mut self, place: &Place, node: Node) -> Option<Arc<str>> {
        let line = node.line;
        let id: Arc<str> = self.text(place, "id", node, |text| {
            if is_rule_id(text) { Ok(Arc::from(text)) } else { Err(FaultKind::RuleId) }
        })?;
        let number = place.rule.unwrap_or_default();
        let first = *self.ids.entry(Arc::clone(&id)).or_insert(number);
        if first != number {
            let here = Place { field: Some("id"), line: line.or(place.line), ..place.clone() };
            self.fault(&here, FaultKind::DuplicateRule { first });
        }
        Some(id)
    }

    fn text<T>(
        &mut self,
        place: &Place,
        field: &'static str,
        node: Node,
        read: impl FnOnce(&str) -> Result<T, FaultKind>,
    ) -> Option<T> {
        let result = match &node.content {
            Content::Text(text) => read(text),
            other => Err(FaultKind::Type { found: other.describe(), wanted: "a text" }),
        };
        result
            .map_err(|kind| {
                let line = node.line.or(place.line);
                self.fault(&Place { field: Some(field), line, ..place.clone() }, kind);
            })
            .ok()
    }

    fn list<T>(
        &mut self,
        place: &Place,
        field: &'static str,
        node: Node,
        mut read: impl FnMut(&mut Self, &str) -> Result<T, FaultKind>,
    ) -> Option<Vec<T>> {
        let mut here =
            Place { field: Some(field), line: node.line.or(place.line), ..place.clone() };
        let entries = match node.content {
            Content::List(entries) if entries.is_empty() => {
                self.fault(&here, FaultKind::EmptyList);
                return None;
            }
            Content::List(entries) => entries,
            other => {
                let found = other.describe();
                self.fault(&here, FaultKind::Type { found, wanted: "a list of texts" });
                return None;
            }
        };
        let wanted = entries.len();
        let mut all = Vec::with_capacity(wanted);
        for (number, entry) in (1..).zip(entries) {
            let result = match &entry.content {
                Content::Text(text) => read(self, text),
                other => Err(FaultKind::Type { found: other.describe(), wanted: "a text" }),
            };
            match result {
                Ok(value) => all.push(value),
                Err(kind) => {
                    here.entry = Some(number);
                    here.line = entry.line.or(here.line);
                    self.fault(&here, kind);
                }
            }
        }
        (all.len() == wanted).then_some(all)
    }

    fn path(&mut self, text: &str) -> Result<PathPattern, FaultKind> {
        let pattern = PathPattern::parse(text).map_err(FaultKind::Path)?;
        if let PathPattern::Path(segments) = &pattern {
            for segment in segments {
                if let SegmentPattern::Claim(name) = segment {
                    self.claims.insert(Arc::clone(name));
                    if self.claims.len() > MAX_CLAIMS {
                        self.claims.remove(name);
                        return Err(FaultKind::ManyClaims);
                    }
                }
            }
        }
        Ok(pattern)
    }
}

/// An absent field is fine, one with a fault is not.
fn all_or_nothing<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

fn is_rule_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn effect(text: &str) -> Result<RuleEffect, FaultKind> {
    [RuleEffect::Allow, RuleEffect::Deny]
        .into_iter()
        .find(|effect| effect.as_str() == text)
        .ok_or(FaultKind::Effect)
}

fn description(text: &str) -> Result<Arc<str>, FaultKind> {
    if text.len() > MAX_DESCRIPTION_BYTES || text.chars().any(char::is_control) {
        return Err(FaultKind::Description);
    }
    Ok(text.into())
}

fn role(text: &str) -> Result<Arc<str>, FaultKind> {
    if is_exact(text, MAX_ROLE_BYTES) { Ok(text.into()) } else { Err(FaultKind::Role) }
}

fn actions(text: &str) -> Result<Vec<ActionName>, FaultKind> {
    match text {
        "*" => Ok(grantable().collect()),
        _ => match text.parse() {
            Ok(ActionName::Recover) => Err(FaultKind::NotGrantable),
            Ok(action) => Ok(vec![action]),
            Err(_) => Err(FaultKind::Action),
        },
    }
}
