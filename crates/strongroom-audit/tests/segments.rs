//! Logs of several segments: what the lines say, and what the verifier finds.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking"
)]
#![expect(dead_code, reason = "the helpers are shared by several test programs")]
#![expect(unreachable_pub, reason = "the helpers are a module of each test program")]

mod common;

use std::collections::HashSet;
use std::sync::Arc;

use common::*;
use proptest::prelude::*;
use strongroom_audit::{
    CarriedLine, DeadLogReader, Line, LineWriter, MerkleTree, NameToken, Report, SegmentLine,
    Verdict, Verifier, read_line,
};
use strongroom_core::{AuditError, AuditRecord, DeadLog, LogId, Outcome, Receipt, StoreIdentity};

/// A log under the pen, a segment a list of lines.
struct Pen {
    identity: Arc<FakeIdentity>,
    writer: LineWriter,
    segments: Vec<Vec<Vec<u8>>>,
}

impl Pen {
    fn new() -> Self {
        let identity = FakeIdentity::new(1);
        let writer = LineWriter::begin(Arc::clone(&identity) as _).unwrap();
        let mut pen = Self { identity, writer, segments: vec![Vec::new()] };
        pen.write();
        pen
    }

    fn write(&mut self) {
        let lines = self.writer.pending().split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec);
        self.segments.last_mut().unwrap().extend(lines);
        self.writer.written();
    }

    fn append(&mut self, record: AuditRecord) -> Receipt {
        let receipt = self.writer.append(&[record]).unwrap()[0];
        self.write();
        receipt
    }

    fn intent(&mut self, path: &str, seq: u64) -> Receipt {
        let decision = self.append(read_of("a", path, seq)).index;
        let (prev, next) = (format!("{path}{}", seq - 1), format!("{path}{seq}"));
        let prev = if seq == 1 { "" } else { &prev };
        self.append(write_of(self.writer.log(), decision, path, seq, prev, &next))
    }

    fn done(&mut self, path: &str, seq: u64) {
        let intent = self.intent(path, seq);
        self.append(outcome_of(intent, Outcome::Done));
    }

    fn next_segment(&mut self) {
        let number = self.writer.begin_segment().unwrap();
        assert_eq!(number, self.segments.len() as u64);
        self.segments.push(Vec::new());
        self.write();
    }

    fn end(mut self) -> Self {
        self.writer.end();
        self.write();
        self
    }

    /// Four segments, with a write of the first that is open until the last.
    fn of_four(end: bool) -> Self {
        let mut pen = Self::new();
        let long = pen.intent("prod/long", 1);
        pen.done("prod/a", 1);
        for seq in 2..5 {
            pen.next_segment();
            let short = pen.intent("prod/b", seq - 1);
            pen.done("prod/a", seq);
            pen.append(outcome_of(short, Outcome::Done));
        }
        if end {
            pen.append(outcome_of(long, Outcome::Done));
            return pen.end();
        }
        pen
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.segments.iter().flatten()
    }

    fn report(&self) -> Report {
        let mut verifier = Verifier::new(Some(self.identity.store()));
        self.lines().for_each(|line| verifier.line(self.writer.log(), line));
        verifier.end_of_log(self.writer.log(), false);
        verifier.finish()
    }

    /// The index of the first line of a segment.
    fn start(&self, segment: usize) -> u64 {
        self.segments[..segment].iter().map(Vec::len).sum::<usize>() as u64
    }

    /// What accuses, and where.
    fn accused(&self) -> Vec<(Verdict, u64)> {
        let report = self.report();
        let log = self.writer.log();
        let accusations: Vec<_> = report.accusations().collect();
        assert!(accusations.iter().all(|finding| finding.log == Some(log)), "{report:?}");
        accusations.iter().map(|finding| (finding.verdict, finding.index.unwrap())).collect()
    }

    /// Edits the first line of a segment, spelled as a writer spells it. Its index.
    fn edit_segment(&mut self, segment: usize, edit: EditSegment) -> u64 {
        let bytes = &mut self.segments[segment][0];
        let Line::Segment(mut line) = read_line(bytes).unwrap() else { panic!("no segment") };
        edit(&mut line);
        bytes.clear();
        Line::Segment(line).encode(bytes);
        self.start(segment)
    }

    /// The same for the first line of a segment that carries a write over.
    fn edit_carried(&mut self, segment: usize, edit: EditCarried) -> u64 {
        let start = self.start(segment);
        let at = place_of_carried(&self.segments[segment]);
        let bytes = &mut self.segments[segment][at];
        let Line::Carried(mut line) = read_line(bytes).unwrap() else { panic!("nothing carried") };
        edit(&mut line);
        bytes.clear();
        Line::Carried(line).encode(bytes);
        start + at as u64
    }

    fn dead(&self, segments: &[Vec<Vec<u8>>]) -> Result<DeadLog, AuditError> {
        let mut reader = DeadLogReader::new(self.writer.log());
        for line in segments.iter().flatten() {
            reader.push(line)?;
        }
        reader.finish(&*self.identity, &mut HashSet::new())
    }
}

type EditSegment = fn(&mut SegmentLine);
type EditCarried = fn(&mut CarriedLine<'static>);

fn place_of_carried(lines: &[Vec<u8>]) -> usize {
    lines.iter().position(|line| line.starts_with(b"{\"t\":\"carried\"")).unwrap()
}

#[test]
fn a_log_of_several_segments_is_in_order() {
    let pen = Pen::of_four(true);
    let report = pen.report();
    assert_eq!(report.findings, []);
    assert_eq!((report.counts.logs, report.counts.intents), (1, 8));
    let carried = pen.lines().filter(|line| line.starts_with(b"{\"t\":\"carried\"")).count();
    assert_eq!(carried, 3, "a write is carried on until it has an outcome");
}

#[test]
fn names_are_told_again_in_each_segment() {
    let pen = Pen::of_four(true);
    for lines in &pen.segments {
        let mut told: HashSet<NameToken> = HashSet::new();
        for line in lines {
            let used = match read_line(line).unwrap() {
                Line::Name(name) => {
                    assert!(told.insert(name.token), "told once");
                    None
                }
                Line::Decision(line) => line.target.name(),
                Line::Intent(line) => line.target.name(),
                Line::Carried(line) => line.target.name(),
                _ => None,
            };
            assert!(used.is_none_or(|token| told.contains(&token)));
        }
    }
}

#[test]
fn the_last_segment_alone_says_what_a_dead_log_left_open() {
    let mut pen = Pen::of_four(false);
    let last = pen.intent("prod/c", 1);
    let whole = pen.dead(&pen.segments).unwrap();
    assert_eq!((whole.size, whole.root), (pen.writer.size(), pen.writer.root()));
    let open: Vec<_> =
        whole.open.iter().map(|open| (open.receipt.index, open.target.as_str())).collect();
    assert_eq!(open, [(6, "prod/long"), (last.index, "prod/c")]);
    for from in 1..4 {
        let dead = pen.dead(&pen.segments[from..]).unwrap();
        let (known, signed) = (dead.checkpoints.len(), whole.checkpoints.len());
        assert_eq!((known, signed), (4 - from, 4), "each segment signs those before it");
        assert_eq!(dead.checkpoints, whole.checkpoints[from..]);
        let whole = DeadLog { checkpoints: dead.checkpoints.clone(), ..whole.clone() };
        assert_eq!(format!("{dead:?}"), format!("{whole:?}"), "from segment {from}");
    }
}

#[test]
fn a_segment_that_does_not_prove_itself_or_lacks_what_it_carries_settles_nothing() {
    let is_malformed =
        |dead: Result<DeadLog, AuditError>| matches!(dead, Err(AuditError::Malformed { .. }));
    let edits: [EditSegment; 5] = [
        |line| {
            line.frontier[0] = digest("x");
        },
        |line| {
            line.signature[0] ^= 1;
        },
        |line| {
            line.log.log_key[0] ^= 1;
        },
        |line| {
            line.carried += 1;
        },
        |line| {
            line.carried -= 1;
        },
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut pen = Pen::of_four(false);
        pen.edit_segment(3, edit);
        assert!(is_malformed(pen.dead(&pen.segments[3..])), "edit {number}");
        assert!(is_malformed(pen.dead(&pen.segments)), "edit {number}");
    }
    let mut pen = Pen::of_four(false);
    pen.edit_carried(3, |line| line.intent += 1000);
    assert!(is_malformed(pen.dead(&pen.segments[3..])));
    let pen = Pen::of_four(false);
    for lines in 1..3 {
        assert!(is_malformed(pen.dead(&[pen.segments[3][..lines].to_vec()])), "{lines} lines");
    }
    pen.dead(&[pen.segments[3][..3].to_vec()]).unwrap();
    let mut other = Pen::of_four(false);
    let other = other.segments.remove(3);
    assert!(is_malformed(pen.dead(&[pen.segments[0].clone(), other])));
}

#[test]
fn what_is_missing_in_front_of_a_segment_is_named() {
    for (first, count) in [(0, 1), (0, 3), (1, 1), (1, 2), (2, 1)] {
        let mut pen = Pen::of_four(true);
        let index = pen.start(first);
        pen.segments.drain(first..first + count);
        assert_eq!(pen.accused(), [(Verdict::LogLostItsTail, index)], "{count} from {first}");
    }
    for cut in 1..10 {
        let mut pen = Pen::of_four(true);
        let length = pen.segments[1].len() - cut;
        pen.segments[1].truncate(length);
        let index = pen.start(1) + length as u64;
        assert_eq!(pen.accused()[0], (Verdict::LogLostItsTail, index), "{cut} lines cut");
    }
    // The last one, of a log that has another's word.
    let mut pen = Pen::of_four(false);
    let dead = pen.dead(&pen.segments).unwrap();
    let index = pen.start(3);
    pen.segments.pop();
    let mut verifier = Verifier::new(None);
    pen.lines().for_each(|line| verifier.line(dead.log, line));
    verifier.end_of_log(dead.log, false);
    let mut settler = LineWriter::begin(Arc::clone(&pen.identity) as _).unwrap();
    settler.append(&[closed(&dead)]).unwrap();
    for line in settler.pending().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        verifier.line(settler.log(), line);
    }
    let report = verifier.finish();
    let found = report.accusations().next().unwrap();
    assert_eq!((found.verdict, found.index), (Verdict::LogLostItsTail, Some(index)));
}

#[test]
fn segments_that_change_places_or_come_twice_are_found() {
    let mut pen = Pen::of_four(true);
    let index = pen.start(1);
    pen.segments.swap(1, 2);
    assert_eq!(pen.accused()[0], (Verdict::LogLostItsTail, index));
    let mut pen = Pen::of_four(true);
    pen.segments.swap(0, 1);
    assert_eq!(pen.accused()[0], (Verdict::LogLostItsTail, 0));
    let mut pen = Pen::of_four(true);
    pen.segments.insert(2, pen.segments[1].clone());
    let index = pen.start(2);
    assert_eq!(pen.accused()[0], (Verdict::LogAltered, index));
    // Of another log, as it stands.
    let mut pen = Pen::of_four(true);
    pen.segments[2] = Pen::of_four(true).segments[2].clone();
    let index = pen.start(2);
    assert_eq!(pen.accused()[0], (Verdict::LogAltered, index));
}

#[test]
fn an_edited_segment_line_is_found_where_it_is() {
    let edits: [(&str, EditSegment); 9] = [
        ("number", |line| {
            line.number += 1;
        }),
        ("size", |line| {
            // To another one that has as many subtrees.
            line.size <<= 1;
        }),
        ("frontier", |line| {
            *line.frontier.last_mut().unwrap() = digest("x");
        }),
        ("carried", |line| {
            line.carried = 0;
        }),
        ("log", |line| {
            line.log.log = LogId::from_bytes([9; 8]);
        }),
        ("key", |line| {
            line.log.log_key[3] ^= 1;
        }),
        ("store key", |line| {
            line.log.store_key[3] ^= 1;
        }),
        ("certificate", |line| {
            line.log.certificate[3] ^= 1;
        }),
        ("signature", |line| {
            line.signature[3] ^= 1;
        }),
    ];
    for (name, edit) in edits {
        let mut pen = Pen::of_four(true);
        let index = pen.edit_segment(2, edit);
        assert_eq!(pen.accused()[0], (Verdict::LogAltered, index), "{name}");
    }
    // What is in no signature of its own is held by what comes next.
    let edits: [EditSegment; 2] = [|line| line.log.at = at(NOW + 1), |line| line.registered += 1];
    for edit in edits {
        let mut pen = Pen::of_four(true);
        pen.edit_segment(2, edit);
        assert_eq!(pen.accused()[0], (Verdict::LogAltered, pen.start(3)));
    }
}

#[test]
fn an_edited_carried_line_is_found_where_it_is() {
    let edits: [(&str, EditCarried); 6] = [
        ("intent", |line| {
            line.intent += 1;
        }),
        ("kind", |line| {
            line.kind = strongroom_core::RecordKind::Namespace;
        }),
        ("key", |line| {
            line.key = vec![3, 1].into();
        }),
        ("seq", |line| {
            line.seq += 1;
        }),
        ("write", |line| {
            line.write = strongroom_core::WriteId::from_bytes([0; 16]);
        }),
        ("target", |line| {
            line.target = strongroom_audit::TargetLine::Store;
        }),
    ];
    for (name, edit) in edits {
        // In the last segment nothing signs it, and it is found all the same.
        for end in [true, false] {
            let mut pen = Pen::of_four(end);
            let index = pen.edit_carried(3, edit);
            assert_eq!(pen.accused()[0], (Verdict::LogAltered, index), "{name}");
        }
    }
    let mut pen = Pen::of_four(false);
    let at = place_of_carried(&pen.segments[3]);
    pen.segments[3].remove(at);
    assert_eq!(pen.accused()[0].0, Verdict::LogAltered, "left out");
    let mut pen = Pen::of_four(false);
    pen.segments[3].truncate(at);
    assert_eq!(pen.accused()[0].0, Verdict::LogAltered, "cut off");
}

#[test]
fn a_segment_signs_what_stands_before_it_and_says_what_of_it_was_registered() {
    let mut pen = Pen::new();
    pen.done("prod/a", 1);
    let (before, size) = (pen.writer.signed(), pen.writer.size());
    pen.writer.registered(1);
    pen.writer.begin_segment().unwrap();
    pen.writer.rollback();
    assert_eq!((pen.writer.signed(), pen.writer.size()), (before, size));
    pen.next_segment();
    assert_eq!(pen.writer.signed().size, size + 1, "the first line of the segment, too");
    assert!(pen.writer.pending().is_empty());
    // What it says of that counts, with no line before it at hand.
    let dead = pen.dead(&pen.segments[1..]).unwrap();
    assert_eq!((dead.registered, dead.checkpoints.len()), (1, 2));
    assert_eq!(dead.checkpoints.last(), Some(&pen.writer.signed()));
    // Where nothing was registered, the segment itself is signature enough.
    let mut pen = Pen::new();
    pen.done("prod/a", 1);
    pen.next_segment();
    assert_eq!(pen.writer.checkpoint(), pen.writer.signed(), "it needs no other signature");
    assert!(pen.writer.pending().is_empty());
}

#[test]
fn a_segment_that_is_rolled_back_leaves_nothing() {
    let mut pen = Pen::new();
    let open = pen.intent("prod/a", 1);
    let (size, root) = (pen.writer.size(), pen.writer.root());
    pen.writer.begin_segment().unwrap();
    assert!(pen.writer.size() > size);
    pen.writer.rollback();
    assert_eq!((pen.writer.size(), pen.writer.root()), (size, root));
    assert!(pen.writer.pending().is_empty());
    // An outcome that is taken back leaves the write open.
    pen.writer.append(&[outcome_of(open, Outcome::Done)]).unwrap();
    pen.writer.rollback();
    pen.next_segment();
    assert_eq!(pen.dead(&pen.segments[1..]).unwrap().open.len(), 1);
    // And an intent that is taken back is carried nowhere.
    pen.append(outcome_of(open, Outcome::Done));
    let intent = write_of(pen.writer.log(), 0, "prod/b", 1, "", "one");
    pen.writer.append(&[intent]).unwrap();
    pen.writer.rollback();
    pen.next_segment();
    assert_eq!(pen.dead(&pen.segments[2..]).unwrap().open.len(), 0);
    assert!(!pen.end().report().accuses());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn segments_change_neither_the_root_nor_what_is_open(steps in prop::collection::vec(0_u8..8, 0..60)) {
        let mut pen = Pen::new();
        let (mut open, mut seq) = (Vec::new(), 0);
        for step in steps {
            seq += 1;
            match step {
                0 | 1 => pen.next_segment(),
                2 | 3 => open.push(pen.intent(&format!("prod/s{seq}"), 1)),
                4 if !open.is_empty() => {
                    let intent = open.remove(open.len() / 2);
                    pen.append(outcome_of(intent, Outcome::Lost));
                }
                5 if !open.is_empty() => {
                    pen.append(outcome_of(open[0], Outcome::Unknown));
                }
                _ => {
                    pen.append(read_of("a", "prod/db", seq));
                }
            }
        }
        let mut tree = MerkleTree::new();
        pen.lines().for_each(|line| tree.push(line));
        prop_assert_eq!((tree.size(), tree.root()), (pen.writer.size(), pen.writer.root()));
        for from in 0..pen.segments.len() {
            let dead = pen.dead(&pen.segments[from..]).unwrap();
            prop_assert_eq!((dead.size, dead.root), (tree.size(), tree.root()));
            let found: Vec<Receipt> = dead.open.iter().map(|open| open.receipt).collect();
            prop_assert_eq!(&found, &open);
        }
        prop_assert!(!pen.report().accuses());
        prop_assert_eq!(pen.end().report().findings, []);
    }
}
