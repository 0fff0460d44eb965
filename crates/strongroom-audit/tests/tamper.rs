//! Logs of many sizes, tampered with in many ways, where a signature or a later log holds them
//! together: each is found, in that log, between the first line that was touched and what signs it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking"
)]
#![expect(unreachable_pub, reason = "the helpers are a module of each test program")]
#![expect(dead_code, reason = "the helpers are shared by several test programs")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::*;
use strongroom_audit::{Line, LineWriter, Verdict, Verifier, read_line};
use strongroom_core::{DeadLog, Key, LogId, Outcome, StoreIdentity};

const CASES: u64 = 600;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 8) as usize % limit
    }
}

#[derive(Clone)]
struct Log {
    id: LogId,
    lines: Vec<Vec<u8>>,
    /// Bytes without a line end stand behind them.
    torn: bool,
    /// Its own writer ended it; otherwise the next log settles it.
    ended: bool,
}

#[derive(Clone)]
struct Store {
    identity: Arc<FakeIdentity>,
    logs: Vec<Log>,
    stored: BTreeMap<Key, Vec<u8>>,
}

impl Store {
    /// Two logs that are held together, and a third that its writer ended.
    fn honest(dice: &mut Dice) -> Self {
        let mut store =
            Self { identity: FakeIdentity::new(1), logs: Vec::new(), stored: BTreeMap::new() };
        let mut heads = [0_u64; 3];
        let mut dead: Option<DeadLog> = None;
        for number in 0..3 {
            let mut writer = LineWriter::begin(Arc::clone(&store.identity) as _).unwrap();
            if let Some(dead) = dead.take() {
                writer.append(&[closed(&dead)]).unwrap();
            }
            // Some are long enough for checkpoints.
            let steps = if dice.below(8) == 0 { 700 + dice.below(900) } else { 3 + dice.below(40) };
            for step in 0..steps {
                let path = dice.below(heads.len());
                let name = ["prod/a", "prod/b", "prod/c"][path];
                let seq = step as u64;
                let decision = writer.append(&[read_of("a", name, seq)]).unwrap()[0].index;
                if dice.below(3) == 0 {
                    let seq = heads[path];
                    let prev = if seq == 0 { String::new() } else { format!("{name}{seq}") };
                    let next = format!("{name}{}", seq + 1);
                    let write = write_of(writer.log(), decision, name, seq + 1, &prev, &next);
                    let intent = writer.append(&[write]).unwrap()[0];
                    writer.append(&[outcome_of(intent, Outcome::Done)]).unwrap();
                    store.stored.insert(head_key(name), next.into_bytes());
                    heads[path] += 1;
                }
            }
            let ended = number == 2 || dice.below(2) == 0;
            if ended {
                writer.end();
            } else {
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
            let lines = writer.pending().split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
            store.logs.push(Log { id: writer.log(), lines, torn: false, ended });
        }
        store
    }

    fn verify(&self) -> strongroom_audit::Report {
        let mut verifier = Verifier::new(Some(self.identity.store()));
        for log in &self.logs {
            log.lines.iter().for_each(|line| verifier.line(log.id, line));
            verifier.end_of_log(log.id, log.torn);
        }
        self.stored.iter().for_each(|(key, record)| verifier.stored(key, record));
        verifier.storage_was_read();
        verifier.finish()
    }
}

/// Where a change must be found: in this log, from its first touched line on.
struct Touched {
    log: LogId,
    line: usize,
}

type Tamper = fn(&mut Store, usize, &mut Dice) -> Option<usize>;

/// Each changes the log of that number and says from which line on; `None` where it has no such line.
const KINDS: [(&str, Tamper); 19] = [
    ("a flipped bit", |store, log, dice| {
        let lines = &mut store.logs[log].lines;
        let line = dice.below(lines.len());
        let byte = dice.below(lines[line].len());
        lines[line][byte] ^= 1 << dice.below(8);
        // A line end in the middle makes two lines of one.
        (!lines[line].contains(&b'\n')).then_some(line)
    }),
    ("a line dropped", |store, log, dice| {
        let lines = &mut store.logs[log].lines;
        let line = dice.below(lines.len() - 1);
        lines.remove(line);
        Some(line)
    }),
    ("neighbours swapped", |store, log, dice| {
        let lines = &mut store.logs[log].lines;
        let line = dice.below(lines.len() - 1);
        lines.swap(line, line + 1);
        Some(line)
    }),
    ("a line doubled", |store, log, dice| {
        let lines = &mut store.logs[log].lines;
        let line = dice.below(lines.len());
        lines.insert(line, lines[line].clone());
        Some(line)
    }),
    ("a line copied to elsewhere", |store, log, dice| {
        let lines = &mut store.logs[log].lines;
        let copy = lines[dice.below(lines.len())].clone();
        let line = 1 + dice.below(lines.len() - 1);
        lines.insert(line, copy);
        Some(line)
    }),
    ("the tail of a settled log cut", |store, log, dice| {
        let Log { lines, ended, .. } = &mut store.logs[log];
        let line = 1 + dice.below(lines.len() - 1);
        lines.truncate(line);
        (!*ended).then_some(line)
    }),
    ("lines behind the end of a settled log", |store, log, _| {
        let Log { lines, ended, .. } = &mut store.logs[log];
        let last = lines.last()?.clone();
        lines.push(last);
        (!*ended).then_some(lines.len() - 1)
    }),
    ("an effect turned round", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Decision(line) => {
                line.effect = strongroom_core::Effect::Deny;
                true
            }
            _ => false,
        })
    }),
    ("a principal replaced", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Decision(line) => line.principal.take().is_some(),
            _ => false,
        })
    }),
    ("a time moved", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Decision(line) => {
                line.at = at(line.at.as_millis() + 1);
                true
            }
            _ => false,
        })
    }),
    ("an intent of another content", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Intent(line) => {
                line.next = digest("another");
                true
            }
            _ => false,
        })
    }),
    ("an outcome turned round", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Outcome(line) => {
                line.outcome = Outcome::Lost;
                true
            }
            _ => false,
        })
    }),
    ("a checkpoint of another root", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Checkpoint(line) => {
                line.root = digest("another");
                true
            }
            _ => false,
        })
    }),
    ("an end of another size", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Close(line) => {
                line.size += 1;
                true
            }
            _ => false,
        })
    }),
    ("an end at another time", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Close(line) => {
                line.at = at(line.at.as_millis() + 1);
                true
            }
            _ => false,
        })
    }),
    ("the key of the log replaced", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Open(line) => {
                line.log_key[0] ^= 1;
                true
            }
            _ => false,
        })
    }),
    ("the lines of another log", |store, log, _| {
        let other = (log + 1) % store.logs.len();
        store.logs[log].lines = store.logs[other].lines.clone();
        Some(0)
    }),
    ("the tail of another log", |store, log, dice| {
        let other = store.logs[(log + 1) % store.logs.len()].clone();
        let Log { lines, ended, .. } = &mut store.logs[log];
        let line = 1 + dice.below(lines.len() - 1);
        lines.truncate(line);
        let has_end = other.ended && other.lines.len() > line;
        lines.extend(other.lines.into_iter().skip(line));
        // A tail without an end is a tail cut off, of which nothing tells in a log that had one.
        (!*ended || has_end).then_some(line)
    }),
    ("bytes behind the last line", |store, log, _| {
        store.logs[log].torn = true;
        store.logs[log].ended.then_some(store.logs[log].lines.len())
    }),
];

/// Edits one line of a kind, spelled as a writer spells it.
fn edit(
    store: &mut Store,
    log: usize,
    dice: &mut Dice,
    edit: impl Fn(&mut Line<'static>) -> bool,
) -> Option<usize> {
    let lines = &mut store.logs[log].lines;
    let fits: Vec<usize> =
        (0..lines.len()).filter(|at| edit(&mut read_line(&lines[*at]).unwrap())).collect();
    let at = *fits.get(dice.below(fits.len().max(1)))?;
    let mut line = read_line(&lines[at]).unwrap();
    edit(&mut line);
    let mut bytes = Vec::new();
    line.encode(&mut bytes);
    let changed = bytes != lines[at];
    lines[at] = bytes;
    changed.then_some(at)
}

#[test]
fn whatever_is_done_to_a_log_that_is_held_together_is_found_where_it_was_done() {
    let mut found = BTreeMap::<&str, u64>::new();
    let mut seed = 0;
    while found.values().sum::<u64>() < CASES {
        seed += 1;
        let dice = &mut Dice(seed);
        let mut store = Store::honest(dice);
        let report = store.verify();
        assert!(!report.accuses(), "seed {seed}, honest: {report:?}");
        let honest = store.clone();
        let (kind, tamper) = KINDS[seed as usize % KINDS.len()];
        let log = dice.below(3);
        let Some(line) = tamper(&mut store, log, dice) else { continue };
        if store.logs[log].lines == honest.logs[log].lines && !store.logs[log].torn {
            continue;
        }
        let touched = Touched { log: store.logs[log].id, line };
        check(seed, kind, &honest.logs[log], &store, &touched);
        *found.entry(kind).or_default() += 1;
    }
    for (kind, count) in &found {
        println!("{count:5} {kind}");
    }
    assert_eq!(found.len(), KINDS.len(), "a kind was never tried");
    println!("CASES {}", found.values().sum::<u64>());
}

/// Some finding accuses that log, no earlier than the line and no later than what signs it.
fn check(seed: u64, kind: &str, honest: &Log, store: &Store, touched: &Touched) {
    let report = store.verify();
    let signs =
        |line: &Vec<u8>| matches!(read_line(line), Ok(Line::Checkpoint(_) | Line::Close(_)));
    let tampered = store.logs.iter().find(|log| log.id == touched.log).unwrap();
    // What signs there now, or signed there before: a line more or less moves it by one.
    let next = |log: &Log| log.lines.iter().skip(touched.line).position(signs);
    let last = next(honest).max(next(tampered));
    let last = last.map_or(usize::MAX, |after| touched.line + after + 2);
    let is_there = |index: u64| (touched.line..=last).contains(&(index as usize));
    let is_it = |log: Option<LogId>, index: Option<u64>| {
        log == Some(touched.log) && index.is_none_or(is_there)
    };
    assert!(
        report.accusations().any(|finding| is_it(finding.log, finding.index)),
        "seed {seed}, {kind}: line {} of {} in {}, found {report:?}",
        touched.line,
        touched.log,
        honest.lines.len(),
    );
    assert!(
        report.accusations().all(|finding| finding.verdict != Verdict::Gap),
        "a gap is no accusation"
    );
}

#[test]
fn what_nothing_holds_together_is_told_in_security_md() {
    // The tail of a log that its own writer ended: only something outside of it could tell.
    let mut store = Store::honest(&mut Dice(1));
    let last = store.logs.len() - 1;
    assert!(store.logs[last].ended);
    let lines = &mut store.logs[last].lines;
    lines.pop();
    while matches!(read_line(lines.last().unwrap()), Ok(Line::Decision(_))) {
        lines.pop();
    }
    assert!(!store.verify().accuses());
}
