//! Four processes at once on one store, killed and started anew at random moments that a seed
//! repeats, as far as the scheduler lets it; and what is left.
//!
//! Two write and read, one gives the namespace new keys, rewraps and sweeps, one deletes, destroys
//! and purges. A secret is written by one task of one of them; all read all. Each says on its
//! standard output what it begins and what it was told, in the words of the
//! [ledger](crate::oracle), and these:
//!
//! | line | what it says |
//! | --- | --- |
//! | `opened LOG` | the store is open, and this log is its own |
//! | `given PATH VERSION TAG` | a read has returned this value |
//! | `changed WHAT` | keys are rotated, or rewrapped, or blobs swept |
//! | `closed` | the store is closed: it was asked to end |

mod member;
mod parent;
mod released;
mod said;

pub(crate) use member::work;
pub use parent::{CrewKills, kill_a_crew};

/// How many processes there are.
const MEMBERS: usize = 4;
/// The one that changes keys, and writes no secret.
const KEYS: usize = 2;
/// The one that takes secrets away.
const PURGES: usize = 3;
/// How many tasks each has.
const TASKS: usize = 2;
/// How many secrets a task writes.
const PATHS: u64 = 4;

/// What the paths of a member's secrets begin with.
fn prefix(member: usize) -> String {
    format!("prod/member-{member}/")
}

fn path(member: usize, task: usize, number: u64) -> String {
    format!("{}task-{task}/secret-{number}", prefix(member))
}
