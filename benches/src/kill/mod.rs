//! Kills of a writing process, at random moments that a seed repeats; and what is left.

mod parent;
mod writer;

pub(crate) use parent::control_is_missed;
pub use parent::{Kills, kills};
pub(crate) use writer::write;

use strongroom::{Error, SecretPath};

/// How many tasks write at once; each has paths of its own.
const WRITERS: usize = 3;
/// How many paths each has.
const PATHS: u64 = 8;

fn path(writer: usize, number: u64) -> Result<SecretPath, Error> {
    Ok(format!("prod/writer-{writer}/secret-{number}").parse::<SecretPath>()?)
}
