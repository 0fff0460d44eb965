//! Every test there is, in one command.

use std::time::{Duration, Instant};

use crate::cargo::{cargo, succeeds};
use crate::{Outcome, fuzz, python};

/// Long enough to see a target die of a nearby input, short enough to run at each change.
const FUZZ_SECONDS: u64 = 3;

/// Runs them all, the later ones too where an earlier one failed, and sums up.
pub(crate) fn run(options: &[&str]) -> Outcome {
    let seconds = match options {
        [] => FUZZ_SECONDS,
        ["--fuzz-seconds", seconds] => {
            seconds.parse().map_err(|_| "--fuzz-seconds takes a number")?
        }
        _ => return Err("usage: cargo xtask test [--fuzz-seconds N]".to_owned()),
    };
    let python = python::ready();
    let mut steps = Steps::default();
    steps.run("python with `cryptography`", || match &python {
        Ok(path) => Ok(!path.as_os_str().is_empty()),
        Err(problem) => Err(problem.clone()),
    });
    steps.run("unit, property, conformance, compile-fail, doc, README, examples", || {
        let mut command = cargo();
        command.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
        if let Ok(python) = &python {
            command.env(python::VARIABLE, python);
        }
        succeeds(&mut command, "cargo test")
    });
    steps.run("fuzz corpora replayed", fuzz::replay);
    steps.run(&format!("{seconds} s of fuzzing a target"), || fuzz::smoke(seconds));
    Ok(steps.sum_up())
}

#[derive(Default)]
struct Steps(Vec<(String, Outcome, Duration)>);

impl Steps {
    #[expect(clippy::disallowed_methods, reason = "how long a step of the build took")]
    fn run(&mut self, name: &str, step: impl FnOnce() -> Outcome) {
        println!("\n==> {name}");
        let start = Instant::now();
        let outcome = step();
        self.0.push((name.to_owned(), outcome, start.elapsed()));
    }

    fn sum_up(&self) -> bool {
        println!("\n==> summary");
        for (name, outcome, took) in &self.0 {
            let (verdict, why) = match outcome {
                Ok(true) => ("ok", String::new()),
                Ok(false) => ("FAILED", String::new()),
                Err(problem) => ("FAILED", format!(": {problem}")),
            };
            println!("{verdict:7} {:6.1} s  {name}{why}", took.as_secs_f64());
        }
        let failed = self.0.iter().filter(|(_, outcome, _)| *outcome != Ok(true)).count();
        println!("test: {} steps, {failed} failed", self.0.len());
        failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_run_and_one_failure_fails_the_whole() {
        let mut steps = Steps::default();
        steps.run("one", || Ok(true));
        assert!(steps.sum_up());
        steps.run("two", || Ok(false));
        steps.run("three", || Err("no python".to_owned()));
        assert_eq!(steps.0.len(), 3);
        assert!(!steps.sum_up());
    }
}
