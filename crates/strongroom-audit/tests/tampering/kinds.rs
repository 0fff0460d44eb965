//! The ways to tamper.

use std::borrow::Cow;

use strongroom_audit::{Line, read_line};
use strongroom_core::{Effect, Outcome};

use super::super::common::*;
use super::Touched;
use super::store::{Dice, End, Log, Store};

/// Changes a store, mostly the log of that number, and says where; `None` where there is nothing of
/// the kind, or nothing could tell.
pub type Tamper = fn(&mut Store, usize, &mut Dice) -> Option<Touched>;

/// Those that a live writer, which knows how many lines it has written, tells of in any line.
pub const CUTS: [&str; 3] = ["a line dropped", "some lines dropped", "the tail of a live log cut"];

pub const KINDS: [(&str, Tamper); 34] = [
    ("a flipped bit", |store, log, dice| {
        let lines = &mut store.logs[log].lines;
        let line = dice.below(lines.len());
        let byte = dice.below(lines[line].len());
        lines[line][byte] ^= 1 << dice.below(8);
        // A line end in the middle makes two lines of one.
        if lines[line].contains(&b'\n') { None } else { at_line(store, log, line) }
    }),
    ("a zero byte in a line", |store, log, dice| {
        let Log { lines, end, .. } = &mut store.logs[log];
        // A closed log whose last line has one is a log without its end, of which nothing tells.
        let lines_held = lines.len() - usize::from(*end == End::Closed);
        let line = dice.below(lines_held.max(1));
        let byte = dice.below(lines[line].len());
        lines[line][byte] = 0;
        at_line(store, log, line)
    }),
    ("a line dropped", |store, log, dice| {
        let line = dice.below(inner(store, log)?);
        store.logs[log].lines.remove(line);
        at_line(store, log, line)
    }),
    ("some lines dropped", |store, log, dice| {
        let count = inner(store, log)?;
        let line = dice.below(count);
        let end = line + 1 + dice.below(count - line);
        store.logs[log].lines.drain(line..end);
        at_line(store, log, line)
    }),
    ("a checkpoint dropped", |store, log, dice| {
        let line = some_line(store, log, dice, |line| matches!(line, Line::Checkpoint(_)))?;
        store.logs[log].lines.remove(line);
        at_line(store, log, line)
    }),
    ("neighbours swapped", |store, log, dice| {
        let line = dice.below(inner(store, log)?);
        store.logs[log].lines.swap(line, line + 1);
        at_line(store, log, line)
    }),
    ("a line moved", |store, log, dice| {
        let count = inner(store, log)?;
        let (from, to) = (dice.below(count), dice.below(count));
        let lines = &mut store.logs[log].lines;
        let line = lines.remove(from);
        lines.insert(to, line);
        at_line(store, log, from.min(to))
    }),
    ("a line doubled", |store, log, dice| {
        let lines = &mut store.logs[log].lines;
        let line = dice.below(lines.len());
        lines.insert(line, lines[line].clone());
        // The first of the two stands where it stood.
        at_line(store, log, line)
    }),
    ("a line copied to elsewhere", |store, log, dice| {
        let count = inner(store, log)?;
        let lines = &mut store.logs[log].lines;
        let copy = lines[dice.below(lines.len())].clone();
        let line = 1 + dice.below(count);
        lines.insert(line, copy);
        at_line(store, log, line)
    }),
    ("a line of another log", |store, log, dice| {
        let count = inner(store, log)?;
        let other = &store.logs[other_log(store, log)?].lines;
        let copy = other[dice.below(other.len())].clone();
        let line = 1 + dice.below(count);
        store.logs[log].lines.insert(line, copy);
        at_line(store, log, line)
    }),
    ("a line spelled otherwise", |store, log, dice| {
        let lines = &mut store.logs[log].lines;
        let line = dice.below(lines.len());
        lines[line].insert(1, b' ');
        at_line(store, log, line)
    }),
    ("an empty line", |store, log, dice| {
        let line = 1 + dice.below(inner(store, log)?);
        store.logs[log].lines.insert(line, Vec::new());
        at_line(store, log, line)
    }),
    ("the tail of a settled log cut", |store, log, dice| {
        cut(store, log, dice, |end| end == End::Settled)
    }),
    ("the tail of a live log cut", |store, log, dice| {
        cut(store, log, dice, |end| matches!(end, End::Live(_)))
    }),
    ("a settled log removed", |store, log, _| {
        let Log { lines, gone, end, .. } = &mut store.logs[log];
        if *end != End::Settled {
            return None;
        }
        *gone = true;
        lines.clear();
        at_line(store, log, 0)
    }),
    ("lines behind the end of a settled log", |store, log, _| {
        let Log { lines, end, .. } = &mut store.logs[log];
        let last = lines.last()?.clone();
        lines.push(last);
        let line = lines.len() - 1;
        if *end == End::Settled { at_line(store, log, line) } else { None }
    }),
    ("lines behind the end of a closed log", |store, log, dice| {
        let Log { lines, end, .. } = &mut store.logs[log];
        lines.push(lines[dice.below(lines.len())].clone());
        let line = lines.len() - 1;
        if *end == End::Closed { at_line(store, log, line) } else { None }
    }),
    ("bytes behind the end of a closed log", |store, log, _| {
        let Log { lines, end, torn, .. } = &mut store.logs[log];
        *torn = true;
        let line = lines.len();
        if *end == End::Closed { at_line(store, log, line) } else { None }
    }),
    ("an effect turned round", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Decision(line) => {
                line.effect = Effect::Deny;
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
    ("a name replaced", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Name(line) => {
                line.sealed.to_mut()[0] ^= 1;
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
    ("an intent of another record", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Intent(line) => {
                line.key = Cow::Owned(head_key("prod/another").as_bytes().to_vec());
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
    ("a settlement of another size", |store, log, dice| {
        edit(store, log, dice, |line| match line {
            Line::Closed(line) => {
                line.size += 1;
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
        let other = other_log(store, log)?;
        store.logs[log].lines = store.logs[other].lines.clone();
        at_line(store, log, 0)
    }),
    ("the tail of another log", |store, log, dice| {
        let line = 1 + dice.below(inner(store, log)?);
        let other = store.logs[other_log(store, log)?].clone();
        let Log { lines, end, .. } = &mut store.logs[log];
        lines.truncate(line);
        let is_told = match end {
            End::Settled => true,
            // A tail without an end is a tail cut off, of which nothing tells in a log that had one.
            End::Closed => other.end == End::Closed && other.lines.len() > line,
            // It may be as long as the writer says.
            End::Live(_) => false,
        };
        lines.extend(other.lines.into_iter().skip(line));
        if is_told { at_line(store, log, line) } else { None }
    }),
    ("a record rolled back", |store, log, _| {
        let at = store.logs[log].id;
        let (key, writes) = store.writes.iter().find(|(_, writes)| {
            writes.len() > 1 && writes.last().is_some_and(|last| last.log == at)
        })?;
        store.stored.insert(key.clone(), writes[writes.len() - 2].record.clone());
        let line = writes.last()?.line;
        Some(Touched { log: at, line, exactly: true })
    }),
    ("a record removed", |store, log, _| {
        let at = store.logs[log].id;
        let mut writes = store.writes.iter();
        let (key, writes) =
            writes.find(|(_, writes)| writes.last().is_some_and(|last| last.log == at))?;
        store.stored.remove(key);
        let line = writes.last()?.line;
        Some(Touched { log: at, line, exactly: true })
    }),
];

fn at_line(store: &Store, log: usize, line: usize) -> Option<Touched> {
    Some(Touched { log: store.logs[log].id, line, exactly: false })
}

/// How many lines of a log have one behind them; `None` where none has.
fn inner(store: &Store, log: usize) -> Option<usize> {
    store.logs[log].lines.len().checked_sub(1).filter(|count| *count > 0)
}

fn other_log(store: &Store, log: usize) -> Option<usize> {
    Some((log + 1) % store.logs.len()).filter(|other| *other != log)
}

fn cut(store: &mut Store, log: usize, dice: &mut Dice, fits: fn(End) -> bool) -> Option<Touched> {
    let line = 1 + dice.below(inner(store, log)?);
    let Log { lines, end, .. } = &mut store.logs[log];
    lines.truncate(line);
    if fits(*end) { at_line(store, log, line) } else { None }
}

fn some_line(
    store: &Store,
    log: usize,
    dice: &mut Dice,
    fits: impl Fn(&mut Line<'static>) -> bool,
) -> Option<usize> {
    let lines = &store.logs[log].lines;
    let fitting: Vec<usize> =
        (0..lines.len()).filter(|at| fits(&mut read_line(&lines[*at]).unwrap())).collect();
    fitting.get(dice.below(fitting.len().max(1))).copied()
}

/// Edits one line of a kind, spelled as a writer spells it.
fn edit(
    store: &mut Store,
    log: usize,
    dice: &mut Dice,
    edit: impl Fn(&mut Line<'static>) -> bool,
) -> Option<Touched> {
    let line = some_line(store, log, dice, &edit)?;
    let bytes = &mut store.logs[log].lines[line];
    let mut read = read_line(bytes).unwrap();
    edit(&mut read);
    let mut changed = Vec::new();
    read.encode(&mut changed);
    *bytes = changed;
    at_line(store, log, line)
}
