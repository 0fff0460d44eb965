//! What is wrong with a policy document: all of it, each with its place, none with its text.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::MAX_DOCUMENT_BYTES;
use crate::pattern::PatternProblem;

/// Why a document is no policy: every fault in it, in the order of the document.
///
/// A document that is given by mistake may hold a secret, so neither the message nor any fault
/// quotes it; a rule is named by its place and, where it has a valid one, its id.
///
/// ```
/// use strongroom_policy::Policy;
///
/// let error = Policy::from_toml(
///     r#"
///     [[rule]]
///     id = "readers"
///     effect = "alow"
///     principals = ["user:*"]
///     actions = ["read", "peek"]
///     paths = ["prod/**x"]
///     "#,
/// )
/// .unwrap_err();
///
/// assert_eq!(error.faults().len(), 3);
/// assert_eq!(
///     error.faults()[0].to_string(),
///     "rule 1 `readers`, `effect`, line 4: this is no effect: write `allow` or `deny`"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    faults: Vec<Fault>,
}

impl PolicyError {
    /// INVARIANT: `faults` is not empty.
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self { faults }
    }

    pub(crate) fn one(problem: FaultKind, line: Option<usize>, column: Option<usize>) -> Self {
        Self::new(vec![Fault { place: Place { line, ..Place::default() }, column, kind: problem }])
    }

    /// The faults, in the order of the document.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [] => f.write_str("the policy is refused"),
            [fault] => write!(f, "the policy is refused: {fault}"),
            [first, rest @ ..] => {
                write!(f, "the policy is refused: {first} (and {} more: see `faults`)", rest.len())
            }
        }
    }
}

impl std::error::Error for PolicyError {}

/// One fault of a document, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub(crate) place: Place,
    pub(crate) column: Option<usize>,
    pub(crate) kind: FaultKind,
}

/// Where in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) rule: Option<usize>,
    pub(crate) id: Option<Arc<str>>,
    pub(crate) field: Option<&'static str>,
    pub(crate) entry: Option<usize>,
    pub(crate) line: Option<usize>,
}

impl Fault {
    /// The rule by its place, counted from 1; `None` where the fault lies in no rule.
    #[must_use]
    pub fn rule(&self) -> Option<usize> {
        self.place.rule
    }

    /// The id of that rule, where it has a valid one.
    #[must_use]
    pub fn rule_id(&self) -> Option<&str> {
        self.place.id.as_deref()
    }

    /// The field.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        self.place.field
    }

    /// The entry of a list, counted from 1.
    #[must_use]
    pub fn entry(&self) -> Option<usize> {
        self.place.entry
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.place.line
    }

    /// The column, counted from 1; only where the document is not well-formed.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.column
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &FaultKind {
        &self.kind
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if let Some(rule) = self.place.rule {
            write!(f, "rule {rule}")?;
            if let Some(id) = &self.place.id {
                write!(f, " `{id}`")?;
            }
            between = ", ";
        }
        if let Some(field) = self.place.field {
            write!(f, "{between}`{field}`")?;
            between = ", ";
        }
        if let Some(entry) = self.place.entry {
            write!(f, " entry {entry}")?;
        }
        if let Some(line) = self.place.line {
            write!(f, "{between}line {line}")?;
            between = ", ";
        }
        if let Some(column) = self.column {
            write!(f, " column {column}")?;
        }
        let colon = if between.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}", self.kind)
    }
}

/// What is wrong at one place of a policy document.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultKind {
    /// Larger than a policy may be; it was not parsed.
    #[error("the document has {bytes} bytes: a policy has at most {MAX_DOCUMENT_BYTES}")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Not of the format at all.
    #[error("this is not well-formed {format}: mend it at this place")]
    Malformed {
        /// `TOML`, `JSON` or `YAML`.
        format: &'static str,
    },
    /// YAML that stands for more than is written.
    #[error(
        "anchors, aliases, deep nesting and a second document are refused: write the values out"
    )]
    Expansion,
    /// No list of rules.
    #[error("there is no `rule`: write rules, or an empty list to deny everything")]
    NoRules,
    /// A value of another type.
    #[error("this is {found}: write {wanted}")]
    Type {
        /// What it is.
        found: &'static str,
        /// What it has to be.
        wanted: &'static str,
    },
    /// A name that a document or rule does not have.
    #[error("there is a field that is not known: the fields are {known}")]
    UnknownField {
        /// Those that are.
        known: &'static str,
    },
    /// A field twice.
    #[error("the field is given twice: keep one")]
    DuplicateField,
    /// A field that every rule has.
    #[error("the field is missing: every rule has `id`, `effect`, `actions` and `paths`")]
    MissingField,
    /// A rule without `principals` and `roles`.
    #[error("the rule says nobody: give it `principals`, `roles` or both")]
    Nobody,
    /// A list without entries.
    #[error("the list is empty: give it an entry, or leave the rule out")]
    EmptyList,
    /// Not the text of an id.
    #[error("this is no rule id: write 1 to 128 of A-Z a-z 0-9 . _ -")]
    RuleId,
    /// An id that an earlier rule has.
    #[error("rule {first} has the same id: give each its own")]
    DuplicateRule {
        /// The earlier one, counted from 1.
        first: usize,
    },
    /// Neither `allow` nor `deny`.
    #[error("this is no effect: write `allow` or `deny`")]
    Effect,
    /// A name of no action.
    #[error("this is no action: write one such as `read` or `write`, or `*` for all")]
    Action,
    /// An action that strongroom keeps to itself.
    #[error("`recover` is strongroom's own, and no rule is about it: leave it out")]
    NotGrantable,
    /// Not a typed id.
    #[error(
        "this is no principal: write `user:`, `service:`, `pipeline:` or `host:` and a name, \
         or `*` in place of the name or of the whole; roles go into `roles`"
    )]
    Principal,
    /// Not the text of a role.
    #[error("this is no role: write its exact name, without `*` and control characters")]
    Role,
    /// Too long, or with characters that cannot be seen.
    #[error("write at most 1024 bytes without control characters")]
    Description,
    /// More claims in placeholders than a policy may name.
    #[error("the policy names more than 64 claims in placeholders: use fewer")]
    ManyClaims,
    /// Not a pattern.
    #[error("this is no path pattern: {0}")]
    Path(PatternProblem),
}
