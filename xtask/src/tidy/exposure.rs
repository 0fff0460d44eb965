//! Every place that lends plaintext says why.

use super::sources::{Source, code};
use super::{Fault, fault};

const CALLS: [&str; 3] = [".expose(", ".expose_secret(", ".to_secrecy("];
/// How far above the call the reason may stand.
const ABOVE: usize = 3;

pub(super) fn check(source: &Source) -> Vec<Fault> {
    let lines: Vec<(usize, &str)> = source.lines_before_tests().collect();
    let mut faults = Vec::new();
    for (index, (at, line)) in lines.iter().enumerate() {
        let Some(call) = CALLS.iter().find(|call| code(line).contains(**call)) else { continue };
        let near = lines.get(index.saturating_sub(ABOVE)..=index).unwrap_or_default();
        if !near.iter().any(|(_, line)| has_reason(line)) {
            faults.push(fault(
                source.at(*at),
                format!("`{call}` without `// EXPOSE: why` on the line or the {ABOVE} above"),
            ));
        }
    }
    faults
}

fn has_reason(line: &str) -> bool {
    line.split_once("// EXPOSE:").is_some_and(|(_, reason)| !reason.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> usize {
        check(&Source::new("crates/a/src/b.rs", text)).len()
    }

    #[test]
    fn a_reason_is_right() {
        assert_eq!(faults("// EXPOSE: hashed, not kept.\nkey.expose(|k| hash(k))"), 0);
        assert_eq!(faults("key.expose(|k| hash(k)) // EXPOSE: hashed."), 0);
        assert_eq!(faults("// EXPOSE: hashed.\nlet d =\n    key\n    .expose(|k| hash(k))"), 0);
        assert_eq!(faults("/// value.expose(|v| v.len())\n//! k.expose(len)"), 0);
        assert_eq!(faults("#[cfg(test)]\nkey.expose(|k| k.len())"), 0);
    }

    #[test]
    fn none_an_empty_or_a_far_one_is_wrong() {
        assert_eq!(faults("key.expose(|k| hash(k))"), 1);
        assert_eq!(faults("// EXPOSE:\nkey.expose(|k| hash(k))"), 1);
        assert_eq!(faults("// EXPOSE: far.\n\n\n\nkey.expose(|k| hash(k))"), 1);
        assert_eq!(faults("let text = value.to_secrecy();"), 1);
    }
}
