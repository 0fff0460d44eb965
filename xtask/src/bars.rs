//! The figures that this repository promises, measured: bar, figure and verdict a line.
//!
//! A bar is measured by the program `bars` of the package in `benches/`, called with its id. It
//! prints one or more lines `BAR id | figure | PASS` or `… | FAIL`; whatever else it prints goes to
//! the terminal. A bar that nothing measures has not been reached.

mod fresh_clone;
mod table;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use table::{BARS, Bar, Measure};

use crate::cargo::{cargo, output, root, succeeds, target};
use crate::{Outcome, python};

/// The package that measures.
const BENCHES: &str = "strongroom-benches";

/// One line of the result.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    bar: String,
    figure: String,
    reached: bool,
}

impl Line {
    fn new(bar: &str, figure: impl Into<String>, reached: bool) -> Self {
        Self { bar: bar.to_owned(), figure: figure.into(), reached }
    }
}

/// Measures the bars of a part, or all.
pub(crate) fn run(options: &[&str]) -> Outcome {
    let quick = options.contains(&"--quick");
    let list = options.contains(&"--list");
    let words: Vec<&str> = options.iter().copied().filter(|word| !word.starts_with("--")).collect();
    let flags = options.iter().filter(|word| word.starts_with("--"));
    if words.len() > 1 || flags.clone().any(|flag| !matches!(*flag, "--quick" | "--list")) {
        return Err("usage: cargo xtask bars [PART] [--quick] [--list]".to_owned());
    }
    let parts: BTreeSet<&str> = BARS.iter().map(|bar| bar.part).collect();
    // A single bar can be named instead of a part.
    let chosen: Vec<&Bar> = BARS
        .iter()
        .filter(|bar| words.first().is_none_or(|word| bar.part == *word || bar.id == *word))
        .collect();
    if chosen.is_empty() {
        return Err(format!("no such part: there are {parts:?}, and `--list` shows the bars"));
    }
    if list {
        for bar in chosen {
            println!("{:12} {:18} {}: {}", bar.part, bar.id, bar.what, bar.reach);
        }
        return Ok(true);
    }
    measure(&chosen, quick)
}

fn measure(chosen: &[&Bar], quick: bool) -> Outcome {
    if chosen.iter().any(|bar| matches!(bar.measure, Measure::Binary)) {
        build()?;
    }
    let mut results = Vec::new();
    for bar in chosen {
        println!("==> {}: {}", bar.id, bar.what);
        let lines = match bar.measure {
            Measure::Binary => by_binary(bar, quick),
            Measure::Tests { package, test, at_least } => by_tests(bar, package, test, at_least),
            Measure::FreshClone => fresh_clone::measure(quick).map(|lines| {
                lines.into_iter().map(|(what, ok)| Line::new(bar.id, what, ok)).collect()
            }),
        };
        let lines = lines.unwrap_or_else(|problem| vec![Line::new(bar.id, problem, false)]);
        results.push((*bar, lines));
    }
    println!("\n{:18} | bar | figure | verdict", "what");
    let mut short = 0;
    for (bar, lines) in &results {
        for line in lines {
            let verdict = if line.reached { "PASS" } else { "FAIL" };
            println!("{:18} | {} | {} | {verdict}", line.bar, bar.reach, line.figure);
            short += usize::from(!line.reached);
        }
    }
    println!(
        "bars: {} measured, {short} short{}",
        results.len(),
        if quick { " (quick)" } else { "" }
    );
    Ok(short == 0)
}

/// Builds the measuring binaries once, in release.
pub(crate) fn build() -> Result<(), String> {
    let mut command = cargo();
    command.args(["build", "--release", "--package", BENCHES, "--bins"]);
    if succeeds(&mut command, "cargo build")? { Ok(()) } else { Err("benches do not build".into()) }
}

/// A built binary of the measuring package.
pub(crate) fn binary(name: &str) -> Result<Command, String> {
    let mut command = Command::new(target()?.join("release").join(name));
    command.current_dir(root());
    Ok(command)
}

fn by_binary(bar: &Bar, quick: bool) -> Result<Vec<Line>, String> {
    let name = format!("bars {}", bar.id);
    let mut command = binary("bars")?;
    command.arg(bar.id);
    if quick {
        command.arg("--quick");
    }
    let done = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{name} did not run: {error}"))?;
    let text = String::from_utf8_lossy(&done.stdout);
    print!("{text}");
    let mut lines = parse(&text)?;
    if lines.is_empty() {
        return Err(format!("{name} printed no figure ({})", done.status));
    }
    if !done.status.success() && lines.iter().all(|line| line.reached) {
        lines.push(Line::new(bar.id, format!("{name} ended with {}", done.status), false));
    }
    Ok(lines)
}

/// Reads the `BAR` lines.
fn parse(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("BAR ") else { continue };
        let broken = || format!("this is no `BAR id | figure | PASS` line: {line}");
        let (rest, verdict) = rest.rsplit_once('|').ok_or_else(broken)?;
        let (id, figure) = rest.split_once('|').ok_or_else(broken)?;
        let reached = match verdict.trim() {
            "PASS" => true,
            "FAIL" => false,
            _ => return Err(broken()),
        };
        lines.push(Line::new(id.trim(), figure.trim(), reached));
    }
    Ok(lines)
}

/// A bar that is a set of tests: all pass, and there are enough of them.
fn by_tests(bar: &Bar, package: &str, test: &str, at_least: usize) -> Result<Vec<Line>, String> {
    let mut command = cargo();
    command.args([
        "test",
        "--all-features",
        "--package",
        package,
        "--test",
        test,
        "--",
        "--nocapture",
    ]);
    if let Ok(python) = python::ready() {
        command.env(python::VARIABLE, python);
    }
    let text = output(&mut command, "cargo test");
    let passed = text.as_deref().is_ok_and(|text| text.contains("test result: ok"));
    let cases = text.as_deref().map(cases).unwrap_or_default();
    let figure = format!("{cases} cases, {}", if passed { "all pass" } else { "not all pass" });
    Ok(vec![Line::new(bar.id, figure, passed && cases >= at_least)])
}

/// How many cases a test says it tried, in a line `CASES n`, summed over its lines.
fn cases(text: &str) -> usize {
    text.lines().filter_map(|line| line.split_once("CASES ")?.1.trim().parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_other_lines_are_not() {
        let text = "warming up\nBAR get | 17.2 x raw | PASS\nBAR get | a | b | FAIL\n";
        let read = parse(text).unwrap_or_default();
        assert_eq!(read, [Line::new("get", "17.2 x raw", true), Line::new("get", "a | b", false)]);
    }

    #[test]
    fn a_broken_figure_is_no_pass() {
        for text in ["BAR get | 17", "BAR get", "BAR get | 17 | pass", "BAR get | 17 | PASS?"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cases_are_summed() {
        assert_eq!(cases("CASES 12\ntest a ... CASES 8\nCASES x"), 20);
    }

    #[test]
    fn ids_are_unique() {
        let ids: BTreeSet<&str> = BARS.iter().map(|bar| bar.id).collect();
        assert_eq!(ids.len(), BARS.len());
    }
}
