//! Access rules of strongroom: who may do what to which paths.
//!
//! A [`Policy`] is read from a document in TOML, JSON or (feature `yaml`) YAML, compiled once into
//! an immutable structure, and then decides without allocating. [`LivePolicy`] replaces one while
//! a store is open. Both are a [`PolicyEngine`](strongroom_core::PolicyEngine).
//!
//! # The document
//! A document is a list named `rule`; `rule = []` denies everything. At most 16 MiB.
//!
//! ```toml
//! [[rule]]
//! id = "billing-owns-its-database"
//! effect = "allow"
//! principals = ["service:billing"]
//! actions = ["read", "write", "create-namespace"]
//! paths = ["prod", "prod/billing/**"]
//! ```
//!
//! | field | | entries |
//! | --- | --- | --- |
//! | `id` | required | 1 to 128 of `A-Z a-z 0-9 . _ -`, each once; decisions name it |
//! | `effect` | required | `allow` or `deny` |
//! | `description` | | the reason given with the rule's decisions; at most 1024 bytes |
//! | `principals` | one of both | `service:billing` (that id), `service:*` (any of that type), `*` (anyone); types are `user`, `service`, `pipeline`, `host` |
//! | `roles` | one of both | exact role names; one of them suffices |
//! | `actions` | required | names such as `read` (see [`ActionName`](strongroom_core::ActionName)), or `*` for all; `recover` is refused |
//! | `paths` | required | patterns, below |
//!
//! Where a rule has `principals` *and* `roles`, both must fit. An unknown field, an empty list, an
//! entry of any other form is refused at load; all faults are told at once, each with its rule,
//! field, entry and line, and none quotes the document.
//!
//! # Path patterns
//! | pattern | matches | does not match |
//! | --- | --- | --- |
//! | `prod/db` | `prod/db` | `prod/db/x`, `prod` |
//! | `prod/*` | one whole segment: `prod/a` | `prod`, `prod/a/b` |
//! | `prod/db-*` | within one segment, any text or none, once a segment, beginning and end apart: `prod/db-1`, `prod/db-` | `prod/db`, `prod/db-1/x` |
//! | `prod/**` | zero or more segments: `prod`, `prod/a`, `prod/a/b`; at most twice a pattern | `production/a` |
//! | `prod/**/db` | `prod/db`, `prod/a/db`, `prod/a/b/db` | `prod/db/x` |
//! | `**` | every path, prefix and namespace | `/` |
//! | `prod/${tenant}/*` | the segment that the principal's text claim `tenant` is, literally | any other |
//! | `/` | the store as a whole: `verify`, `backup`, `list-namespaces` and the like | everything else |
//!
//! A pattern is held against the text of what the request is about: a secret's path without its
//! version, a namespace, or the prefix of a listing. A prefix is matched like a path: `list` on
//! `prod/billing` is granted by `prod/billing` and by `prod/**`, not by `prod/billing/*`. Whether a
//! listing shows a path is then decided path by path, as `list` on that path.
//!
//! # The decision
//! A `deny` that matches wins; otherwise an `allow` that matches; otherwise the answer is no. Which
//! rule decided is said in the decision: of several, the first in the document.
//!
//! What cannot be told narrows access. Where a claim is missing, is no text, or is no single valid
//! segment (it holds `/` or `*`, is empty, begins with a dot), each path that *some* segment in its
//! place would match is matched by a `deny` and not by an `allow`. See [`Truth`].
//!
//! A principal past its expiry, or whose id is not well-formed, is refused whatever the rules say.

mod bits;
mod compiled;
mod document;
mod fault;
mod hash;
mod live;
mod pattern;
mod policy;
mod rule;
mod tree;
mod truth;

pub use fault::{Fault, FaultKind, PolicyError};
pub use live::LivePolicy;
pub use pattern::PatternProblem;
pub use policy::Policy;
pub use rule::{Rule, RuleEffect};
pub use truth::Truth;

/// The most bytes that a policy document has. A larger one is refused before it is parsed.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;
