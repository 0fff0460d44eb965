//! Runs one campaign: `campaign NAME [--full] [--seed N]`, or `campaign --list`.

mod io_errors;
mod kill;
mod power_cut;
mod processes;
mod rollback;
mod simulation;
mod tamper;

use std::process::ExitCode;

use strongroom_benches::{Outcome, child, flag_value, has_flag, say};

/// A campaign: whether it runs in full, and the seed that repeats it.
type Campaign = fn(bool, u64) -> Outcome;

const CAMPAIGNS: [(&str, Campaign); 7] = [
    ("io-errors", io_errors::run),
    ("kill", kill::run),
    ("power-cut", power_cut::run),
    ("processes", processes::run),
    ("rollback", rollback::run),
    ("simulation", simulation::run),
    ("tamper", tamper::run),
];

fn main() -> ExitCode {
    if let Some(done) = child() {
        return ended("a child", done);
    }
    if has_flag("--list") {
        CAMPAIGNS.iter().for_each(|(name, _)| say(name));
        return ExitCode::SUCCESS;
    }
    let asked = std::env::args().nth(1).unwrap_or_default();
    let Some((_, run)) = CAMPAIGNS.iter().find(|(name, _)| *name == asked) else {
        say(format!("no campaign is called `{asked}`: `campaign --list` shows them"));
        return ExitCode::from(2);
    };
    ended(&asked, run(has_flag("--full"), flag_value("--seed").unwrap_or(1)))
}

fn ended(what: &str, done: Outcome) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("{what}: {error}"));
            ExitCode::FAILURE
        }
    }
}
