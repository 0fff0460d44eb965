//! Names of secrets, parsed once.
//!
//! Policy, storage keys and audit records all see the one parsed form: a path that is not in its
//! only spelling is refused with what is wrong, never normalised. That closes the gap between
//! "the path that was checked" and "the path that was opened".

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::version::{Stage, Version, VersionSelector};

/// The most segments that a path has.
pub const MAX_SEGMENTS: usize = 16;
/// The most bytes that one segment has.
pub const MAX_SEGMENT_BYTES: usize = 128;
/// The most bytes that a whole path has.
pub const MAX_PATH_BYTES: usize = 512;

/// What is wrong with the text of a path, prefix or namespace.
///
/// The message names the place and what to do. It quotes at most the one offending character,
/// since a text given as a path by mistake may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}, {}", self.problem)]
pub struct PathError {
    what: &'static str,
    problem: PathProblem,
}

impl PathError {
    /// Byte offset of what is wrong, where it has a place.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        match self.problem {
            PathProblem::Character { at, .. }
            | PathProblem::EmptySegment { at }
            | PathProblem::DotSegment { at }
            | PathProblem::Reserved { at }
            | PathProblem::LongSegment { at } => Some(at),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum PathProblem {
    #[error("it is empty: write segments joined by `/`, the namespace first")]
    Empty,
    #[error(
        "U+{:04X} `{}` at byte {at} is not allowed: use only A-Z a-z 0-9 . _ - and `/` between segments",
        u32::from(*.character),
        .character.escape_unicode()
    )]
    Character { at: usize, character: char },
    #[error("there is an empty segment at byte {at}: write no leading, trailing or doubled `/`")]
    EmptySegment { at: usize },
    #[error("the segment at byte {at} is `.` or `..`, which name no secret: leave it out")]
    DotSegment { at: usize },
    #[error(
        "the segment at byte {at} begins with `.`, which is reserved for strongroom: begin it with another character"
    )]
    Reserved { at: usize },
    #[error("the segment at byte {at} is longer than {MAX_SEGMENT_BYTES} bytes: shorten it")]
    LongSegment { at: usize },
    #[error("it is longer than {MAX_PATH_BYTES} bytes: shorten it")]
    LongPath,
    #[error("it has more than {MAX_SEGMENTS} segments: use fewer")]
    ManySegments,
    #[error("it has one segment: a secret needs a namespace and a name, as in `prod/db`")]
    OneSegment,
    #[error("a namespace is a single segment: leave out what follows the `/`")]
    NotOneSegment,
    #[error(
        "what follows `@` is no version: write a number from 1, `current`, `pending` or `previous`"
    )]
    Selector,
}

/// The compile-time half of the parser: what can be told without a message.
#[derive(Clone, Copy)]
enum Fault {
    Empty,
    Byte(usize),
    EmptySegment(usize),
    DotSegment(usize),
    Reserved(usize),
    LongSegment(usize),
    LongPath,
    ManySegments,
}

/// Checks the grammar shared by paths, prefixes and namespaces, and counts segments.
#[expect(clippy::indexing_slicing, reason = "const code has no iterators; each index is below len")]
const fn check(text: &[u8]) -> Result<usize, Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    if text.len() > MAX_PATH_BYTES {
        return Err(Fault::LongPath);
    }
    let (mut at, mut start, mut segments) = (0, 0, 0);
    loop {
        if at == text.len() || text[at] == b'/' {
            if at == start {
                return Err(Fault::EmptySegment(start));
            }
            if at - start > MAX_SEGMENT_BYTES {
                return Err(Fault::LongSegment(start));
            }
            if text[start] == b'.' {
                let dots = at - start == 1 || (at - start == 2 && text[start + 1] == b'.');
                return Err(if dots { Fault::DotSegment(start) } else { Fault::Reserved(start) });
            }
            segments += 1;
            if segments > MAX_SEGMENTS {
                return Err(Fault::ManySegments);
            }
            if at == text.len() {
                return Ok(segments);
            }
            start = at + 1;
        } else if !matches!(text[at], b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')
        {
            return Err(Fault::Byte(at));
        }
        at += 1;
    }
}

fn explain(text: &str, fault: Fault) -> PathProblem {
    match fault {
        Fault::Empty => PathProblem::Empty,
        Fault::Byte(at) => PathProblem::Character {
            at,
            character: text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or('\u{fffd}'),
        },
        Fault::EmptySegment(at) => PathProblem::EmptySegment { at },
        Fault::DotSegment(at) => PathProblem::DotSegment { at },
        Fault::Reserved(at) => PathProblem::Reserved { at },
        Fault::LongSegment(at) => PathProblem::LongSegment { at },
        Fault::LongPath => PathProblem::LongPath,
        Fault::ManySegments => PathProblem::ManySegments,
    }
}

/// Text that is either part of the program or shared between clones.
#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Text {
    fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

macro_rules! path_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, |$segments:ident| $extra:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Text);

        impl $name {
            fn parse(text: &str) -> Result<(), PathError> {
                let problem = match check(text.as_bytes()) {
                    Ok($segments) => $extra,
                    Err(fault) => Some(explain(text, fault)),
                };
                match problem {
                    None => Ok(()),
                    Some(problem) => Err(PathError { what: concat!("this is no ", $what), problem }),
                }
            }

            /// The text, in its only spelling.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The segments in order, the namespace first.
            pub fn segments(&self) -> impl Iterator<Item = &str> {
                self.as_str().split('/')
            }
        }

        impl FromStr for $name {
            type Err = PathError;
            fn from_str(text: &str) -> Result<Self, PathError> {
                Self::parse(text)?;
                Ok(Self(Text::Shared(Arc::from(text))))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = PathError;
            fn try_from(text: &str) -> Result<Self, PathError> {
                text.parse()
            }
        }

        impl TryFrom<String> for $name {
            type Error = PathError;
            fn try_from(text: String) -> Result<Self, PathError> {
                text.parse()
            }
        }

        impl TryFrom<&String> for $name {
            type Error = PathError;
            fn try_from(text: &String) -> Result<Self, PathError> {
                text.parse()
            }
        }

        impl From<&$name> for $name {
            fn from(name: &$name) -> Self {
                name.clone()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.as_str())
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

path_type! {
    /// The name of a secret: `prod/billing/db`.
    ///
    /// 2 to 16 segments of `A-Z a-z 0-9 . _ -`, at most 128 bytes each and 512 in all. Segments
    /// that begin with `.` are reserved. The first segment is the [`Namespace`]. Case counts.
    ///
    /// ```
    /// use strongroom_core::{SecretPath, path};
    ///
    /// const DB: SecretPath = path!("prod/billing/db"); // checked by the compiler
    /// let parsed: SecretPath = "prod/billing/db".parse()?;
    /// assert_eq!(parsed, DB);
    /// assert_eq!(DB.namespace().as_str(), "prod");
    /// assert!("prod//db".parse::<SecretPath>().is_err());
    /// # Ok::<(), strongroom_core::PathError>(())
    /// ```
    SecretPath, "path of a secret", |segments| (segments < 2).then_some(PathProblem::OneSegment)
}

path_type! {
    /// A subtree of paths: all that lies below `prod/billing`, at a segment boundary.
    ///
    /// 1 to 16 segments without a trailing slash. A prefix is not a pattern.
    ///
    /// ```
    /// use strongroom_core::{Prefix, path};
    ///
    /// let prefix: Prefix = "prod/billing".parse()?;
    /// assert!(prefix.contains(&path!("prod/billing/db")));
    /// assert!(!prefix.contains(&path!("prod/billing-old/db")));
    /// # Ok::<(), strongroom_core::PathError>(())
    /// ```
    Prefix, "prefix", |_segments| None
}

path_type! {
    /// The first segment of a path, which has keys of its own: `prod`.
    ///
    /// ```
    /// use strongroom_core::Namespace;
    ///
    /// let prod: Namespace = "prod".parse()?;
    /// assert!("prod/billing".parse::<Namespace>().is_err());
    /// # Ok::<(), strongroom_core::PathError>(())
    /// ```
    Namespace, "namespace", |segments| (segments != 1).then_some(PathProblem::NotOneSegment)
}

impl SecretPath {
    /// A path from program text; the function behind [`path!`](crate::path).
    ///
    /// # Panics
    /// Where the text is not a path. In a `const`, as `path!` uses it, that is a compile error.
    #[must_use]
    #[expect(clippy::panic, reason = "evaluated by the compiler, where a panic is the error")]
    pub const fn from_static(text: &'static str) -> Self {
        match check(text.as_bytes()) {
            Ok(segments) if segments >= 2 => Self(Text::Static(text)),
            Ok(_) => panic!("a path needs a namespace and a name, as in `prod/db`"),
            Err(Fault::Empty | Fault::EmptySegment(_)) => panic!("a path has no empty segment"),
            Err(Fault::Byte(_)) => panic!("a path has only A-Z a-z 0-9 . _ - and `/`"),
            Err(Fault::DotSegment(_) | Fault::Reserved(_)) => {
                panic!("no segment of a path begins with `.`")
            }
            Err(Fault::LongSegment(_) | Fault::LongPath) => panic!("the path is too long"),
            Err(Fault::ManySegments) => panic!("a path has at most 16 segments"),
        }
    }

    /// The first segment.
    #[must_use]
    pub fn namespace(&self) -> Namespace {
        let first = self.segments().next().unwrap_or_default();
        Namespace(Text::Shared(Arc::from(first)))
    }

    /// The first segment as text, without an allocation.
    #[must_use]
    pub fn namespace_str(&self) -> &str {
        self.segments().next().unwrap_or_default()
    }

    /// This path at a version or stage.
    ///
    /// ```
    /// use strongroom_core::{Stage, path};
    /// assert_eq!(path!("prod/db").at(Stage::Pending).to_string(), "prod/db@pending");
    /// ```
    #[must_use]
    pub fn at(&self, which: impl Into<VersionSelector>) -> SecretRef {
        SecretRef { path: self.clone(), which: which.into() }
    }
}

impl Prefix {
    /// Whether the path lies below this prefix. A path never lies below itself.
    #[must_use]
    pub fn contains(&self, path: &SecretPath) -> bool {
        path.as_str().strip_prefix(self.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The first segment.
    #[must_use]
    pub fn namespace(&self) -> Namespace {
        let first = self.segments().next().unwrap_or_default();
        Namespace(Text::Shared(Arc::from(first)))
    }

    /// The path below this prefix that one more segment, or several joined by `/`, leads to.
    ///
    /// # Errors
    /// Where the result would not be a path.
    pub fn join(&self, rest: &str) -> Result<SecretPath, PathError> {
        format!("{self}/{rest}").parse()
    }
}

impl From<Namespace> for Prefix {
    fn from(namespace: Namespace) -> Self {
        Self(namespace.0)
    }
}

impl From<&Namespace> for Prefix {
    fn from(namespace: &Namespace) -> Self {
        Self(namespace.0.clone())
    }
}

impl From<SecretPath> for Prefix {
    fn from(path: SecretPath) -> Self {
        Self(path.0)
    }
}

/// A path checked by the compiler: `const DB: SecretPath = path!("prod/billing/db");`.
#[macro_export]
macro_rules! path {
    ($text:literal) => {{
        const PATH: $crate::SecretPath = $crate::SecretPath::from_static($text);
        PATH
    }};
}

/// A secret and which of its versions: `prod/billing/db@3`. Without `@` it is the version in force.
///
/// ```
/// use strongroom_core::{SecretRef, Stage, VersionSelector};
///
/// let third: SecretRef = "prod/billing/db@3".parse()?;
/// assert_eq!(third.to_string(), "prod/billing/db@3");
/// let in_force: SecretRef = "prod/billing/db".parse()?;
/// assert_eq!(in_force.which(), VersionSelector::Stage(Stage::Current));
/// # Ok::<(), strongroom_core::PathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    path: SecretPath,
    which: VersionSelector,
}

impl SecretRef {
    /// The secret.
    #[must_use]
    pub fn path(&self) -> &SecretPath {
        &self.path
    }

    /// Which of its versions.
    #[must_use]
    pub fn which(&self) -> VersionSelector {
        self.which
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.which {
            VersionSelector::Stage(Stage::Current) => write!(f, "{}", self.path),
            VersionSelector::Stage(stage) => write!(f, "{}@{stage}", self.path),
            VersionSelector::Version(version) => write!(f, "{}@{version}", self.path),
        }
    }
}

impl FromStr for SecretRef {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        let (path, which) = match text.split_once('@') {
            None => (text, VersionSelector::default()),
            Some((path, which)) => (
                path,
                VersionSelector::parse(which).ok_or(PathError {
                    what: "this is no reference to a secret",
                    problem: PathProblem::Selector,
                })?,
            ),
        };
        Ok(Self { path: path.parse()?, which })
    }
}

impl TryFrom<&str> for SecretRef {
    type Error = PathError;
    fn try_from(text: &str) -> Result<Self, PathError> {
        text.parse()
    }
}

impl TryFrom<String> for SecretRef {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl TryFrom<&String> for SecretRef {
    type Error = PathError;
    fn try_from(text: &String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<SecretPath> for SecretRef {
    fn from(path: SecretPath) -> Self {
        Self { path, which: VersionSelector::default() }
    }
}

impl From<&SecretRef> for SecretRef {
    fn from(secret: &SecretRef) -> Self {
        secret.clone()
    }
}

impl From<&SecretPath> for SecretRef {
    fn from(path: &SecretPath) -> Self {
        path.clone().into()
    }
}

impl From<(SecretPath, Version)> for SecretRef {
    fn from((path, version): (SecretPath, Version)) -> Self {
        path.at(version)
    }
}

/// Whatever names a `T`: text, which is parsed here, a parsed `T`, or a reference to one.
pub trait Names<T>: TryInto<T, Error: Into<PathError>> + Send {}

impl<T, X: TryInto<T, Error: Into<PathError>> + Send> Names<T> for X {}

impl From<std::convert::Infallible> for PathError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// The whole store as a target: `/`. Matched by the pattern `/` and by nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct WholeStore;

/// What a request is about.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The whole store, written `/`.
    Store,
    /// A namespace.
    Namespace(Namespace),
    /// All that lies below a prefix.
    Prefix(Prefix),
    /// A secret.
    Secret(SecretPath),
    /// A secret at a version or stage.
    Version(SecretRef),
}

impl Target {
    /// The text that policy patterns are held against: a path without its version, or `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Store => "/",
            Self::Namespace(namespace) => namespace.as_str(),
            Self::Prefix(prefix) => prefix.as_str(),
            Self::Secret(path) => path.as_str(),
            Self::Version(secret) => secret.path().as_str(),
        }
    }

    /// The secret, where the target is one.
    #[must_use]
    pub fn secret(&self) -> Option<&SecretPath> {
        match self {
            Self::Secret(path) => Some(path),
            Self::Version(secret) => Some(secret.path()),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(secret) => secret.fmt(f),
            _ => f.write_str(self.as_str()),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<WholeStore> for Target {
    fn from(_: WholeStore) -> Self {
        Self::Store
    }
}

impl From<Namespace> for Target {
    fn from(namespace: Namespace) -> Self {
        Self::Namespace(namespace)
    }
}

impl From<Prefix> for Target {
    fn from(prefix: Prefix) -> Self {
        Self::Prefix(prefix)
    }
}

impl From<SecretPath> for Target {
    fn from(path: SecretPath) -> Self {
        Self::Secret(path)
    }
}

impl From<SecretRef> for Target {
    fn from(secret: SecretRef) -> Self {
        Self::Version(secret)
    }
}
