//! Automation of this repository. `cargo xtask` lists what it can do.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod bars;
mod campaign;
mod cargo;
mod fuzz;
mod mutants;
mod python;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  tidy                     check what the compiler does not: arrows between crates, places of
                           clock and randomness, reasons for exposure, features, sizes, twins
  test [--fuzz-seconds N]  run every test there is; N seconds of fuzzing a target (default 3)
  bars [PART] [--quick]    measure the bars of a part, or of all, and say pass or fail
  campaign NAME [--full] [--seed N]
                           run a campaign that takes longer than the tests have
  campaign mutants [--full] [--only ID] [--seed N]
                           plant each known fault, and see that the simulation finds it
  bars --list, campaign --list
                           what there is";

/// What a command came to: `Ok(false)` where it ran and something fell short.
type Outcome = Result<bool, String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.split_first() {
        Some((&"tidy", [])) => tidy::run(),
        Some((&"test", options)) => test::run(options),
        Some((&"bars", options)) => bars::run(options),
        Some((&"campaign", options)) => campaign::run(options),
        None | Some((&("help" | "-h" | "--help"), _)) => {
            println!("{USAGE}");
            Ok(true)
        }
        Some(_) => Err(format!("no such command\n\n{USAGE}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            println!("xtask: {problem}");
            ExitCode::from(2)
        }
    }
}
