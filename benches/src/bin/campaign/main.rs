//! Runs one campaign: `campaign NAME [--full] [--seed N]`, or `campaign --list`.

use std::process::ExitCode;

use strongroom_benches::{Outcome, flag_value, has_flag, say};

/// A campaign: whether it runs in full, and the seed that repeats it.
type Campaign = fn(bool, u64) -> Outcome;

const CAMPAIGNS: [(&str, Campaign); 0] = [];

fn main() -> ExitCode {
    if has_flag("--list") {
        CAMPAIGNS.iter().for_each(|(name, _)| say(name));
        return ExitCode::SUCCESS;
    }
    let asked = std::env::args().nth(1).unwrap_or_default();
    let Some((_, run)) = CAMPAIGNS.iter().find(|(name, _)| *name == asked) else {
        say(format!("no campaign is called `{asked}`: `campaign --list` shows them"));
        return ExitCode::from(2);
    };
    match run(has_flag("--full"), flag_value("--seed").unwrap_or(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("{asked}: {error}"));
            ExitCode::FAILURE
        }
    }
}
