//! Sizes of files, words that do not belong in them, and the front door of each crate.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::sources::{Source, code};
use super::{Fault, fault};
use crate::cargo::{array, text};

const MOST_LINES: usize = 800;
const NOT_IN_CODE: [&str; 4] = ["todo!(", "unimplemented!(", "#[allow(", "#![allow("];
/// Spelled in two halves, or this file would name what it forbids.
const OUTSIDE: &str = concat!("../", "shared");

pub(super) fn check_source(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    if lines > MOST_LINES {
        let problem =
            format!("{lines} lines: find the concept that wants out ({MOST_LINES} at most)");
        faults.push(fault(&source.path, problem));
    }
    for (at, line) in source.text.lines().enumerate() {
        if let Some(word) = NOT_IN_CODE.iter().find(|word| code(line).contains(**word)) {
            faults.push(fault(source.at(at + 1), format!("`{word}` does not belong here")));
        }
    }
    faults
}

pub(super) fn check_crates(root: &Path, metadata: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for package in array(metadata, "packages") {
        let name = text(package, "name");
        let read = |file: &str| {
            let folder = Path::new(text(package, "manifest_path")).parent().unwrap_or(root);
            fs::read_to_string(folder.join(file)).unwrap_or_default()
        };
        let manifest = read("Cargo.toml");
        faults.extend(check_manifest(name, &manifest));
        if text(package, "manifest_path").contains("/crates/") {
            faults.extend(check_library(name, &manifest, &read("src/lib.rs")));
        }
    }
    faults
}

fn check_manifest(name: &str, manifest: &str) -> Option<Fault> {
    let lints = table(manifest, "[lints]").any(|line| line.replace(' ', "") == "workspace=true");
    (!lints).then(|| fault(name, "Cargo.toml does not take the lints of the workspace"))
}

fn check_library(name: &str, manifest: &str, library: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !table(manifest, "[lib]").any(|line| line.replace(' ', "") == "bench=false") {
        faults.push(fault(name, "Cargo.toml lacks `bench = false` under [lib]"));
    }
    let docs: Vec<&str> = library.lines().filter(|line| line.starts_with("//!")).collect();
    let included = library.contains("#![doc = include_str!");
    if docs.is_empty() && !included {
        faults.push(fault(name, "lib.rs does not say what the crate is"));
    } else if !docs.iter().any(|line| line.contains("```")) && !included {
        faults.push(fault(name, "the crate's documentation has no example"));
    }
    faults
}

/// The lines of a table of a manifest.
fn table<'a>(manifest: &'a str, header: &'static str) -> impl Iterator<Item = &'a str> {
    manifest
        .lines()
        .skip_while(move |line| line.trim() != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}

pub(super) fn check_alone(all: &[Source], contributing: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in all {
        for (at, line) in source.text.lines().enumerate() {
            if line.contains(OUTSIDE) {
                faults.push(fault(source.at(at + 1), "names a folder outside the repository"));
            }
        }
    }
    if contributing.trim().is_empty() {
        faults.push(fault("CONTRIBUTING.md", "is empty"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_plain_is_right() {
        let text = "//! No todo!() here.\nlet a = 1; // not #[allow(x)]\n";
        assert_eq!(check_source(&Source::new("crates/a/src/b.rs", text)), []);
        let edge = "let a = 1;\n".repeat(MOST_LINES);
        assert_eq!(check_source(&Source::new("crates/a/src/b.rs", &edge)), []);
    }

    #[test]
    fn long_or_unfinished_is_wrong() {
        let long = "let a = 1;\n".repeat(MOST_LINES + 1);
        for text in [long.as_str(), "fn f() { todo!() }", "#[allow(dead_code)]", "unimplemented!()"]
        {
            assert_eq!(check_source(&Source::new("crates/a/src/b.rs", text)).len(), 1, "{text}");
        }
    }

    const MANIFEST: &str = "[lib]\nbench = false\n\n[dependencies]\n\n[lints]\nworkspace = true\n";

    #[test]
    fn a_front_door_has_lints_and_an_example() {
        assert_eq!(check_manifest("a", MANIFEST), None);
        assert_eq!(check_library("a", MANIFEST, "//! A.\n//! ```\n//! ```\n"), []);
    }

    #[test]
    fn a_front_door_without_them_is_wrong() {
        assert!(check_manifest("a", "[lib]\nbench = false\n").is_some());
        assert_eq!(check_library("a", "[lib]\n", "//! A.\n//! ```\n").len(), 1);
        assert_eq!(check_library("a", MANIFEST, "//! A.\n").len(), 1);
        assert_eq!(check_library("a", MANIFEST, "mod b;\n").len(), 1);
    }

    #[test]
    fn the_repository_stands_alone() {
        let good = Source::new("README.md", "a folder of shared things");
        assert_eq!(check_alone(&[good], "text"), []);
        let bad = Source::new("README.md", &format!("see {OUTSIDE}/X.md"));
        assert_eq!(check_alone(&[bad], "text").len(), 1);
        assert_eq!(check_alone(&[], " ").len(), 1);
    }
}
