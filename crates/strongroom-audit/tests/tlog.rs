//! Records of a log in a directory, proven to somebody who has the log's key and no log: signed notes,
//! proofs as text, and what is refused of both.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking"
)]
#![expect(unreachable_pub, reason = "the helpers are a module of each test program")]
#![expect(dead_code, reason = "the helpers are shared by several test programs")]

mod common;
#[path = "common/logged.rs"]
mod logged;

use logged::Logged;
use proptest::prelude::*;
use strongroom_audit::{
    MAX_NOTE_BYTES, NoteError, ProofError, ProveError, TlogProof, TlogProofError, TreeHead,
    open_note, origin, prove_consistency, prove_inclusion, prove_record, signed_note,
};
use strongroom_core::{LogId, Receipt};

const COSIGNATURE: &str = "\u{2014} witness.example mJirIklj";

#[test]
fn each_record_before_a_checkpoint_is_proven_by_the_first_one_behind_it() {
    let logged = Logged::new(2_500);
    let (origin, key) = (logged.origin(), logged.open.log_key);
    let checkpoints = logged.checkpoints();
    assert!(checkpoints.len() >= 2);
    let last = checkpoints.last().unwrap().size;
    for index in (0..last).step_by(97).chain([0, last - 1]) {
        let proven = prove_record(logged.dir(), logged.receipt(index)).unwrap();
        assert_eq!(proven.open, logged.open);
        assert_eq!(&proven.line, &logged.lines[usize::try_from(index).unwrap()]);
        let head = proven.proof.verify(&proven.line, &origin, &key).unwrap();
        let first = checkpoints.iter().find(|checkpoint| checkpoint.size > index).unwrap();
        assert_eq!(head, TreeHead { size: first.size, root: first.root });
        assert_eq!(proven.proof.to_string().parse(), Ok(proven.proof.clone()));
        // The same by sizes that the caller names.
        let proof = prove_inclusion(logged.dir(), logged.receipt(index), head.size).unwrap();
        assert_eq!(proof.path, proven.proof.path);
        proof.verify(&proven.line, &head).unwrap();
        let other = proven.proof.verify(b"another line", &origin, &key);
        assert_eq!(other, Err(TlogProofError::Proof(ProofError::NotIncluded { index })));
    }
}

#[test]
fn checkpoints_are_consistent_with_one_another() {
    let logged = Logged::new(2_500);
    let checkpoints = logged.checkpoints();
    for (old, new) in checkpoints.iter().zip(&checkpoints[1..]) {
        let [old, new] = [old, new].map(|note| {
            open_note(&signed_note(&logged.open, note), &logged.origin(), &logged.open.log_key)
                .unwrap()
        });
        let proof = prove_consistency(logged.dir(), logged.log(), old.size, new.size).unwrap();
        proof.verify(&old, &new).unwrap();
        assert!(proof.verify(&old, &TreeHead { root: old.root, ..new }).is_err());
    }
}

#[test]
fn zero_bytes_that_are_laid_out_belong_to_no_proof() {
    let logged = Logged::new(1_100);
    let before = prove_record(logged.dir(), logged.receipt(5)).unwrap();
    let size = logged.lines.len() as u64;
    let path = logged.dir().join(format!("{}.jsonl", logged.log()));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0; 4096]);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(prove_record(logged.dir(), logged.receipt(5)).unwrap(), before);
    assert!(prove_inclusion(logged.dir(), logged.receipt(5), size).is_ok());
    let too_few = prove_inclusion(logged.dir(), logged.receipt(5), size + 1);
    let expected = ProofError::TooFewLines { needed: size + 1, found: size };
    assert!(matches!(too_few, Err(ProveError::Proof(error)) if error == expected));
}

#[test]
fn a_directory_without_the_proof_says_why() {
    let logged = Logged::new(1_100);
    let last = logged.receipt(logged.lines.len() as u64 - 1);
    assert!(matches!(
        prove_record(logged.dir(), last),
        Err(ProveError::NotSigned { receipt }) if receipt == last
    ));
    let beyond = logged.receipt(u64::MAX);
    assert!(matches!(prove_record(logged.dir(), beyond), Err(ProveError::NotSigned { .. })));
    let other = LogId::from_bytes([9; 8]);
    let error = prove_record(logged.dir(), Receipt { log: other, index: 0 }).unwrap_err();
    assert!(error.to_string().contains("0909090909090909"), "{error}");
    assert!(matches!(
        prove_consistency("no/such/directory", other, 0, 0),
        Err(ProveError::NoLog { log, .. }) if log == other
    ));
    assert!(matches!(
        prove_consistency(logged.dir(), logged.log(), 3, 2),
        Err(ProveError::Proof(ProofError::Shrinks { old: 3, new: 2 }))
    ));
    assert!(prove_consistency(logged.dir(), logged.log(), 0, 0).unwrap().path.is_empty());
}

#[test]
fn a_log_that_was_edited_proves_nothing_to_who_holds_a_checkpoint() {
    let logged = Logged::new(2_500);
    let before = prove_record(logged.dir(), logged.receipt(5)).unwrap();
    let heads: Vec<TreeHead> = logged
        .checkpoints()
        .iter()
        .map(|line| TreeHead { size: line.size, root: line.root })
        .collect();
    logged.edit(7, |line| line.replace("\"effect\":\"allow\"", "\"effect\":\"deny\""));
    let size = heads[0].size;
    let error = prove_record(logged.dir(), logged.receipt(5)).unwrap_err();
    assert!(matches!(error, ProveError::Altered { size: at, .. } if at == size), "{error}");
    let proof = prove_inclusion(logged.dir(), logged.receipt(5), size).unwrap();
    assert!(proof.verify(&before.line, &heads[0]).is_err());
    let proof = prove_consistency(logged.dir(), logged.log(), size, heads[1].size).unwrap();
    assert!(proof.verify(&heads[0], &heads[1]).is_err());
}

#[test]
fn signatures_by_others_are_passed_over_and_those_in_the_name_of_the_log_are_not() {
    let logged = Logged::new(1_100);
    let (origin, key) = (logged.origin(), logged.open.log_key);
    let note = signed_note(&logged.open, &logged.checkpoints()[0]);
    let head = open_note(&note, &origin, &key).unwrap();
    let own = note.lines().last().unwrap();
    let (text, _) = note.split_once('\u{2014}').unwrap();
    // Before, behind, of the same name with another key, many, and the own one twice.
    let others = [
        format!("{text}{COSIGNATURE}\n{own}\n"),
        format!("{note}{COSIGNATURE}\n"),
        format!("{note}\u{2014} {origin} mJirIklj\n"),
        format!("{note}{}", format!("{COSIGNATURE}\n").repeat(40)),
        format!("{note}{own}\n"),
    ];
    for other in others {
        assert_eq!(open_note(&other, &origin, &key), Ok(head), "{other}");
    }
    let unsigned = format!("{text}{COSIGNATURE}\n");
    assert_eq!(open_note(&unsigned, &origin, &key), Err(NoteError::NotSigned));
    // A signature that claims to be the log's, though another one holds.
    let broken = own.get(..own.len() - 6).map(|line| format!("{line}AAAA==")).unwrap();
    let broken = format!("{note}{broken}\n");
    assert_eq!(open_note(&broken, &origin, &key), Err(NoteError::WrongSignature));
    assert_eq!(open_note(&note, &origin, &[7; 32]), Err(NoteError::NotSigned));
    let stranger = strongroom_audit::origin(logged.open.store, LogId::from_bytes([9; 8]));
    assert_eq!(open_note(&note, &stranger, &key), Err(NoteError::OtherLog));
}

#[test]
fn a_note_that_is_out_of_order_is_refused() {
    let logged = Logged::new(1_100);
    let (origin, key) = (logged.origin(), logged.open.log_key);
    let note = signed_note(&logged.open, &logged.checkpoints()[0]);
    let size = logged.checkpoints()[0].size;
    let cases = [
        String::new(),
        "\n\n".to_owned(),
        note.trim_end().to_owned(),
        format!("{note}\n"),
        format!("\n{note}"),
        note.replace('\n', "\r\n"),
        note.replace("\n\n", "\n"),
        note.replace("\n\n", "\nextension\n\n"),
        note.replace(&format!("\n{size}\n"), &format!("\n0{size}\n")),
        note.replace(&format!("\n{size}\n"), &format!("\n+{size}\n")),
        note.replace(&format!("\n{size}\n"), "\n18446744073709551616\n"),
        note.replace('\u{2014}', "-"),
        note.replace("\u{2014} ", "\u{2014}  "),
        format!("{note}no signature\n"),
        format!("{note}\u{2014} witness.example AAAA\n"),
        format!("{note}\u{2014} wit+ness AAAAAAA=\n"),
        format!("{note}\u{2014} witness.example AAAAAAB=\n"),
        format!("{note}{}", format!("{COSIGNATURE}\n").repeat(MAX_NOTE_BYTES / 20)),
    ];
    for case in cases {
        let opened = open_note(&case, &origin, &key);
        assert!(matches!(opened, Err(NoteError::Malformed { .. })), "{opened:?}: {case:?}");
    }
}

#[test]
fn a_text_that_is_no_tlog_proof_is_refused() {
    let logged = Logged::new(1_100);
    let text = prove_record(logged.dir(), logged.receipt(5)).unwrap().proof.to_string();
    assert!(text.parse::<TlogProof>().is_ok());
    let line = text.lines().nth(2).unwrap();
    let cases = [
        String::new(),
        text.replace("@v1", "@v2"),
        text.replace("index 5", "index 05"),
        text.replace("index 5", "index +5"),
        text.replace("index 5", "index 18446744073709551616"),
        text.replace("index 5", "Index 5"),
        text.replace("index 5", "extra AAAA\nindex 5"),
        text.replace('\n', "\r\n"),
        text.replacen("\n\n", "\n", 1),
        text.replacen(line, &line.to_lowercase()[1..], 1),
        text.replacen(line, &format!("{line} "), 1),
        text.replacen(line, &format!("{line}\n").repeat(80), 1),
        text.replacen(line, "AAAA", 1),
        text.trim_end().to_owned(),
    ];
    for case in cases {
        let read = case.parse::<TlogProof>();
        let is_refused = matches!(
            read,
            Err(TlogProofError::Malformed { .. }
                | TlogProofError::Note(NoteError::Malformed { .. }))
        );
        assert!(is_refused, "{read:?}: {case}");
    }
}

#[test]
fn each_changed_byte_of_a_proof_is_noticed() {
    let logged = Logged::new(1_100);
    let (origin, key) = (logged.origin(), logged.open.log_key);
    let proven = prove_record(logged.dir(), logged.receipt(5)).unwrap();
    let text = proven.proof.to_string().into_bytes();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.clone();
            changed[at] ^= 1 << bit;
            let believed = String::from_utf8(changed)
                .ok()
                .and_then(|text| text.parse::<TlogProof>().ok())
                .is_some_and(|proof| proof.verify(&proven.line, &origin, &key).is_ok());
            assert!(!believed, "bit {bit} of byte {at}");
        }
    }
    for length in 0..text.len() {
        if let Ok(Ok(proof)) = std::str::from_utf8(&text[..length]).map(str::parse::<TlogProof>) {
            assert!(proof.verify(&proven.line, &origin, &key).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn the_origin_is_the_name_of_the_key() {
    let logged = Logged::new(1_100);
    let key = strongroom_audit::verifier_key(&logged.open);
    assert!(key.starts_with(&format!("{}+", origin(logged.open.store, logged.open.log))));
}

proptest! {
    #[test]
    fn any_text_is_taken_in_one_spelling_or_refused(
        text in "(c2sp\\.org/tlog-proof@v1\n)?(index [0-9]{1,21}\n)?([A-Za-z0-9+/]{43}=\n){0,3}\
                 \n[a-z]{0,3}\n[0-9]{1,3}\n[A-Za-z0-9+/]{43}=\n\n(\u{2014} [a-z]{1,3} [A-Z]{7}=\n){0,3}",
    ) {
        if let Ok(proof) = text.parse::<TlogProof>() {
            prop_assert_eq!(proof.to_string(), text);
            prop_assert!(proof.verify(b"line", "a", &[1; 32]).is_err());
        }
    }
}
