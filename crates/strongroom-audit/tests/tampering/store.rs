//! An honest store: some logs, closed, settled or live, and what is stored by them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use strongroom_audit::{Line, LineWriter, Report, Verifier, read_line, verify_dir};
use strongroom_core::{DeadLog, Key, LogId, Outcome, StoreIdentity};

use super::super::common::*;
use super::Touched;
use super::kinds::CUTS;

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 8) as usize % limit
    }
}

/// How large stores are.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The most logs of one.
    pub logs: usize,
    /// The most requests that a long log tells of. One log in eight is long.
    pub requests: usize,
}

/// What holds a log together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its own writer ended it.
    Closed,
    /// A later log settled it.
    Settled,
    /// Its writer lives, and says how many lines it has written.
    Live(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub id: LogId,
    pub lines: Vec<Vec<u8>>,
    /// Bytes without a line end stand behind them.
    pub torn: bool,
    /// There is no file of it any more.
    pub gone: bool,
    pub end: End,
}

/// A write that took effect: where its intent is, and what it stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub log: LogId,
    pub line: usize,
    pub record: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Store {
    pub identity: Arc<FakeIdentity>,
    pub logs: Vec<Log>,
    pub stored: BTreeMap<Key, Vec<u8>>,
    /// All writes of each record.
    pub writes: BTreeMap<Key, Vec<Written>>,
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        self.logs == other.logs && self.stored == other.stored
    }
}

const PATHS: [&str; 3] = ["prod/a", "prod/b", "prod/c"];

impl Store {
    /// The logs of some opens of a store, one after the other. The last one may live.
    pub fn honest(dice: &mut Dice, shape: Shape) -> Self {
        let mut store = Self {
            identity: FakeIdentity::new(1),
            logs: Vec::new(),
            stored: BTreeMap::new(),
            writes: BTreeMap::new(),
        };
        let mut dead: Option<DeadLog> = None;
        let count = 1 + dice.below(shape.logs);
        for number in 0..count {
            let mut writer = LineWriter::begin(Arc::clone(&store.identity) as _).unwrap();
            if let Some(dead) = dead.take() {
                writer.append(&[closed(&dead)]).unwrap();
            }
            for step in 0..steps(dice, shape) {
                store.request(&mut writer, dice, step as u64);
            }
            let is_last = number + 1 == count;
            let end = match dice.below(2) {
                0 if is_last => End::Live(writer.size() as usize),
                0 => End::Settled,
                _ => End::Closed,
            };
            match end {
                End::Closed => drop(writer.end()),
                End::Settled => {
                    let (log, size, root) = (writer.log(), writer.size(), writer.root());
                    dead = Some(DeadLog {
                        log,
                        size,
                        root,
                        checkpoints: Vec::new(),
                        registered: 0,
                        open: Vec::new(),
                    });
                }
                End::Live(_) => {}
            }
            let lines = writer.pending().split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
            store.logs.push(Log { id: writer.log(), lines, torn: false, gone: false, end });
        }
        store
    }

    fn request(&mut self, writer: &mut LineWriter, dice: &mut Dice, number: u64) {
        let name = PATHS[dice.below(PATHS.len())];
        let decision = writer.append(&[read_of("a", name, number)]).unwrap()[0].index;
        if dice.below(3) > 0 {
            return;
        }
        let key = head_key(name);
        let written = self.writes.entry(key.clone()).or_default();
        let seq = written.len();
        let prev = if seq == 0 { String::new() } else { format!("{name}{seq}") };
        let next = format!("{name}{}", seq + 1);
        let write = write_of(writer.log(), decision, name, seq as u64 + 1, &prev, &next);
        let intent = writer.append(&[write]).unwrap()[0];
        writer.append(&[outcome_of(intent, Outcome::Done)]).unwrap();
        let (log, line, record) = (intent.log, intent.index as usize, next.into_bytes());
        self.stored.insert(key, record.clone());
        written.push(Written { log, line, record });
    }

    /// Whether something in the store tells of a change there. What follows the last checkpoint of
    /// a live log is signed by nothing yet, but for the number of lines.
    pub fn holds(&self, kind: &str, touched: &Touched) -> bool {
        let log = self.logs.iter().find(|log| log.id == touched.log).unwrap();
        match log.end {
            End::Closed | End::Settled => true,
            End::Live(_) => {
                touched.exactly
                    || CUTS.contains(&kind)
                    || log.lines.iter().skip(touched.line + 1).any(|line| is_checkpoint(line))
            }
        }
    }

    /// Verifies it from a directory, or as lines where a log of it is live.
    pub fn verify(&self, scratch: &Path) -> Report {
        if self.logs.iter().any(|log| matches!(log.end, End::Live(_))) {
            return self.verify_lines();
        }
        let dir = scratch.join("audit");
        let _ = std::fs::remove_dir_all(&dir);
        self.write(&dir);
        let stored = self.stored.iter().map(|(key, record)| (key.clone(), record.clone()));
        verify_dir(&dir, Some(self.identity.store()), stored).unwrap()
    }

    fn verify_lines(&self) -> Report {
        let mut verifier = Verifier::new(Some(self.identity.store()));
        for log in self.logs.iter().filter(|log| !log.gone) {
            log.lines.iter().for_each(|line| verifier.line(log.id, line));
            verifier.end_of_log(log.id, log.torn);
            if let End::Live(lines) = log.end {
                verifier.lives(log.id, lines as u64);
            }
        }
        self.stored.iter().for_each(|(key, record)| verifier.stored(key, record));
        verifier.storage_was_read();
        verifier.finish()
    }

    /// The files of the logs, with the zero bytes that are laid out where a writer died.
    fn write(&self, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        for log in self.logs.iter().filter(|log| !log.gone) {
            let mut bytes = log.lines.join(&b'\n');
            bytes.extend((!log.lines.is_empty()).then_some(b'\n'));
            if log.torn {
                bytes.extend(b"{\"t\":");
            } else if log.end == End::Settled {
                bytes.resize(bytes.len() + 700, 0);
            }
            std::fs::write(dir.join(format!("{}.jsonl", log.id)), bytes).unwrap();
            if log.end == End::Settled {
                std::fs::write(dir.join(format!("{}.settled", log.id)), "later\n").unwrap();
            }
        }
    }
}

/// Some logs have their first line alone, some are long enough for checkpoints.
fn steps(dice: &mut Dice, shape: Shape) -> usize {
    match dice.below(8) {
        0 => shape.requests / 2 + dice.below(shape.requests / 2),
        1 => 0,
        _ => 1 + dice.below(40),
    }
}

fn is_checkpoint(line: &[u8]) -> bool {
    matches!(read_line(line), Ok(Line::Checkpoint(_)))
}
