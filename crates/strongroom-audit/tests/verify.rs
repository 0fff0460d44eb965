//! What the verifier says: of honest histories, crashes included, and of each kind of tampering.
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
use std::num::NonZeroU64;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use common::*;
use ed25519_dalek::{Signer, SigningKey};
use strongroom_audit::{
    CheckpointLine, Line, LineWriter, MerkleTree, NameClass, OpenLine, PrunedLine, Report, Rest,
    SnapshotBegin, SnapshotEnd, SnapshotLine, Verdict, Verifier, read_line,
};
use strongroom_core::{
    ActionName, AuditRecord, CitedRecord, DeadLog, DecisionRecord, DirectoryId, Effect, Key, LogId,
    Outcome, Receipt, RequestContext, StoreIdentity, TreeHead,
};

const PATH: &str = "prod/db";

/// Logs and storage of a store that is written by hand.
struct World {
    identity: Arc<FakeIdentity>,
    logs: Vec<(LogId, Vec<Vec<u8>>)>,
    stored: BTreeMap<Key, Vec<u8>>,
}

/// A log under the pen.
struct Pen {
    writer: LineWriter,
    decision: u64,
}

impl World {
    fn new() -> Self {
        Self { identity: FakeIdentity::new(1), logs: Vec::new(), stored: BTreeMap::new() }
    }

    fn open(&self) -> Pen {
        let mut writer = LineWriter::begin(Arc::clone(&self.identity) as _).unwrap();
        let decision = AuditRecord::Decision(DecisionRecord {
            at: at(NOW + 1),
            principal: None,
            action: ActionName::Write,
            target: secret(PATH),
            effect: Effect::Allow,
            count: NonZeroU64::MIN,
            explanation: explanation("rule"),
            context: RequestContext::new(),
            loaded: None,
        });
        let decision = writer.append(&[decision]).unwrap()[0].index;
        Pen { writer, decision }
    }

    fn begin_in(&self, directory: DirectoryId) -> LineWriter {
        LineWriter::begin_in(directory, Arc::clone(&self.identity) as _).unwrap()
    }

    /// The process dies with all it wrote in the file.
    fn dies(&mut self, pen: Pen) -> DeadLog {
        let (log, size, root) = (pen.writer.log(), pen.writer.size(), pen.writer.root());
        let lines = pen.writer.pending().split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        self.logs.push((log, lines));
        DeadLog { log, size, root, checkpoints: Vec::new(), registered: 0, open: Vec::new() }
    }

    fn ends(&mut self, mut pen: Pen) -> LogId {
        pen.writer.end();
        self.dies(pen).log
    }

    fn store(&mut self, record: &str) {
        self.stored.insert(head_key(PATH), record.into());
    }

    fn verifier(&self) -> Verifier {
        let mut verifier = Verifier::new(Some(self.identity.store()));
        for (log, lines) in &self.logs {
            lines.iter().for_each(|line| verifier.line(*log, line));
            verifier.end_of_log(*log, false);
        }
        for (key, record) in &self.stored {
            verifier.stored(key, record);
        }
        verifier
    }

    fn report(&self) -> Report {
        let mut verifier = self.verifier();
        verifier.storage_was_read();
        verifier.finish()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        self.report().findings.iter().map(|finding| finding.verdict).collect()
    }

    fn lines_of(&mut self, log: LogId) -> &mut Vec<Vec<u8>> {
        &mut self.logs.iter_mut().find(|(id, _)| *id == log).unwrap().1
    }
}

impl Pen {
    fn intent(&mut self, seq: u64, prev: &str, next: &str) -> Receipt {
        let record = write_of(self.writer.log(), self.decision, PATH, seq, prev, next);
        self.writer.append(&[record]).unwrap()[0]
    }

    fn outcome(&mut self, intent: Receipt, outcome: Outcome) {
        self.writer.append(&[outcome_of(intent, outcome)]).unwrap();
    }

    fn done(&mut self, seq: u64, prev: &str, next: &str) -> Receipt {
        let intent = self.intent(seq, prev, next);
        self.outcome(intent, Outcome::Done);
        intent
    }
}

/// Two writes of which the second is stored, in a log that its writer ended.
fn written() -> (World, LogId) {
    let mut world = World::new();
    let mut pen = world.open();
    pen.done(1, "", "one");
    pen.done(2, "one", "two");
    let log = world.ends(pen);
    world.store("two");
    (world, log)
}

#[test]
fn an_honest_store_is_current() {
    let (world, _) = written();
    let report = world.report();
    assert_eq!(report.findings, []);
    let counts = report.counts;
    assert_eq!((counts.logs, counts.intents, counts.stored, counts.current), (1, 2, 1, 1));
}

#[test]
fn an_older_record_is_rolled_back_and_a_missing_one_dropped() {
    let (mut world, log) = written();
    world.store("one");
    let report = world.report();
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!(finding.verdict, Verdict::RolledBack);
    assert_eq!((finding.log, finding.seq), (Some(log), Some(2)));
    assert_eq!((finding.expected, finding.found), (Some(digest("two")), Some(digest("one"))));
    let token = finding.path.unwrap();
    let is_told = |line: &Vec<u8>| matches!(read_line(line), Ok(Line::Name(name)) if name.token == token && name.class == NameClass::Path);
    assert!(world.lines_of(log).iter().any(is_told), "the log tells whose token it is");
    assert!(finding.to_string().contains(&format!("of path {token}")), "{finding}");
    world.stored.clear();
    let report = world.report();
    assert_eq!(report.findings[0].verdict, Verdict::Dropped);
    assert_eq!(report.findings[0].path, Some(token));
    // Without a word about the storage, only the logs are verified.
    assert_eq!(world.verifier().finish().findings, []);
}

#[test]
fn bytes_that_no_intent_names_are_altered_and_keys_that_none_names_unlogged() {
    let (mut world, _) = written();
    world.store("edited");
    assert_eq!(world.verdicts(), [Verdict::Altered]);
    world.store("two");
    world.stored.insert(head_key("prod/planted"), b"planted".to_vec());
    assert_eq!(world.verdicts(), [Verdict::Unlogged]);
    // Blobs and registry records have no intents.
    world.stored.clear();
    world.store("two");
    world.stored.insert(Key::new(*b"\x04blob"), b"blob".to_vec());
    assert_eq!(world.verdicts(), []);
}

#[test]
fn a_gap_is_reported_and_not_accused() {
    let mut world = World::new();
    let mut pen = world.open();
    pen.done(1, "", "one");
    let dead = world.dies(pen);
    // A power cut lost the intent of "two", and its commit was kept.
    world.store("two");
    assert_eq!(world.verdicts(), [Verdict::Gap, Verdict::Gap]);
    let mut pen = world.open();
    pen.writer.append(&[closed(&dead)]).unwrap();
    let settler = world.ends(pen);
    assert_eq!(world.verdicts(), [Verdict::Gap]);
    // Where the record itself says that its writer ended its log, there is no excuse.
    let mut verifier = world.verifier();
    verifier.stored_by(&head_key(PATH), b"two", Some(settler));
    let report = verifier.finish();
    assert_eq!(report.findings[0].verdict, Verdict::Altered);
}

/// A log that its writer left open, with a checkpoint somewhere in it.
fn left_open_with_checkpoint() -> (World, LogId, usize) {
    let mut world = World::new();
    let mut pen = world.open();
    pen.done(1, "", "one");
    for seq in 0..600 {
        pen.outcome(Receipt { log: LogId::from_bytes([9; 8]), index: seq }, Outcome::Unknown);
        pen.writer.append(&[read_of("a", PATH, seq)]).unwrap();
    }
    world.store("one");
    let log = world.dies(pen).log;
    let is_checkpoint = |line: &Vec<u8>| matches!(read_line(line).unwrap(), Line::Checkpoint(_));
    let at = world.lines_of(log).iter().position(is_checkpoint).unwrap();
    (world, log, at)
}

#[test]
fn what_a_checkpoint_signs_cannot_be_edited_or_dropped() {
    let (mut world, log, at) = left_open_with_checkpoint();
    assert_eq!(at, 1025, "1,024 lines after the first");
    assert!(!world.report().accuses(), "{:?}", world.report());
    let honest = world.lines_of(log).clone();

    let index =
        honest[..at].iter().rposition(|line| line.starts_with(b"{\"t\":\"decision\"")).unwrap();
    let edited = String::from_utf8(honest[index].clone()).unwrap().replace("allow", "deny");
    world.lines_of(log)[index] = edited.into_bytes();
    let report = world.report();
    let found = report.accusations().next().unwrap();
    assert_eq!((found.verdict, found.index), (Verdict::LogAltered, Some(at as u64)));

    world.lines_of(log).clone_from(&honest);
    world.lines_of(log).remove(index);
    assert!(world.report().accuses(), "a decision was dropped");

    // A checkpoint that is taken out, or put another line in its place, is missed.
    for replaced in [false, true] {
        world.lines_of(log).clone_from(&honest);
        let edited = String::from_utf8(honest[index].clone()).unwrap().replace("allow", "deny");
        world.lines_of(log)[index] = edited.into_bytes();
        let name = honest.iter().find(|line| line.starts_with(b"{\"t\":\"name\"")).unwrap().clone();
        if replaced {
            world.lines_of(log)[at] = name;
        } else {
            world.lines_of(log).remove(at);
        }
        let report = world.report();
        let found = report.accusations().next().unwrap();
        assert_eq!(found.verdict, Verdict::LogAltered, "{replaced}");
        assert!(found.index.unwrap() <= at as u64 + 2, "{found:?}");
    }

    // What follows the last checkpoint is held by nothing yet.
    world.lines_of(log).clone_from(&honest);
    let last = world.lines_of(log).len() - 1;
    world.lines_of(log).remove(last);
    assert!(!world.report().accuses());
}

#[test]
fn a_checkpoint_of_another_key_or_place_is_found() {
    let (mut world, log, at) = left_open_with_checkpoint();
    let honest = world.lines_of(log).clone();
    let Line::Checkpoint(signed) = read_line(&honest[at]).unwrap() else { panic!() };
    let mut forged = signed;
    forged.signature[0] ^= 1;
    let mut moved = signed;
    moved.size += 1;
    for line in [forged, moved] {
        let mut bytes = Vec::new();
        Line::Checkpoint(line).encode(&mut bytes);
        world.lines_of(log)[at] = bytes;
        assert_eq!(world.verdicts()[0], Verdict::LogAltered);
    }
    world.lines_of(log).clone_from(&honest);
    world.lines_of(log).insert(at + 1, honest[at].clone());
    assert_eq!(world.verdicts()[0], Verdict::LogAltered, "signed twice");
}

#[test]
fn the_log_of_a_living_writer_has_no_gap() {
    let mut world = World::new();
    let mut pen = world.open();
    pen.done(1, "", "one");
    let DeadLog { log, size, .. } = world.dies(pen);
    world.store("edited");
    let mut verifier = world.verifier();
    verifier.lives(log, size);
    let verdicts: Vec<_> = verifier.finish().findings.iter().map(|f| f.verdict).collect();
    assert_eq!(verdicts, [Verdict::Altered]);
}

#[test]
fn lines_that_a_living_writer_has_written_are_missed() {
    let mut world = World::new();
    let mut pen = world.open();
    pen.done(1, "", "one");
    world.store("one");
    let DeadLog { log, size, .. } = world.dies(pen);
    let mut verifier = world.verifier();
    verifier.lives(log, size + 1);
    let report = verifier.finish();
    assert!(report.accuses());
    assert_eq!(
        (report.findings[0].verdict, report.findings[0].index),
        (Verdict::LogLostItsTail, Some(size))
    );
}

#[test]
fn what_a_crash_leaves_is_never_accused() {
    for (stored, expected) in
        [("one", vec![Verdict::Gap, Verdict::Open]), ("two", vec![Verdict::Gap])]
    {
        // Killed after the intent, before or after the commit.
        let mut world = World::new();
        let mut pen = world.open();
        pen.done(1, "", "one");
        let open = pen.intent(2, "one", "two");
        let dead = world.dies(pen);
        world.store(stored);
        let verdicts = world.verdicts();
        assert_eq!(verdicts, expected, "stored {stored}");
        assert!(!world.report().accuses());

        // The next opener settles it: by what it finds, or by fencing.
        let mut pen = world.open();
        if stored == "two" {
            pen.outcome(open, Outcome::Done);
        } else {
            pen.done(2, "one", "fence");
            pen.outcome(open, Outcome::Lost);
            world.store("fence");
        }
        pen.writer.append(&[closed(&dead)]).unwrap();
        world.ends(pen);
        assert_eq!(world.verdicts(), [], "stored {stored}");
    }
}

#[test]
fn a_lost_race_is_no_fork_and_an_unknown_end_no_accusation() {
    let mut world = World::new();
    let (mut winner, mut loser) = (world.open(), world.open());
    winner.done(1, "", "one");
    let lost = loser.intent(1, "", "other");
    loser.outcome(lost, Outcome::Lost);
    let unknown = winner.intent(2, "one", "two");
    winner.outcome(unknown, Outcome::Unknown);
    world.ends(loser);
    world.ends(winner);
    world.store("two");
    assert_eq!(world.verdicts(), []);
    world.store("one");
    assert_eq!(world.verdicts(), [Verdict::Open]);
    // A write that lost and is stored all the same was put there by somebody.
    world.store("other");
    assert!(world.report().accuses());
}

#[test]
fn two_histories_are_forked() {
    let (mut world, _) = written();
    let mut pen = world.open();
    pen.done(2, "one", "fork");
    world.ends(pen);
    let verdicts = world.verdicts();
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Forked), "{verdicts:?}");
    assert!(!verdicts.is_empty());

    let (mut world, _) = written();
    let mut pen = world.open();
    pen.done(3, "another two", "three");
    world.ends(pen);
    world.store("three");
    assert_eq!(world.verdicts(), [Verdict::Forked]);
}

#[test]
fn a_log_that_lost_lines_is_found_by_what_others_say_of_it() {
    let mut world = World::new();
    let mut pen = world.open();
    pen.done(1, "", "one");
    let open = pen.intent(2, "one", "two");
    let dead = world.dies(pen);
    let mut pen = world.open();
    pen.outcome(open, Outcome::Done);
    pen.writer.append(&[closed(&dead)]).unwrap();
    world.ends(pen);
    world.store("two");
    assert_eq!(world.verdicts(), []);

    let whole = world.lines_of(dead.log).clone();
    for kept in 1..whole.len() {
        *world.lines_of(dead.log) = whole[..kept].to_vec();
        let report = world.report();
        assert!(
            report.accusations().any(|finding| finding.verdict == Verdict::LogLostItsTail
                && finding.log == Some(dead.log)),
            "{kept} lines: {report:?}"
        );
    }
    world.logs.retain(|(log, _)| *log != dead.log);
    let verdicts = world.verdicts();
    assert!(verdicts.contains(&Verdict::LogLostItsTail), "{verdicts:?}");
}

/// Whatever the storage says: it may have been set back together with the log.
#[test]
fn a_log_that_was_cut_or_replaced_is_found_by_what_others_cited() {
    let mut world = World::new();
    let mut pen = world.open();
    let directory = pen.writer.directory();
    pen.done(1, "", "one");
    let cited = pen.writer.checkpoint();
    let dead = world.dies(pen);
    let other = |head| {
        let record = CitedRecord { at: at(NOW + 9), log: dead.log, directory, head };
        AuditRecord::Cited(record)
    };
    let mut pen = Pen { writer: world.begin_in(directory), decision: 0 };
    pen.writer.append(&[other(cited), closed(&dead)]).unwrap();
    world.ends(pen);
    let ended = world.logs.len() - 1;
    world.store("one");
    assert_eq!(world.verdicts(), [], "what holds");

    // The line that says it was settled may be gone, too: it is a line of another.
    let closed = world.logs[ended].1.iter().position(|line| line.starts_with(br#"{"t":"closed"#));
    world.logs[ended].1.truncate(closed.unwrap());
    assert_eq!(world.verdicts(), [Verdict::Gap, Verdict::Gap]);
    let whole = world.lines_of(dead.log).clone();
    for kept in 1..cited.size as usize {
        *world.lines_of(dead.log) = whole[..kept].to_vec();
        let report = world.report();
        let lost = |found: &&strongroom_audit::Finding| {
            found.verdict == Verdict::LogLostItsTail && found.log == Some(dead.log)
        };
        assert_eq!(report.accusations().filter(lost).count(), 1, "{kept} lines: {report:?}");
    }
    for order in [[0, 1], [1, 0]] {
        let mut world = World { stored: world.stored.clone(), ..World::new() };
        let mut pen = world.open();
        pen.done(1, "", "one");
        let head = pen.writer.checkpoint();
        let log = pen.writer.log();
        let root = digest("another");
        let record = CitedRecord { at: at(NOW), log, directory, head: TreeHead { root, ..head } };
        world.ends(pen);
        let mut pen = world.open();
        pen.writer.append(&[AuditRecord::Cited(record)]).unwrap();
        world.ends(pen);
        world.logs = order.map(|at| world.logs[at].clone()).to_vec();
        assert_eq!(world.verdicts(), [Verdict::LogAltered], "another one, read in order {order:?}");
    }
    // One that is gone, and every word of it in the storage: where its directory is here.
    world.logs.retain(|(log, _)| *log != dead.log);
    world.stored.clear();
    assert!(world.verdicts().contains(&Verdict::LogLostItsTail));
    let elsewhere = DirectoryId::from_bytes([9; 8]);
    let record = CitedRecord { at: at(NOW), log: dead.log, directory: elsewhere, head: cited };
    let mut world = World::new();
    let mut pen = world.open();
    pen.writer.append(&[AuditRecord::Cited(record)]).unwrap();
    world.ends(pen);
    assert_eq!(world.verdicts(), [], "who keeps it knows");
}

#[test]
fn an_outcome_alone_shows_that_its_intent_was_cut() {
    let mut world = World::new();
    let mut pen = world.open();
    let open = pen.intent(1, "", "one");
    let dead = world.dies(pen);
    let mut pen = world.open();
    pen.outcome(open, Outcome::Done);
    world.ends(pen);
    world.store("one");
    world.lines_of(dead.log).pop();
    assert!(world.verdicts().contains(&Verdict::LogLostItsTail));
}

#[test]
fn any_edit_of_an_ended_log_is_found() {
    let (world, log) = written();
    let whole = world.logs[0].1.clone();
    let mut edits: Vec<Vec<Vec<u8>>> = Vec::new();
    for line in 0..whole.len() {
        for byte in (0..whole[line].len()).step_by(7) {
            let mut edited = whole.clone();
            edited[line][byte] ^= 1;
            edits.push(edited);
        }
        if line + 1 < whole.len() {
            let mut edited = whole.clone();
            edited.remove(line);
            edits.push(edited);
            let mut edited = whole.clone();
            edited.swap(line, line + 1);
            edits.push(edited);
        }
        let mut edited = whole.clone();
        edited.insert(line, whole[line].clone());
        edits.push(edited);
    }
    for edited in edits {
        let mut verifier = Verifier::new(None);
        edited.iter().for_each(|line| verifier.line(log, line));
        verifier.end_of_log(log, false);
        assert!(verifier.finish().accuses(), "{}", String::from_utf8_lossy(&edited.concat()));
    }
}

#[test]
fn a_log_of_another_store_is_named() {
    let (world, _) = written();
    let mut verifier = Verifier::new(Some(FakeIdentity::new(9).store()));
    for (log, lines) in &world.logs {
        lines.iter().for_each(|line| verifier.line(*log, line));
    }
    let report = verifier.finish();
    assert!(report.findings[0].detail.contains("another store"));
}

#[test]
fn a_destroyed_namespace_has_no_dropped_records() {
    let (mut world, _) = written();
    let mut pen = world.open();
    let record = write_of(pen.writer.log(), pen.decision, "prod/namespace", 2, "", "tombstone");
    let AuditRecord::Intent(mut intent) = record else { panic!("an intent") };
    intent.erases = vec![b"\x03nspace01".to_vec(), b"\x04nspace01".to_vec()];
    intent.key = Key::new(*b"\x02namespace");
    let key = intent.key.clone();
    let receipt = pen.writer.append(&[AuditRecord::Intent(intent)]).unwrap()[0];
    pen.outcome(receipt, Outcome::Done);
    world.ends(pen);
    world.stored.insert(key, b"tombstone".to_vec());
    // Swept, or not yet.
    assert_eq!(world.verdicts(), []);
    world.stored.remove(&head_key(PATH));
    assert_eq!(world.verdicts(), []);
}

#[test]
fn lines_that_came_after_the_storage_was_read_do_not_accuse_it() {
    let mut world = World::new();
    let mut pen = world.open();
    pen.done(1, "", "one");
    let split = pen.writer.size() as usize;
    pen.done(2, "one", "two");
    let log = world.ends(pen);
    let lines = world.logs[0].1.clone();
    for (stored, accuses) in [("one", false), ("two", false), ("three", true)] {
        let mut verifier = Verifier::new(None);
        lines[..split].iter().for_each(|line| verifier.line(log, line));
        verifier.stored(&head_key(PATH), stored.as_bytes());
        verifier.storage_was_read();
        lines[split..].iter().for_each(|line| verifier.line(log, line));
        verifier.end_of_log(log, false);
        assert_eq!(verifier.finish().accuses(), accuses, "{stored}");
    }
}

#[test]
fn the_first_keyring_needs_no_intent_and_a_later_one_is_watched() {
    let mut world = World::new();
    let pen = world.open();
    world.ends(pen);
    world.stored.insert(Key::new(*b"\x01"), b"keyring 1".to_vec());
    assert_eq!(world.verdicts(), []);
    let mut pen = world.open();
    let record = write_of(pen.writer.log(), pen.decision, PATH, 2, "keyring 1", "keyring 2");
    let AuditRecord::Intent(mut intent) = record else { panic!("an intent") };
    intent.key = Key::new(*b"\x01");
    let receipt = pen.writer.append(&[AuditRecord::Intent(intent)]).unwrap()[0];
    pen.outcome(receipt, Outcome::Done);
    world.ends(pen);
    assert_eq!(world.verdicts(), [Verdict::RolledBack]);
    world.stored.insert(Key::new(*b"\x01"), b"keyring 2".to_vec());
    assert_eq!(world.verdicts(), []);
}

/// FC-119: the leaf holds the exact bytes, and the first leaf the version of the format.
#[test]
fn fc_119_the_version_of_the_format_is_part_of_what_is_hashed() {
    let (world, log) = written();
    let lines = &world.logs[0].1;
    let first = String::from_utf8(lines[0].clone()).unwrap();
    assert!(first.starts_with("{\"t\":\"open\",\"v\":\"1\","));
    let newer = first.replace("\"v\":\"1\"", "\"v\":\"2\"");
    let mut verifier = Verifier::new(None);
    verifier.line(log, newer.as_bytes());
    lines[1..].iter().for_each(|line| verifier.line(log, line));
    let report = verifier.finish();
    assert!(report.findings[0].detail.contains("another version of the format"));
    assert_eq!(report.findings[0].index, Some(0));
    // A log under a key that the store never certified is named too.
    let mut verifier = Verifier::new(None);
    let foreign = FakeIdentity::new(3);
    let forged = first.replace(&hex(&world.identity.public_key()), &hex(&foreign.public_key()));
    verifier.line(log, forged.as_bytes());
    assert!(verifier.finish().findings[0].detail.contains("certificate"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whoever can write files can sign them, too, with a key that the store does not vouch for.
#[test]
fn a_snapshot_in_a_log_that_the_store_does_not_vouch_for_counts_for_nothing() {
    let (world, log) = written();
    let (key, store) = (SigningKey::from_bytes(&[9; 32]), world.identity.store());
    for certificate in [[0; 64], world.identity.certify(log, &key.verifying_key().to_bytes())] {
        let forged = LogId::from_bytes([0xfe; 8]);
        let open = OpenLine {
            store,
            log: forged,
            directory: DirectoryId::from_bytes([1; 8]),
            store_key: world.identity.public_key(),
            log_key: key.verifying_key().to_bytes(),
            certificate,
            at: at(NOW),
        };
        let (size, root) = (u64::MAX, digest("any"));
        let pruned = PrunedLine { log, size, root, registered: 0, rest: Rest::Ended };
        let end = SnapshotEnd { number: 1, lines: 1, elsewhere: false };
        let mut lines = vec![
            Line::Open(open),
            Line::Snapshot(SnapshotLine::Begin(SnapshotBegin { at: at(NOW), number: 1 })),
            Line::Snapshot(SnapshotLine::Pruned(pruned)),
            Line::Snapshot(SnapshotLine::End(end)),
        ];
        let (mut verifier, mut tree) = (Verifier::new(Some(store)), MerkleTree::new());
        let encode = |line: &Line<'_>| {
            let mut bytes = Vec::new();
            line.encode(&mut bytes);
            bytes
        };
        lines.iter().for_each(|line| tree.push(&encode(line)));
        let root = Base64::encode_string(tree.root().as_bytes());
        let text = format!("strongroom/{store}/{forged}\n{}\n{root}\n", tree.size());
        lines.push(Line::Checkpoint(CheckpointLine {
            at: at(NOW),
            size: tree.size(),
            root: tree.root(),
            registered: 0,
            signature: key.sign(text.as_bytes()).to_bytes(),
        }));
        lines.iter().for_each(|line| verifier.line(forged, &encode(line)));
        assert_eq!(verifier.pruned_lines(log), None);
        assert!(verifier.finish().accuses());
    }
}
