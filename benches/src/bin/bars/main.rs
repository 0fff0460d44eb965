//! Measures one bar: `bars ID [--quick]`, or `bars --list`.

mod append;
mod decision;
mod directory;
mod exchange;
mod get;
mod kill;
mod open;
mod plaintext;
mod processes;
mod put;
mod size;
mod start;
mod verify;

use std::process::ExitCode;

use strongroom_benches::{Outcome, child, has_flag, say};

/// Measures a bar, in full or quickly.
type Measure = fn(bool) -> Outcome;

const BARS: [(&str, Measure); 15] = [
    ("verify", verify::verify),
    ("open", open::beside_a_dead_log),
    ("append", append::append),
    ("get-current", get::current),
    ("get-at-most", get::at_most),
    ("put", put::put),
    ("decision", decision::at_many_rules),
    ("directory", directory::tells_nothing),
    ("kill", kill::loses_nothing),
    ("processes", processes::count_exactly),
    ("start", start::beside_argon2id),
    ("exchange", exchange::spends_once),
    ("file-size", size::of_file),
    ("memory", size::of_memory),
    ("plaintext", plaintext::is_wiped),
];

fn main() -> ExitCode {
    if let Some(done) = child() {
        return ended("a child", done);
    }
    if has_flag("--list") {
        BARS.iter().for_each(|(id, _)| say(id));
        return ExitCode::SUCCESS;
    }
    let asked = std::env::args().nth(1).unwrap_or_default();
    let Some((_, measure)) = BARS.iter().find(|(id, _)| *id == asked) else {
        say(format!("nothing measures `{asked}`: `bars --list` shows what is measured"));
        return ExitCode::from(2);
    };
    ended(&asked, measure(has_flag("--quick")))
}

fn ended(what: &str, done: Outcome) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("{what} was not measured: {error}"));
            ExitCode::FAILURE
        }
    }
}
