//! Cargo as a child process, and where the repository lies.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The root of the repository, as the cargo that runs this says it: clones that share a target
/// folder also share this program, and what was compiled in may name another clone.
pub(crate) fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The cargo that runs this program, in the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where build products go.
pub(crate) fn target() -> Result<PathBuf, String> {
    let metadata = metadata(&["--no-deps"])?;
    metadata
        .get("target_directory")
        .and_then(Value::as_str)
        .map(PathBuf::from)
        .ok_or_else(|| "cargo metadata names no target directory".to_owned())
}

/// `cargo metadata` with these options more.
pub(crate) fn metadata(options: &[&str]) -> Result<Value, String> {
    let text = output(
        cargo().args(["metadata", "--format-version", "1"]).args(options),
        "cargo metadata",
    )?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

/// Runs the command to its end and returns what it printed.
pub(crate) fn output(command: &mut Command, name: &str) -> Result<String, String> {
    let done =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("{name}: {error}"))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        Err(format!("{name} failed: {}", done.status))
    }
}

/// Runs the command with its output going to the terminal.
pub(crate) fn succeeds(command: &mut Command, name: &str) -> Result<bool, String> {
    command.status().map(|status| status.success()).map_err(|error| format!("{name}: {error}"))
}

/// The elements of an array field, none where there is no such field.
pub(crate) fn array<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// A text field, empty where there is no such field.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
