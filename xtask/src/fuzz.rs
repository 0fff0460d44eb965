//! The fuzz targets on a stable compiler: their corpora replayed, then mutated for a while.

use std::process::Command;

use crate::cargo::{cargo, succeeds, target};

/// Replays the committed corpora.
pub(crate) fn replay() -> Result<bool, String> {
    succeeds(of_fuzz("test")?.arg("--quiet"), "fuzz corpora")
}

/// Mutates each target's corpus for that many seconds.
pub(crate) fn smoke(seconds: u64) -> Result<bool, String> {
    let seconds = seconds.to_string();
    let mut command = of_fuzz("run")?;
    command.args(["--quiet", "--bin", "smoke", "--", "--seconds", &seconds]);
    succeeds(&mut command, "fuzz smoke")
}

/// Build products are shared with the workspace: the profiles are the same.
fn of_fuzz(subcommand: &str) -> Result<Command, String> {
    let mut command = cargo();
    command.args([subcommand, "--manifest-path", "fuzz/Cargo.toml", "--target-dir"]).arg(target()?);
    Ok(command)
}
