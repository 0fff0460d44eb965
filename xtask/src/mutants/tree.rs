//! A copy of the sources, in which faults are planted, built and looked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::list::{By, Mutant};
use crate::cargo::output;

/// What looking for a fault came to.
#[derive(Debug)]
pub(super) enum Seen {
    /// After so many seeds, and how it showed.
    After(u64, String),
    Nothing,
}

/// A copy of the sources with build products of its own, which all faults share: each costs the
/// crates above it.
#[derive(Debug)]
pub(super) struct Tree {
    sources: PathBuf,
    target: PathBuf,
}

/// A fault that is planted. Taken out when it is dropped.
#[derive(Debug)]
pub(super) struct Planted {
    path: PathBuf,
    text: String,
}

impl Drop for Planted {
    fn drop(&mut self) {
        // The next copy mends what could not be written.
        let _ = fs::write(&self.path, &self.text);
    }
}

impl Tree {
    /// Copies what git knows. A file that is the same already keeps its time, and is not built anew.
    pub(super) fn copy(root: &Path, place: &Path) -> Result<Self, String> {
        let mut command = Command::new("git");
        command.current_dir(root).args(["ls-files", "-z", "--cached", "--others"]);
        let listed = output(command.arg("--exclude-standard"), "git ls-files")?;
        let sources = place.join("tree");
        for name in listed.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (root.join(name), sources.join(name));
            // What is listed and gone was deleted and not committed yet.
            let Ok(bytes) = fs::read(&from) else { continue };
            if fs::read(&to).is_ok_and(|there| there == bytes) {
                continue;
            }
            let made = to.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(&to, bytes))
                .map_err(|error| format!("{}: {error}", to.display()))?;
        }
        Ok(Self { sources, target: place.join("target") })
    }

    /// Plants a fault.
    pub(super) fn plant(&self, mutant: &Mutant) -> Result<Planted, String> {
        let path = self.sources.join(&mutant.file);
        let failed = |error| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(failed)?;
        fs::write(&path, mutant.plant(&text)?).map_err(failed)?;
        Ok(Planted { path, text })
    }

    /// Builds what sees such faults, and lets it look.
    pub(super) fn look(&self, by: By, seed: u64, seeds: u64) -> Result<Seen, String> {
        let (seed, seeds) = (seed.to_string(), seeds.to_string());
        let mut command = match by {
            By::Engines => self.example("seeds")?,
            By::Rollback => self.example("rollbacks")?,
            By::Disk => {
                let mut command = self.program(
                    &["test", "--no-run", "--package", "strongroom-audit", "--lib"],
                    "strongroom_audit",
                )?;
                command.args(["--ignored", "--exact", "--nocapture"]);
                command.arg("file_log::power_cuts::seeds_of_a_campaign");
                command
            }
            By::Rotation => {
                let build =
                    ["test", "--no-run", "--package", "strongroom-rotation", "--test", "sim"];
                let mut command = self.program(&build, "sim")?;
                command.args(["--ignored", "--exact", "--nocapture", "seeds_of_a_campaign"]);
                command
            }
        };
        match by {
            By::Engines | By::Rollback => command.args([&seed, &seeds]),
            By::Disk | By::Rotation => {
                command.env("STRONGROOM_SEED", &seed).env("STRONGROOM_SEEDS", &seeds)
            }
        };
        // A history that panics says why on the way: once is enough.
        let done = command.stderr(Stdio::null()).output().map_err(|error| error.to_string())?;
        verdict(&String::from_utf8_lossy(&done.stdout))
            .ok_or_else(|| "what looks for the fault says nothing".to_owned())
    }

    fn example(&self, name: &'static str) -> Result<Command, String> {
        self.program(&["build", "--package", "strongroom-testkit", "--example", name], name)
    }

    /// A program as it is built from the sources now.
    fn program(&self, build: &[&str], name: &str) -> Result<Command, String> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.sources).args(build).arg("--message-format=json").arg("--quiet");
        command.env("CARGO_TARGET_DIR", &self.target);
        // A run takes longer than a build only where the fault is hard to see.
        command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        let done = command.output().map_err(|error| format!("cargo: {error}"))?;
        let messages = String::from_utf8_lossy(&done.stdout);
        if !done.status.success() {
            return Err(format!("it does not build: {}", first_error(&messages)));
        }
        let built = messages.lines().rev().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let is_it = message.get("target")?.get("name")?.as_str()? == name;
            let path = message.get("executable")?.as_str()?;
            is_it.then(|| PathBuf::from(path))
        });
        let built = built.ok_or_else(|| format!("cargo built no `{name}`"))?;
        Ok(Command::new(built))
    }
}

fn first_error(messages: &str) -> String {
    let error = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let message = message.get("message")?;
        let is_error = message.get("level")?.as_str()? == "error";
        is_error
            .then(|| message.get("rendered").and_then(|text| text.as_str()).map(str::to_owned))?
    });
    error.unwrap_or_else(|| "cargo says not why".to_owned())
}

/// Reads what was seen: a line `CAUGHT n: what`, or `SURVIVED n`.
fn verdict(text: &str) -> Option<Seen> {
    text.lines().find_map(|line| {
        if line.starts_with("SURVIVED ") {
            return Some(Seen::Nothing);
        }
        let (seeds, what) = line.strip_prefix("CAUGHT ")?.split_once(": ")?;
        Some(Seen::After(seeds.parse().ok()?, what.chars().take(110).collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read_and_other_lines_are_not() {
        let seen = verdict("running 1 test\nCAUGHT 17: path 0: gone\nok\n");
        assert!(matches!(seen, Some(Seen::After(17, what)) if what == "path 0: gone"));
        assert!(matches!(verdict("SURVIVED 100\n"), Some(Seen::Nothing)));
        assert!(verdict("CAUGHT many: things\nok").is_none());
    }
}
