//! What others have written for transparency logs reads our checkpoints and proofs, and we read theirs:
//! `signed_note` of Cloudflare (a port of Go's `sumdb/note`) and `ct-merkle`.
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
#[path = "common/naive.rs"]
mod naive;

use base64ct::{Base64, Encoding};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof as TheirGrowth, InclusionProof as TheirInclusion, RootHash};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use logged::Logged;
use naive::{heads, leaves};
use sha2::Sha256;
use signed_note::{Note, StandardVerifier, Verifier, VerifierList};
use strongroom_audit::{
    ConsistencyProof, InclusionProof, TreeHead, Witness, WitnessQuorum, open_cosigned_note,
    prove_consistency, prove_inclusion, prove_record, signed_note, verifier_key,
};
use strongroom_core::Digest;

fn theirs(head: &TreeHead) -> RootHash<Sha256> {
    RootHash::new((*head.root.as_bytes()).into(), head.size)
}

fn bytes(path: &[Digest]) -> Vec<u8> {
    path.iter().flat_map(|digest| *digest.as_bytes()).collect()
}

fn digests(bytes: &[u8]) -> Vec<Digest> {
    bytes.chunks(32).map(|bytes| Digest::from_bytes(bytes.try_into().unwrap())).collect()
}

fn they_include(head: &TreeHead, line: &[u8], index: u64, path: &[Digest]) -> bool {
    let proof = TheirInclusion::from_bytes(bytes(path));
    theirs(head).verify_inclusion(&line, index, &proof).is_ok()
}

fn they_grow(old: &TreeHead, new: &TreeHead, path: &[Digest]) -> bool {
    let proof = TheirGrowth::try_from_bytes(bytes(path)).unwrap();
    theirs(new).verify_consistency(&theirs(old), &proof).is_ok()
}

/// Origin, size and root of a note that they have verified with the key as we tell it.
fn they_open(note: &str, key: &str) -> Option<[String; 3]> {
    let verifier = StandardVerifier::new(key).unwrap();
    let note = Note::from_bytes(note.as_bytes()).ok()?;
    let (verified, _) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).ok()?;
    assert_eq!(verified.len(), 1);
    let text = String::from_utf8(note.text().to_vec()).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.try_into().ok()
}

/// A witness's key as their library takes it, by the text of C2SP tlog-cosignature.
struct TheirWitness(VerifyingKey);

const WITNESS: &str = "witness.example/w1";

impl Verifier for TheirWitness {
    fn name(&self) -> &str {
        WITNESS
    }
    fn key_id(&self) -> u32 {
        signed_note::key_id(WITNESS, &[&[4], &self.0.as_bytes()[..]].concat())
    }
    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let (time, signature) = signature.split_at(8);
        let time = u64::from_be_bytes(time.try_into().unwrap());
        let message = [format!("cosignature/v1\ntime {time}\n").as_bytes(), text].concat();
        self.0.verify_strict(&message, &Signature::from_slice(signature).unwrap()).is_ok()
    }
}

/// The two signatures of a note that they verify one by one, we do together.
#[test]
fn they_and_we_verify_cosignatures() {
    let logged = Logged::new(1_100);
    let checkpoint = logged.checkpoints()[0];
    let note = signed_note(&logged.open, &checkpoint);
    let witness = SigningKey::from_bytes(&[2; 32]);
    let ours = Witness::new(WITNESS, witness.verifying_key().to_bytes()).unwrap();
    let theirs = TheirWitness(witness.verifying_key());
    let quorum = WitnessQuorum::new(1, [ours]).unwrap();
    let text = note.rsplit_once("\n\n").unwrap().0;
    for (time, signed) in [(1_700_000_000_u64, 1_700_000_000), (1_700_000_001, 1_700_000_000)] {
        let message = format!("cosignature/v1\ntime {signed}\n{text}\n");
        let signature = witness.sign(message.as_bytes()).to_bytes();
        let blob = [&theirs.key_id().to_be_bytes(), &time.to_be_bytes()[..], &signature].concat();
        let line = format!("\u{2014} {WITNESS} {}\n", Base64::encode_string(&blob));
        let cosigned = format!("{note}{line}");
        let log = StandardVerifier::new(&verifier_key(&logged.open)).unwrap();
        let verifiers: Vec<Box<dyn Verifier>> =
            vec![Box::new(log), Box::new(TheirWitness(witness.verifying_key()))];
        let they = Note::from_bytes(cosigned.as_bytes())
            .unwrap()
            .verify(&VerifierList::new(verifiers))
            .is_ok_and(|(verified, _)| verified.len() == 2);
        let we =
            open_cosigned_note(&cosigned, &logged.origin(), &logged.open.log_key, &quorum).is_ok();
        assert_eq!((they, we), (time == signed, time == signed));
    }
}

#[test]
fn they_verify_the_checkpoints_and_proofs_of_a_log() {
    let logged = Logged::new(2_500);
    let key = verifier_key(&logged.open);
    let mut heads = Vec::new();
    for checkpoint in logged.checkpoints() {
        let note = signed_note(&logged.open, &checkpoint);
        let [origin, size, _] = they_open(&note, &key).unwrap();
        assert_eq!((origin, size), (logged.origin(), checkpoint.size.to_string()));
        heads.push(TreeHead { size: checkpoint.size, root: checkpoint.root });
    }
    assert!(heads.len() >= 2);
    for index in (0..heads[0].size).step_by(101) {
        let proven = prove_record(logged.dir(), logged.receipt(index)).unwrap();
        assert!(they_open(&proven.proof.note, &key).is_some());
        assert!(they_include(&heads[0], &proven.line, index, &proven.proof.path));
        assert!(!they_include(&heads[0], b"another", index, &proven.proof.path));
        let later = prove_inclusion(logged.dir(), logged.receipt(index), heads[1].size).unwrap();
        assert!(they_include(&heads[1], &proven.line, index, &later.path));
    }
    let growth =
        prove_consistency(logged.dir(), logged.log(), heads[0].size, heads[1].size).unwrap();
    assert!(they_grow(&heads[0], &heads[1], &growth.path));
}

#[test]
fn they_refuse_a_forked_log() {
    let honest = Logged::new(2_500);
    let heads: Vec<TreeHead> = honest
        .checkpoints()
        .iter()
        .map(|line| TreeHead { size: line.size, root: line.root })
        .collect();
    honest.edit(7, |line| line.replace("\"effect\":\"allow\"", "\"effect\":\"deny\""));
    // The forger computes a root over the forged lines, and an honest proof of it.
    let mut forged = honest.lines.clone();
    forged[7] = b"forged".to_vec();
    let forged_head = naive::heads(&forged)[usize::try_from(heads[1].size).unwrap()];
    let growth =
        prove_consistency(honest.dir(), honest.log(), heads[0].size, heads[1].size).unwrap();
    assert!(!they_grow(&heads[0], &heads[1], &growth.path));
    assert!(!they_grow(&heads[0], &forged_head, &growth.path));
    assert!(growth.verify(&heads[0], &forged_head).is_err());
    // A checkpoint over them that the log's key did not sign.
    let mut checkpoint = honest.checkpoints()[1];
    checkpoint.root = forged_head.root;
    let note = signed_note(&honest.open, &checkpoint);
    assert_eq!(they_open(&note, &verifier_key(&honest.open)), None);
}

#[test]
fn they_and_we_make_the_same_proofs_and_verify_each_other_s() {
    let lines = leaves(70);
    let heads = heads(&lines);
    for size in 1..=lines.len() {
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        lines[..size].iter().for_each(|line| tree.push(line.clone()));
        assert_eq!(digests(tree.root().as_bytes()), [heads[size].root]);
        for (index, line) in lines.iter().enumerate().take(size) {
            let proof = tree.prove_inclusion(index);
            let (number, path) = (index as u64, digests(proof.as_bytes()));
            let ours = InclusionProof { index: number, size: size as u64, path };
            assert_eq!(ours.verify(line, &heads[size]), Ok(()), "{index} of {size}");
            assert!(they_include(&heads[size], line, number, &ours.path));
        }
        for old in 1..size {
            let proof = tree.prove_consistency(size - old);
            let path = digests(proof.as_bytes());
            let ours = ConsistencyProof { old: old as u64, new: size as u64, path };
            assert_eq!(ours.verify(&heads[old], &heads[size]), Ok(()), "{old} to {size}");
            assert!(they_grow(&heads[old], &heads[size], &ours.path));
        }
    }
}
