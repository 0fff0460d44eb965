//! One process that works while calls of it fail, and one that looks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::points::{CALLS, points};
use super::{Harm, copy};
use crate::oracle::{Manner, is_of_ledger, looked_by_child};
use crate::strace::strace;
use crate::work::{ACTS, FAULT, INLINE, LEAVE_OPEN, OPENED};
use crate::{Outcome, start_child};

/// What the process finds, and does.
#[derive(Debug)]
pub(super) struct Scene {
    /// The store that it finds, if it finds one.
    found: Option<PathBuf>,
    /// What was said of it.
    said: Vec<String>,
    seed: u64,
    is_inline: bool,
}

/// What came of one process.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// Whether it came to the call that was to fail.
    pub(super) was_met: bool,
    pub(super) opened: bool,
    said: Vec<String>,
    pub(super) compared: usize,
    pub(super) faults: Vec<String>,
}

impl Ran {
    /// How many things were said that begin so.
    pub(super) fn count(&self, start: &str) -> usize {
        self.said.iter().filter(|line| line.starts_with(start)).count()
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.found.is_some() { "a store left open" } else { "no store" })?;
        f.write_str(if self.is_inline { ", inline" } else { ", threads" })
    }
}

impl Scene {
    /// Nothing, or a store in this directory that was left open.
    pub(super) fn set(dir: &Path, seed: u64, is_left_open: bool, is_inline: bool) -> Outcome<Self> {
        let mut scene = Self { found: None, said: Vec::new(), seed, is_inline };
        if is_left_open {
            std::fs::create_dir_all(dir)?;
            let mut child = start_child("child-works")?;
            child.arg(dir).args([&(!seed).to_string(), &ACTS.to_string(), LEAVE_OPEN]);
            scene.said = said(&child.output()?);
            scene.found = Some(dir.to_path_buf());
        }
        Ok(scene)
    }

    /// The calls that can fail, told by a process to which nothing is done.
    pub(super) fn points(&self, scratch: &Path) -> Outcome<Vec<(&'static str, usize)>> {
        let (dir, trace) = self.places(scratch)?;
        let done = self.traced(&dir, &trace, &[])?;
        if !done.status.success() {
            let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
            return Err(format!("`strace` or what it ran ended: {complaint}").into());
        }
        let place = scratch.to_str().ok_or("a temporary directory without a name")?;
        Ok(points(&std::fs::read_to_string(trace)?, place))
    }

    pub(super) fn run(&self, scratch: &Path, harm: &Harm) -> Outcome<Ran> {
        let (dir, trace) = self.places(scratch)?;
        let done = match harm {
            Harm::Call { call, number, fault } => {
                self.traced(&dir, &trace, &["-e", &fault.injection(call, *number)])?
            }
            Harm::Limit { blocks } => self.limited(&dir, *blocks)?,
        };
        let mut ran = Ran { said: said(&done), ..Ran::default() };
        ran.was_met = match harm {
            Harm::Call { .. } => std::fs::read_to_string(trace)?.contains("(INJECTED)"),
            Harm::Limit { .. } => true,
        };
        ran.opened = ran.said.iter().any(|line| line == OPENED);
        if !done.status.success() {
            let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
            ran.faults.push(format!("the process ended with {}: {complaint}", done.status));
        }
        let wrong = ran.said.iter().filter(|line| line.starts_with(FAULT));
        ran.faults.extend(wrong.cloned());
        let lines = self.said.iter().chain(&ran.said).filter(|line| is_of_ledger(line));
        let lines: Vec<_> = lines.cloned().collect();
        let manner = Manner { create: self.found.is_none() && !ran.opened, recorded: true };
        let looked = looked_by_child(&dir, &lines, manner)?;
        ran.compared = looked.compared;
        ran.faults.extend(looked.faults);
        Ok(ran)
    }

    fn places(&self, scratch: &Path) -> Outcome<(PathBuf, PathBuf)> {
        let dir = scratch.join("room");
        match &self.found {
            Some(found) => copy(found, &dir)?,
            None => std::fs::create_dir(&dir)?,
        }
        Ok((dir, scratch.join("trace")))
    }

    fn words(&self, dir: &Path) -> Outcome<Vec<String>> {
        let dir = dir.to_str().ok_or("a temporary directory without a name")?;
        let words = ["child-works", dir, &self.seed.to_string(), &ACTS.to_string()];
        let words = words.into_iter().chain(self.is_inline.then_some(INLINE));
        Ok(words.map(str::to_owned).collect())
    }

    fn traced(&self, dir: &Path, trace: &Path, more: &[&str]) -> Outcome<Output> {
        let words = self.words(dir)?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let calls = format!("trace={}", CALLS.join(","));
        let options = [&["-y", "-s", "4096", "-e", &calls], more].concat();
        strace(&options, trace, &words)
    }

    /// Under a limit of the size of files, at which the kernel cuts a write short and refuses the
    /// next one.
    fn limited(&self, dir: &Path, blocks: u64) -> Outcome<Output> {
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        shell.args(["-c", &script, "sh"]).arg(std::env::current_exe()?);
        Ok(shell.args(self.words(dir)?).stdout(Stdio::piped()).output()?)
    }
}

fn said(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
