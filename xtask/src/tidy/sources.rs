//! The text files of the repository.

use std::fs;
use std::path::Path;

/// A text file with its path from the root, `/` between parts.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    #[cfg(test)]
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether it belongs to the library code of a crate.
    pub(super) fn is_library(&self) -> bool {
        self.is_rust() && self.path.starts_with("crates/") && self.path.contains("/src/")
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The lines before the unit tests, numbered from 1. House style puts tests last.
    pub(super) fn lines_before_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
            .take_while(|(_, line)| !self.is_tests() && line.trim() != "#[cfg(test)]")
    }

    /// Whether it is the tests of a module, moved out into a file of their own.
    fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs")
    }

    /// `path:line`, for a message.
    pub(super) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// The code of a line: what stands before a comment, and nothing of a line that is one.
pub(super) fn code(line: &str) -> &str {
    match line.find("//") {
        // A `://` is an address in a text.
        Some(at) if !line.get(..at).is_some_and(|before| before.ends_with(':')) => {
            line.get(..at).unwrap_or_default()
        }
        _ => line,
    }
}

/// Reads every text file but build products, corpora and what version control keeps for itself.
pub(super) fn read(root: &Path) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    visit(root, "", &mut sources)?;
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

fn visit(folder: &Path, from_root: &str, sources: &mut Vec<Source>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if from_root.is_empty() { name.clone() } else { format!("{from_root}/{name}") };
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if !matches!(name.as_str(), "target" | ".git" | "corpus" | "artifacts") {
                visit(&entry.path(), &path, sources)?;
            }
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            sources.push(Source { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_code() {
        assert_eq!(code("let a = 1; // why"), "let a = 1; ");
        assert_eq!(code("    // only words"), "    ");
        assert_eq!(code("let url = \"https://x\";"), "let url = \"https://x\";");
    }

    #[test]
    fn tests_end_the_library() {
        let source = Source::new("crates/a/src/b.rs", "one\n    #[cfg(test)]\nmod tests {}\n");
        assert_eq!(source.lines_before_tests().collect::<Vec<_>>(), [(1, "one")]);
        assert_eq!(Source::new("a/b/tests.rs", "one").lines_before_tests().count(), 0);
        assert!(source.is_library());
        assert!(!Source::new("crates/a/tests/b.rs", "").is_library());
    }
}
