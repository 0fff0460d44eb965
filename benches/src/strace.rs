//! Children whose calls of the operating system are told by `strace`, or answered by it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::Outcome;

/// This program again with these words, under `strace` with these options and with what it tells
/// in that file. Output and complaints of both are in the answer, and so is the child's status.
///
/// # Errors
/// Where there is no `strace`.
pub(crate) fn strace(options: &[&str], trace: &Path, words: &[&str]) -> Outcome<Output> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none"]).args(options).arg("-o").arg(trace);
    strace.arg(std::env::current_exe()?).args(words);
    strace.stdout(Stdio::piped()).output().map_err(|error| {
        format!(
            "this is done with `strace`, which did not start ({error}): install the package \
                 `strace` of your system"
        )
        .into()
    })
}
