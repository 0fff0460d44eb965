//! A witness in another language, written from the text of C2SP, co-signs the checkpoints of a log
//! that grows, and refuses one that was forked, cut or forged. `cargo xtask test` finds or makes a
//! Python that has `cryptography`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "common/witness.rs"]
mod witness;

use std::path::{Path, PathBuf};

use strongroom::audit::{
    CheckpointLine, ConsistencyProof, Line, NoteError, OpenLine, WitnessQuorum,
    add_checkpoint_request, open_cosigned_note, open_note, origin, prove_consistency, read_line,
    signed_note, verifier_key,
};
use strongroom::{
    Argon2Cost, Digest, FileLog, LogId, Opaque, Passphrase, Policy, Principal, SqliteStorage,
    Strongroom, TreeHead, blocking,
};
use strongroom_testkit::{ManualClock, SeededEntropy};
use witness::{Answer, WitnessProcess, add_checkpoint};

/// How often the log grows.
const ROUNDS: u32 = 40;

/// A store, and its log, which is open.
struct Logged {
    _scratch: tempfile::TempDir,
    room: blocking::Strongroom,
    audit: PathBuf,
    open: OpenLine,
}

/// Stores of one seed have one identity, and their logs one origin and one key, as the copies of a
/// virtual machine have that was copied while it ran.
fn store(seed: u64) -> Logged {
    let scratch = tempfile::tempdir().unwrap();
    let audit = scratch.path().join("audit");
    let room = Strongroom::builder()
        .storage(SqliteStorage::open(scratch.path().join("secrets.db")).unwrap())
        .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(FileLog::open(&audit).unwrap().with_segment_bytes(64 * 1024))
        .clock(ManualClock::new())
        .entropy(SeededEntropy::new(seed))
        .blocking()
        .create()
        .unwrap();
    let Line::Open(open) = lines(&audit, room.log()).remove(0) else { unreachable!() };
    Logged { _scratch: scratch, room, audit, open }
}

/// All lines of a log as they are on the medium.
fn lines(audit: &Path, log: LogId) -> Vec<Line<'static>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(audit).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&log.to_string()) && name.ends_with(".jsonl")
    });
    // `<log>.000001.jsonl` comes before `<log>.jsonl`.
    files.sort_by_key(|path| (path.to_str().unwrap().len(), path.clone()));
    let whole: Vec<u8> = files.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
    let lines = whole.split(|byte| *byte == b'\n').take_while(|line| !line.contains(&0));
    lines.filter(|line| !line.is_empty()).map(|line| read_line(line).unwrap()).collect()
}

impl Logged {
    fn origin(&self) -> String {
        origin(self.open.store, self.open.log)
    }

    /// So many writes more, and the checkpoint behind them as a signed note.
    fn grow(&self, writes: u32, value: &str) -> (TreeHead, String) {
        let alice = self.room.session(Principal::user("alice"));
        for number in 0..writes {
            alice.put(&*format!("prod/s{number}"), Opaque::new(value.as_bytes())).unwrap();
        }
        let head = self.room.checkpoint().unwrap();
        let signs = |line: Line<'_>| match line {
            Line::Checkpoint(checkpoint) if checkpoint.size == head.size => Some(checkpoint),
            _ => None,
        };
        let mut lines = lines(&self.audit, self.open.log).into_iter();
        let checkpoint: CheckpointLine = lines.find_map(signs).unwrap();
        let note = signed_note(&self.open, &checkpoint);
        assert_eq!(open_note(&note, &self.origin(), &self.open.log_key), Ok(head));
        (head, note)
    }

    fn prove(&self, old: u64, new: u64) -> ConsistencyProof {
        prove_consistency(&self.audit, self.open.log, old, new).unwrap()
    }

    fn started(&self, dir: &Path) -> WitnessProcess {
        WitnessProcess::start(dir, "witness.example/w1", &[verifier_key(&self.open)])
    }
}

fn ask(witness: &WitnessProcess, proof: &ConsistencyProof, note: &str) -> Answer {
    add_checkpoint(witness.port, &add_checkpoint_request(proof, note))
}

fn conflict(size: u64) -> Answer {
    Answer { status: 409, kind: "text/x.tlog.size".into(), body: format!("{size}\n") }
}

fn nothing_before(new: u64) -> ConsistencyProof {
    ConsistencyProof { old: 0, new, path: Vec::new() }
}

/// The witness has not moved: it takes the newest checkpoint again, and says so.
fn still_co_signs(witness: &WitnessProcess, logged: &Logged, (head, note): &(TreeHead, String)) {
    let answer = ask(witness, &logged.prove(head.size, head.size), note);
    assert_eq!(answer.status, 200, "{answer:?}");
    let quorum = WitnessQuorum::new(1, [witness.key.clone()]).unwrap();
    let note = format!("{note}{}", answer.body);
    let cosigned =
        open_cosigned_note(&note, &logged.origin(), &logged.open.log_key, &quorum).unwrap();
    assert_eq!(cosigned.head, *head);
    assert_eq!(&*cosigned.cosignatures[0].witness, "witness.example/w1");
}

#[test]
fn it_co_signs_a_log_that_grows() {
    let logged = store(1);
    let kept = tempfile::tempdir().unwrap();
    let mut witness = logged.started(kept.path());
    let key = witness.key.clone();
    let quorum = WitnessQuorum::new(1, [key.clone()]).unwrap();
    let mut known = 0;
    for round in 0..ROUNDS {
        let (head, note) = logged.grow(round % 13, "value");
        // It knows another size than the one that is named, and says which.
        if known > 0 {
            assert_eq!(ask(&witness, &nothing_before(head.size), &note), conflict(known));
        }
        let answer = ask(&witness, &logged.prove(known, head.size), &note);
        assert_eq!(answer.status, 200, "{answer:?}");
        // As the log's key signed it, and as it does not hold for a quorum without this witness.
        let cosigned = format!("{note}{}", answer.body);
        assert_eq!(open_note(&cosigned, &logged.origin(), &logged.open.log_key), Ok(head));
        let open = |note: &str, key: &[u8; 32]| {
            open_cosigned_note(note, &logged.origin(), key, &quorum).map(|cosigned| cosigned.head)
        };
        assert_eq!(open(&cosigned, &logged.open.log_key), Ok(head));
        let none = NoteError::TooFewWitnesses { needed: 1, found: 0 };
        assert_eq!(open(&note, &logged.open.log_key), Err(none));
        known = head.size;
        // What it knows outlives it, and so does its key.
        if round % 10 == 5 {
            drop(witness);
            witness = logged.started(kept.path());
            assert_eq!(witness.key, key);
        }
    }
    let files = std::fs::read_dir(&logged.audit).unwrap().count();
    assert!(files > 1, "the proofs lead over several files");
    println!("CASES {ROUNDS}");
}

#[test]
fn it_refuses_a_fork_of_the_same_origin_and_key() {
    let (honest, forked) = (store(1), store(1));
    assert_eq!(verifier_key(&honest.open), verifier_key(&forked.open));
    let kept = tempfile::tempdir().unwrap();
    let witness = honest.started(kept.path());
    let seen = honest.grow(5, "value");
    let size = seen.0.size;
    assert_eq!(ask(&witness, &nothing_before(size), &seen.1).status, 200);

    // Both are signed by the log's key. One is as large as the honest log, one larger.
    let same = forked.grow(5, "other");
    assert_eq!(same.0.size, size);
    assert_ne!(same.0.root, seen.0.root);
    assert_eq!(ask(&witness, &forked.prove(size, size), &same.1), conflict(size));
    assert_eq!(ask(&witness, &nothing_before(size), &same.1), conflict(size));
    let larger = forked.grow(5, "other");
    assert_eq!(ask(&witness, &forked.prove(size, larger.0.size), &larger.1).status, 422);
    assert_eq!(ask(&witness, &nothing_before(larger.0.size), &larger.1), conflict(size));
    still_co_signs(&witness, &honest, &seen);
    // The honest log goes on; the fork has no proof of that either.
    let grown = honest.grow(1, "value");
    let answer = ask(&witness, &forked.prove(size, larger.0.size), &grown.1);
    assert!(matches!(answer.status, 409 | 422), "{answer:?}");
    assert_eq!(ask(&witness, &honest.prove(size, grown.0.size), &grown.1).status, 200);
    println!("CASES 5");
}

#[test]
fn it_refuses_a_log_that_shrinks() {
    let logged = store(1);
    let kept = tempfile::tempdir().unwrap();
    let witness = logged.started(kept.path());
    let (small, large) = (logged.grow(3, "value"), logged.grow(3, "value"));
    assert_eq!(ask(&witness, &nothing_before(large.0.size), &large.1).status, 200);
    for old in [0, small.0.size] {
        let proof = ConsistencyProof { old, new: small.0.size, path: Vec::new() };
        assert_eq!(ask(&witness, &proof, &small.1), conflict(large.0.size));
    }
    // An old size above the checkpoint's is no question at all.
    let backwards = ConsistencyProof { old: large.0.size, new: small.0.size, path: Vec::new() };
    assert_eq!(ask(&witness, &backwards, &small.1).status, 400);
    still_co_signs(&witness, &logged, &large);
    println!("CASES 3");
}

#[test]
fn it_refuses_every_wrong_proof() {
    let logged = store(1);
    let kept = tempfile::tempdir().unwrap();
    let witness = logged.started(kept.path());
    let (old, new) = (logged.grow(3, "value"), logged.grow(9, "value"));
    assert_eq!(ask(&witness, &nothing_before(old.0.size), &old.1).status, 200);
    let right = logged.prove(old.0.size, new.0.size);
    assert!(right.path.len() > 2);
    let mut wrong = vec![Vec::new(), right.path[1..].to_vec()];
    wrong.push([&right.path[..], &[Digest::from_bytes([0; 32])]].concat());
    for at in 0..right.path.len() {
        let mut flipped = right.path.clone();
        let mut bytes = *flipped[at].as_bytes();
        bytes[at] ^= 1;
        flipped[at] = Digest::from_bytes(bytes);
        wrong.push(flipped);
    }
    println!("CASES {}", wrong.len() + 1);
    for path in wrong {
        let proof = ConsistencyProof { path, ..right.clone() };
        assert_eq!(ask(&witness, &proof, &new.1).status, 422, "{proof:?}");
    }
    let long = ConsistencyProof { path: vec![new.0.root; 64], ..right.clone() };
    assert_eq!(ask(&witness, &long, &new.1).status, 400);
    still_co_signs(&witness, &logged, &old);
    assert_eq!(ask(&witness, &right, &new.1).status, 200);
}

#[test]
fn it_refuses_a_stranger_s_log_and_a_stranger_s_signature() {
    let (known, other) = (store(1), store(2));
    let kept = tempfile::tempdir().unwrap();
    let witness = known.started(kept.path());
    let (head, note) = other.grow(1, "value");
    assert_eq!(ask(&witness, &nothing_before(head.size), &note).status, 404);

    // The checkpoint is the known log's, and the key that its witness was told of is not.
    let mistaken = OpenLine { log_key: other.open.log_key, ..known.open.clone() };
    let elsewhere = tempfile::tempdir().unwrap();
    let mistaken = WitnessProcess::start(elsewhere.path(), "w", &[verifier_key(&mistaken)]);
    let (head, note) = known.grow(1, "value");
    assert_eq!(ask(&mistaken, &nothing_before(head.size), &note).status, 403);
    // The known key's name and id on what it did not sign.
    let altered = note.replacen(&format!("\n{}\n", head.size), "\n99\n", 1);
    assert_ne!(altered, note);
    assert_eq!(ask(&witness, &nothing_before(99), &altered).status, 403);
    println!("CASES 3");
    assert_eq!(ask(&witness, &nothing_before(head.size), &note).status, 200);
}

#[test]
fn it_refuses_what_is_no_request() {
    let logged = store(1);
    let kept = tempfile::tempdir().unwrap();
    let witness = logged.started(kept.path());
    let (head, note) = logged.grow(1, "value");
    let bodies = [
        String::new(),
        note.clone(),
        format!("old\n\n{note}"),
        format!("old 00\n\n{note}"),
        format!("old +0\n\n{note}"),
        format!("old -1\n\n{note}"),
        format!("old 0\nnot base64\n\n{note}"),
        format!("old 0\nAAAA\n\n{note}"),
        format!("old 0\n{note}"),
        format!("old 0\n\n{}", note.trim_end()),
        format!("old 0\n\n{}", note.replace("\n\n", "\n")),
        format!("old 0\n\n{}", note.replacen(&head.size.to_string(), "x", 1)),
    ];
    println!("CASES {}", bodies.len());
    for body in bodies {
        let answer = add_checkpoint(witness.port, &body);
        assert!(answer.status == 400 || answer.status == 404, "{body:?}: {answer:?}");
        assert!(answer.status == 400 || body.starts_with("old 0\n\nstrongroom"), "{body:?}");
    }
    assert_eq!(ask(&witness, &nothing_before(head.size), &note).status, 200);
}
