//! What the documents call shown is shown: in a table whose last column is headed `shown by`, each
//! name in that column is a test, a file, or a command of this repository.

use std::path::Path;

use super::sources::Source;
use super::{Fault, fault};

/// Where such tables stand.
pub(super) const DOCUMENTS: [&str; 2] = ["SECURITY.md", "ARCHITECTURE.md"];

pub(super) fn check(root: &Path, document: &str, text: &str, all: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut is_shown = false;
    for (number, line) in (1..).zip(text.lines()) {
        let Some(cell) = last_cell(line) else {
            is_shown = false;
            continue;
        };
        if cell == "shown by" {
            is_shown = true;
        } else if is_shown && !cell.starts_with("---") {
            let place = format!("{document}:{number}");
            let mut names = quoted(cell).peekable();
            if names.peek().is_none() {
                faults.push(fault(&place, "names nothing that shows it"));
            }
            faults.extend(
                names
                    .filter(|name| !is_there(root, name, all))
                    .map(|name| fault(&place, format!("`{name}` is not in this repository"))),
            );
        }
    }
    faults
}

/// The last cell of a table's row.
fn last_cell(line: &str) -> Option<&str> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    row.rsplit('|').next().map(str::trim)
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// `cargo xtask bars ID`, a path, a function, or the beginning of some functions' names and `…`.
fn is_there(root: &Path, name: &str, all: &[Source]) -> bool {
    let rust = || all.iter().filter(|source| source.is_rust());
    if let Some(command) = name.strip_prefix("cargo xtask ") {
        let quoted = format!("\"{}\"", command.rsplit(' ').next().unwrap_or_default());
        return rust().any(|source| source.text.contains(&quoted));
    }
    if name.contains('/') {
        return root.join(name).exists();
    }
    let function = match name.strip_suffix('…') {
        Some(beginning) => format!("fn {beginning}"),
        None => format!("fn {name}("),
    };
    rust().any(|source| source.text.contains(&function))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(shown: &str) -> usize {
        let source = "fn a_cut_is_found() {}\nconst BARS: [&str; 1] = [\"kill\"];";
        let table = format!("| fault | shown by |\n| --- | --- |\n| a cut | {shown} |\n");
        let all = [Source::new("crates/a/tests/b.rs", source)];
        check(&crate::cargo::root(), "SECURITY.md", &table, &all).len()
    }

    #[test]
    fn tests_files_and_commands_that_are_there_are_right() {
        assert_eq!(faults("`a_cut_is_found`, `a_cut_…`"), 0);
        assert_eq!(faults("`xtask/src/tidy/shown.rs`, `cargo xtask bars kill`"), 0);
    }

    #[test]
    fn what_is_not_there_is_wrong() {
        assert_eq!(faults("`a_cut`"), 1);
        assert_eq!(faults("`an_edit_…`"), 1);
        assert_eq!(faults("`xtask/src/none.rs`, `cargo xtask bars none`"), 2);
        assert_eq!(faults("by all means"), 1);
    }

    #[test]
    fn other_tables_are_let_be() {
        let table = "| fault | who |\n| --- | --- |\n| a cut | `nobody` |\n";
        assert_eq!(check(Path::new("."), "SECURITY.md", table, &[]), []);
    }
}
