//! The table of field cases in CONTRIBUTING.md tells the truth: a case that it calls tested has a
//! test that carries its id, and a test that carries an id stands in the table.

use std::collections::BTreeSet;

use super::sources::Source;
use super::{Fault, fault};

pub(super) fn check(contributing: &str, all: &[Source]) -> Vec<Fault> {
    let tests: BTreeSet<String> =
        all.iter().filter(|source| may_test(source)).flat_map(test_names).collect();
    let mut faults = Vec::new();
    let mut listed = BTreeSet::new();
    for (id, place) in contributing.lines().filter_map(row) {
        if !listed.insert(id.clone()) {
            faults.push(fault(&id, "stands twice in CONTRIBUTING.md"));
        }
        let name = format!("fc_{}", id.trim_start_matches("FC-"));
        let tested = tests.iter().any(|test| carries(test, &name));
        match (place.starts_with("tested"), tested) {
            (true, false) => {
                faults
                    .push(fault(&id, format!("is called tested, and no test is named `{name}_…`")));
            }
            (false, true) if !place.starts_with("partly") => {
                faults.push(fault(&id, "has a test, and CONTRIBUTING.md says that it waits"));
            }
            (false, false) if place.is_empty() || place.starts_with("partly") => {
                faults.push(fault(&id, "has neither a test nor a reason why it waits"));
            }
            _ => {}
        }
    }
    for test in &tests {
        let id = test.get(3..6).map(|digits| format!("FC-{digits}")).unwrap_or_default();
        if !listed.contains(&id) {
            faults.push(fault(test, "carries an id that CONTRIBUTING.md does not list"));
        }
    }
    faults
}

/// This program's own tests spell such names in their texts.
fn may_test(source: &Source) -> bool {
    source.is_rust() && !source.path.starts_with("xtask/")
}

/// `| FC-019 | symptom | tested … |` as id and place.
fn row(line: &str) -> Option<(String, &str)> {
    let mut cells = line.split('|').map(str::trim).skip(1);
    let id = cells.next().filter(|id| id.starts_with("FC-"))?;
    let place = cells.nth(1)?;
    Some((id.to_owned(), place))
}

/// The functions whose names begin with `fc_` and three digits; a name may carry several ids, of
/// which the first counts here.
fn test_names(source: &Source) -> impl Iterator<Item = String> {
    source.text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("fn fc_")?;
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let digits = name.get(..3)?;
        digits.chars().all(|c| c.is_ascii_digit()).then(|| format!("fc_{name}"))
    })
}

fn carries(test: &str, name: &str) -> bool {
    test.match_indices(name).any(|(at, _)| {
        let before = test.get(..at).unwrap_or_default();
        let after = test.get(at + name.len()..).unwrap_or_default();
        (before.is_empty() || before.ends_with('_')) && (after.is_empty() || after.starts_with('_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(table: &str, tests: &str) -> usize {
        check(table, &[Source::new("crates/a/tests/b.rs", tests)]).len()
    }

    #[test]
    fn tested_with_a_test_and_waiting_with_a_reason_are_right() {
        let table = "| FC-019 | alike | tested |\n| FC-042 | sync | waits for configuration |\n\
                     | FC-049 | zero | partly; import waits |\n";
        assert_eq!(faults(table, "fn fc_019_paths() {}\nfn fc_049_zero() {}"), 0);
        assert_eq!(
            faults("| FC-020 | x | tested |\n| FC-019 | x | tested |", "fn fc_019_fc_020() {}"),
            0
        );
    }

    #[test]
    fn claims_without_tests_and_tests_without_rows_are_wrong() {
        assert_eq!(faults("| FC-019 | alike | tested |", ""), 1);
        assert_eq!(faults("| FC-019 | alike | tested |", "fn fc_0190_other() {}"), 1);
        assert_eq!(faults("| FC-019 | alike | partly |", ""), 1);
        assert_eq!(faults("| FC-019 | alike |  |", ""), 1);
        assert_eq!(faults("| FC-019 | alike | waits |", "fn fc_019_paths() {}"), 1);
        assert_eq!(faults("", "fn fc_019_paths() {}"), 1);
        assert_eq!(faults("| FC-019 | a | waits |\n| FC-019 | a | waits |", ""), 1);
    }
}
