//! Work that is done in a process of its own: this same program, started again with a word that no
//! usage text shows.

use std::process::{Command, Stdio};

use crate::{
    Outcome, crew, dead_log, exchange, kill, opening, oracle, processes, puts, reading, residue,
    work,
};

/// What a child does with the words after its name.
type Work = fn(&[String]) -> Outcome;

const CHILDREN: [(&str, Work); 13] = [
    ("child-puts", puts::put_and_close),
    ("child-replaces", puts::replace_and_close),
    ("child-writes", kill::write),
    ("child-joins-a-crew", crew::work),
    ("child-counts", processes::count_up),
    ("child-changes-keys", processes::change_keys),
    ("child-exchanges", exchange::exchange_all),
    ("child-opens", opening::open_only),
    ("child-leaves-a-log", dead_log::leave),
    ("child-reads", reading::read_all),
    ("child-handles-secrets", residue::handle_secrets),
    ("child-works", work::work),
    ("child-looks", oracle::look_and_tell),
];

/// Does the work of a child where this process was started as one. Programs call it first.
#[must_use]
pub fn child() -> Option<Outcome> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (name, words) = words.split_first()?;
    let (_, work) = CHILDREN.iter().find(|(child, _)| child == name)?;
    Some(work(words))
}

/// This program again, as that child, with its output to be read.
///
/// # Errors
/// Where the program cannot be found.
pub fn start_child(name: &str) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name).stdout(Stdio::piped());
    Ok(command)
}

/// The word at that place, read.
///
/// # Errors
/// Where it is missing or is something else.
pub(crate) fn word<T: std::str::FromStr>(words: &[String], at: usize) -> Outcome<T> {
    let read = words.get(at).and_then(|word| word.parse().ok());
    read.ok_or_else(|| format!("a child was started without its word {at}").into())
}
