//! What a stranger's machine does with a clone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cargo::{cargo, output, root, succeeds, target};

const MOST_CRATES: usize = 115;
const LONGEST: Duration = Duration::from_secs(25 * 60);

/// The facade's crates; and unless in a hurry, the README's commands and `.ci/run` in a clone with
/// a registry of its own.
pub(super) fn measure(quick: bool) -> Result<Vec<(String, bool)>, String> {
    let tree = output(
        cargo().args(["tree", "--package", "strongroom", "--edges", "normal,build"]).args([
            "--prefix",
            "none",
            "--no-dedupe",
            "--format",
            "{p}",
        ]),
        "cargo tree",
    )?;
    let crates = count(&tree);
    let mut lines = vec![(format!("{crates} crates in the facade"), crates <= MOST_CRATES)];
    if quick {
        return Ok(lines);
    }
    let folder = target()?.join("fresh-clone");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let clone = folder.join("clone");
    output(Command::new("git").args(["clone", "--quiet"]).arg(root()).arg(&clone), "git clone")?;
    for (name, program, arguments) in [
        ("quickstart", "cargo", &["run", "--example", "quickstart"][..]),
        ("test command", "cargo", &["xtask", "test"][..]),
        (".ci/run", ".ci/run", &[][..]),
    ] {
        let (worked, took) = timed(&folder, &clone, program, arguments)?;
        let figure =
            format!("{name} {} in {} s", if worked { "works" } else { "fails" }, took.as_secs());
        lines.push((figure, worked && took <= LONGEST));
    }
    fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(lines)
}

#[expect(clippy::disallowed_methods, reason = "how long a command took")]
fn timed(
    folder: &Path,
    clone: &Path,
    program: &str,
    arguments: &[&str],
) -> Result<(bool, Duration), String> {
    let program = if program.contains('/') { clone.join(program) } else { program.into() };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(clone)
        .env("CARGO_HOME", folder.join("registry"))
        .env_remove("CARGO_TARGET_DIR");
    let start = Instant::now();
    Ok((succeeds(&mut command, "a command of the clone")?, start.elapsed()))
}

/// Distinct packages in the output of `cargo tree`.
fn count(tree: &str) -> usize {
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    tree.lines().filter(|line| line.contains(" v")).map(name).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn a_package_counts_once_and_two_versions_twice() {
        let tree = "syn v2.0.1\nsyn v3.0.1 (proc-macro)\nsyn v2.0.1\n\nserde v1.0.0\n";
        assert_eq!(count(tree), 3);
    }
}
