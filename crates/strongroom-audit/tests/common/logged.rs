//! A log in a directory of its own, written by its writer.

use std::path::Path;
use std::sync::Arc;

use strongroom_audit::{CheckpointLine, Line, LineWriter, OpenLine, origin, read_line};
use strongroom_core::{LogId, Receipt};
use tempfile::TempDir;

use crate::common::{FakeIdentity, read_of};

pub struct Logged {
    dir: TempDir,
    pub open: OpenLine,
    pub lines: Vec<Vec<u8>>,
}

impl Logged {
    /// So many decisions, and what leads them: names, and a checkpoint every 1,024 lines.
    pub fn new(decisions: u64) -> Self {
        let mut writer = LineWriter::begin(FakeIdentity::new(1) as Arc<_>).unwrap();
        for seq in 0..decisions {
            writer.append(&[read_of("billing", "prod/billing/db", seq)]).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(format!("{}.jsonl", writer.log())), writer.pending())
            .unwrap();
        let lines: Vec<Vec<u8>> =
            writer.pending().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        // Behind the last line end is nothing.
        let lines = lines[..lines.len() - 1].to_vec();
        let open = match read_line(&lines[0]).unwrap() {
            Line::Open(open) => Some(open),
            _ => None,
        };
        let open = open.unwrap();
        Self { dir, open, lines }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn log(&self) -> LogId {
        self.open.log
    }

    pub fn origin(&self) -> String {
        origin(self.open.store, self.open.log)
    }

    pub fn receipt(&self, index: u64) -> Receipt {
        Receipt { log: self.log(), index }
    }

    pub fn checkpoints(&self) -> Vec<CheckpointLine> {
        let checkpoint = |line: &Vec<u8>| match read_line(line) {
            Ok(Line::Checkpoint(line)) => Some(line),
            _ => None,
        };
        self.lines.iter().filter_map(checkpoint).collect()
    }

    /// Edits a line of the file.
    pub fn edit(&self, index: usize, edit: impl Fn(&str) -> String) {
        let mut lines = self.lines.clone();
        let edited = edit(std::str::from_utf8(&lines[index]).unwrap());
        assert_ne!(edited.as_bytes(), lines[index], "nothing was edited");
        lines[index] = edited.into_bytes();
        let text = lines.iter().flat_map(|line| line.iter().chain(b"\n")).copied();
        let file = self.dir().join(format!("{}.jsonl", self.log()));
        std::fs::write(file, text.collect::<Vec<u8>>()).unwrap();
    }
}
