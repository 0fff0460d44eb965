//! Campaigns: what takes longer than the tests have. The program `campaign` of the package in
//! `benches/` runs them, short as they stand and long with `--full`.

use std::process::Stdio;
use std::time::UNIX_EPOCH;

use crate::bars::{binary, build};
use crate::cargo::{cargo, output, succeeds};
use crate::{Outcome, mutants};

const USAGE: &str = "\
usage: cargo xtask campaign NAME [--full] [--seed N], or --list
       cargo xtask campaign mutants [--full] [--only ID] [--seed N]";
/// The campaign against the simulation itself, which builds what it runs.
const MUTANTS: &str = "mutants";
/// The simulation of rotations, which is a test of its crate.
const ROTATION: &str = "rotation";
/// How many seeds of each of its kinds: short, and in full.
const SEEDS: [u64; 2] = [50, 12_500];

/// Runs one, and prints the seed that repeats it.
pub(crate) fn run(options: &[&str]) -> Outcome {
    let asked = if options == ["--list"] { None } else { Some(parse(options)?) };
    if let Some(Asked { name, full, seed, only }) = &asked
        && name == MUTANTS
    {
        return mutants::run(*full, only.as_deref(), seed.unwrap_or(1));
    }
    if let Some(Asked { name, full, seed, .. }) = &asked
        && name == ROTATION
    {
        return rotation(*full, seed.unwrap_or_else(seed_of_now));
    }
    build()?;
    let mut command = binary("campaign")?;
    let Some(asked) = asked else {
        println!("{MUTANTS}\n{ROTATION}");
        return succeeds(command.arg("--list"), "campaign --list");
    };
    let seed = asked.seed.unwrap_or_else(seed_of_now);
    let full = if asked.full { " --full" } else { "" };
    println!("==> campaign {} --seed {seed}{full}", asked.name);
    command.arg(&asked.name).args(["--seed", &seed.to_string()]);
    if asked.full {
        command.arg("--full");
    }
    succeeds(&mut command, &asked.name)
}

/// Runs the simulation over many seeds; one that fails is named.
fn rotation(full: bool, seed: u64) -> Outcome {
    let [short, long] = SEEDS;
    let seeds = if full { long } else { short };
    println!("==> campaign {ROTATION} --seed {seed}: {seeds} seeds of each kind");
    let mut command = cargo();
    command
        .args(["test", "--release", "--package", "strongroom-rotation", "--test", "sim", "--"])
        .args(["--ignored", "--exact", "--nocapture", "seeds_of_a_campaign"])
        .env("STRONGROOM_SEED", seed.to_string())
        .env("STRONGROOM_SEEDS", seeds.to_string())
        .stderr(Stdio::null());
    let said = output(&mut command, ROTATION)?;
    let verdict =
        said.lines().find(|line| line.starts_with("CAUGHT ") || line.starts_with("SURVIVED "));
    println!("{}", verdict.unwrap_or("it says nothing"));
    Ok(verdict.is_some_and(|verdict| verdict.starts_with("SURVIVED ")))
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    name: String,
    full: bool,
    seed: Option<u64>,
    /// One planted fault alone.
    only: Option<String>,
}

fn parse(options: &[&str]) -> Result<Asked, String> {
    let usage = || USAGE.to_owned();
    let (name, mut rest) = options.split_first().ok_or_else(usage)?;
    if name.starts_with("--") {
        return Err(usage());
    }
    let mut asked = Asked { name: (*name).to_owned(), full: false, seed: None, only: None };
    loop {
        rest = match rest {
            [] => return Ok(asked),
            ["--full", rest @ ..] => {
                asked.full = true;
                rest
            }
            ["--seed", seed, rest @ ..] => {
                asked.seed = Some(seed.parse().map_err(|_| usage())?);
                rest
            }
            ["--only", id, rest @ ..] if asked.name == MUTANTS => {
                asked.only = Some((*id).to_owned());
                rest
            }
            _ => return Err(usage()),
        };
    }
}

#[expect(clippy::disallowed_methods, reason = "a seed that differs from run to run")]
fn seed_of_now() -> u64 {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_any_order() {
        let all = Ok(Asked { name: "kill".into(), full: true, seed: Some(7), only: None });
        assert_eq!(parse(&["kill", "--full", "--seed", "7"]), all);
        assert_eq!(parse(&["kill", "--seed", "7", "--full"]), all);
        assert_eq!(
            parse(&["kill"]),
            Ok(Asked { name: "kill".into(), full: false, seed: None, only: None })
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for options in
            [&[][..], &["--full"], &["kill", "--seed"], &["kill", "--seed", "x"], &["kill", "7"]]
        {
            assert!(parse(options).is_err(), "{options:?}");
        }
    }
}
