//! Inclusion and consistency proofs against RFC 6962 as it is written, the vectors of its reference
//! implementation, and whoever changes them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking"
)]
#![expect(unreachable_pub, reason = "the helpers are a module of each test program")]

#[path = "common/naive.rs"]
mod naive;

use naive::{heads, leaves};
use proptest::collection::vec;
use proptest::prelude::*;
use strongroom_audit::{
    ConsistencyProof, ConsistencyProver, InclusionProof, InclusionProver, ProofError, TreeHead,
};
use strongroom_core::Digest;

fn include(index: usize, lines: &[Vec<u8>]) -> InclusionProof {
    let mut prover = InclusionProver::new(index as u64, lines.len() as u64).unwrap();
    lines.iter().for_each(|line| prover.line(line));
    prover.finish().unwrap()
}

fn grow(old: usize, lines: &[Vec<u8>]) -> ConsistencyProof {
    let mut prover = ConsistencyProver::new(old as u64, lines.len() as u64).unwrap();
    lines.iter().for_each(|line| prover.line(line));
    prover.finish().unwrap()
}

#[test]
fn every_record_of_every_size_has_the_path_of_the_recursion() {
    let lines = leaves(130);
    let heads = heads(&lines);
    for size in 1..=lines.len() {
        assert_eq!(heads[size].root, naive::root(&lines[..size]));
        for index in 0..size {
            let proof = include(index, &lines[..size]);
            assert_eq!(proof.path, naive::path(index, &lines[..size]), "{index} of {size}");
            assert_eq!(proof.verify(&lines[index], &heads[size]), Ok(()), "{index} of {size}");
        }
    }
}

#[test]
fn every_two_sizes_have_the_proof_of_the_recursion() {
    let lines = leaves(130);
    let heads = heads(&lines);
    for new in 0..=lines.len() {
        for old in 0..=new {
            let proof = grow(old, &lines[..new]);
            // The RFC has no proof from nothing.
            let path = if old == 0 { Vec::new() } else { naive::proof(old, &lines[..new]) };
            assert_eq!(proof.path, path, "{old} to {new}");
            assert_eq!(proof.verify(&heads[old], &heads[new]), Ok(()), "{old} to {new}");
        }
    }
}

#[test]
fn lines_behind_the_size_change_no_proof() {
    let lines = leaves(20);
    let mut inclusion = InclusionProver::new(3, 11).unwrap();
    let mut consistency = ConsistencyProver::new(6, 11).unwrap();
    for (count, line) in lines.iter().enumerate() {
        assert_eq!((inclusion.has_all(), consistency.has_all()), (count >= 11, count >= 11));
        inclusion.line(line);
        consistency.line(line);
    }
    assert_eq!(inclusion.finish().unwrap(), include(3, &lines[..11]));
    assert_eq!(consistency.finish().unwrap(), grow(6, &lines[..11]));
}

#[test]
fn what_cannot_be_proven_says_why() {
    let no_record = ProofError::NoSuchRecord { index: 3, size: 3 };
    assert_eq!(InclusionProver::new(3, 3).unwrap_err(), no_record);
    assert_eq!(ConsistencyProver::new(4, 3).unwrap_err(), ProofError::Shrinks { old: 4, new: 3 });
    let too_few = ProofError::TooFewLines { needed: 3, found: 1 };
    let mut prover = InclusionProver::new(0, 3).unwrap();
    prover.line(b"one");
    assert_eq!(prover.finish().unwrap_err(), too_few);
    let mut prover = ConsistencyProver::new(1, 3).unwrap();
    prover.line(b"one");
    assert_eq!(prover.finish().unwrap_err(), too_few);
}

/// The leaves of the reference implementation of Certificate Transparency; their roots are checked
/// beside `MerkleTree`.
fn published() -> Vec<Vec<u8>> {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    leaves.map(<[u8]>::to_vec).to_vec()
}

#[test]
fn the_published_audit_paths_hold() {
    let cases: [(usize, usize, &[&str]); 6] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
        (1, 2, &["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"]),
    ];
    let lines = published();
    for (index, size, path) in cases {
        let path: Vec<Digest> = path.iter().map(|hex| hex.parse().unwrap()).collect();
        let proof = include(index, &lines[..size]);
        assert_eq!(proof.path, path, "{index} of {size}");
        proof.verify(&lines[index], &heads(&lines)[size]).unwrap();
    }
}

#[test]
fn the_published_consistency_proofs_hold() {
    let cases: [(usize, usize, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    let lines = published();
    let heads = heads(&lines);
    for (old, new, path) in cases {
        let path: Vec<Digest> = path.iter().map(|hex| hex.parse().unwrap()).collect();
        let proof = grow(old, &lines[..new]);
        assert_eq!(proof.path, path, "{old} to {new}");
        proof.verify(&heads[old], &heads[new]).unwrap();
    }
}

/// All ways to change a path a little: a bit of each digest, one left out, twice, or in another place,
/// and one more in front or behind.
fn changed(path: &[Digest]) -> Vec<Vec<Digest>> {
    let mut all = vec![
        [path, &[Digest::from_bytes([0; 32])]].concat(),
        [&[Digest::from_bytes([0; 32])], path].concat(),
    ];
    for at in 0..path.len() {
        let mut flipped = path.to_vec();
        let mut bytes = *flipped[at].as_bytes();
        bytes[at % 32] ^= 1 << (at % 8);
        flipped[at] = Digest::from_bytes(bytes);
        let mut dropped = path.to_vec();
        dropped.remove(at);
        let mut doubled = path.to_vec();
        doubled.insert(at, path[at]);
        all.extend([flipped, dropped, doubled]);
        if at > 0 {
            let mut swapped = path.to_vec();
            swapped.swap(at - 1, at);
            all.push(swapped);
        }
    }
    all
}

fn other(digest: Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[31] ^= 1;
    Digest::from_bytes(bytes)
}

#[test]
fn every_changed_inclusion_proof_is_refused() {
    let lines = leaves(40);
    let heads = heads(&lines);
    for size in 1..=lines.len() {
        for index in 0..size {
            let proof = include(index, &lines[..size]);
            let (line, head) = (&lines[index], heads[size]);
            for path in changed(&proof.path) {
                let proof = InclusionProof { path, ..proof.clone() };
                assert!(proof.verify(line, &head).is_err(), "{proof:?}");
            }
            for index in (0..=size as u64 + 1).chain([u64::MAX]).filter(|at| *at != proof.index) {
                let proof = InclusionProof { index, ..proof.clone() };
                assert!(proof.verify(line, &head).is_err(), "{proof:?}");
            }
            for size in (0..=lines.len() as u64).chain([u64::MAX]).filter(|at| *at != proof.size) {
                let proof = InclusionProof { size, ..proof.clone() };
                assert!(proof.verify(line, &head).is_err(), "{proof:?}");
            }
            let not_included = Err(ProofError::NotIncluded { index: proof.index });
            assert_eq!(proof.verify(b"line X", &head), not_included);
            let altered = TreeHead { root: other(head.root), ..head };
            assert_eq!(proof.verify(line, &altered), not_included);
        }
    }
}

#[test]
fn every_changed_consistency_proof_is_refused() {
    let lines = leaves(40);
    let heads = heads(&lines);
    for new in 0..=lines.len() {
        for old in 0..=new {
            let proof = grow(old, &lines[..new]);
            let (before, after) = (heads[old], heads[new]);
            for path in changed(&proof.path) {
                let proof = ConsistencyProof { path, ..proof.clone() };
                assert!(proof.verify(&before, &after).is_err(), "{proof:?}");
            }
            for size in (0..=lines.len() as u64 + 1).chain([u64::MAX]) {
                let older = ConsistencyProof { old: size, ..proof.clone() };
                assert_eq!(older.verify(&before, &after).is_ok(), size == proof.old, "{older:?}");
                let newer = ConsistencyProof { new: size, ..proof.clone() };
                assert_eq!(newer.verify(&before, &after).is_ok(), size == proof.new, "{newer:?}");
            }
            let forked = Err(ProofError::Forked { old: proof.old, new: proof.new });
            let altered = TreeHead { root: other(before.root), ..before };
            assert_eq!(proof.verify(&altered, &after), forked, "{proof:?}");
            // Every log begins with the empty one.
            if old > 0 {
                let altered = TreeHead { root: other(after.root), ..after };
                assert_eq!(proof.verify(&before, &altered), forked, "{proof:?}");
            }
        }
    }
}

#[test]
fn a_log_that_was_edited_before_the_older_size_has_no_proof() {
    let lines = leaves(40);
    let heads = heads(&lines);
    for (old, before) in heads.iter().enumerate().take(lines.len()) {
        for edited in 0..old {
            let mut forked = lines.clone();
            forked[edited] = b"another".to_vec();
            let head = naive::heads(&forked)[lines.len()];
            let proof = grow(old, &forked);
            assert!(proof.verify(before, &head).is_err(), "line {edited}, {old} lines");
        }
    }
}

fn digests() -> impl Strategy<Value = Vec<Digest>> {
    vec(any::<[u8; 32]>().prop_map(Digest::from_bytes), 0..70)
}

/// Sizes near powers of two, and any.
fn sizes() -> impl Strategy<Value = u64> {
    let near = (0..64_u32, 0..5_u64).prop_map(|(bit, by)| (1 << bit) - 2_u64.min(1 << bit) + by);
    prop_oneof![near, any::<u64>(), (0..3_u64).prop_map(|by| u64::MAX - by)]
}

proptest! {
    /// The paths that fit are computed as far as they go, in logs of any size, and nothing panics.
    #[test]
    fn any_numbers_and_digests_are_refused(
        (a, b, path, root) in (sizes(), sizes(), digests(), any::<[u8; 32]>()),
    ) {
        let root = Digest::from_bytes(root);
        let head = TreeHead { size: b, root };
        let proof = InclusionProof { index: a, size: b, path: path.clone() };
        prop_assert!(proof.verify(b"line", &head).is_err());
        if let Err(ProofError::WrongLength { needed, .. }) = proof.root(b"line") {
            prop_assert!(needed <= 64);
            let path = vec![root; needed as usize];
            let proof = InclusionProof { index: a, size: b, path };
            // A root that the path itself leads to is the one that it verifies under.
            let head = TreeHead { size: b, root: proof.root(b"line").unwrap() };
            prop_assert_eq!(proof.verify(b"line", &head), Ok(()));
            prop_assert!(proof.verify(b"other", &head).is_err());
        }
        let proof = ConsistencyProof { old: a, new: b, path };
        let (old, new) = (TreeHead { size: a, root }, TreeHead { size: b, root: other(root) });
        let refused = proof.verify(&old, &new);
        prop_assert!(refused.is_err());
        if let Err(ProofError::WrongLength { needed, .. }) = refused {
            prop_assert!(needed <= 65);
            let proof = ConsistencyProof { path: vec![root; needed as usize], ..proof };
            let is_forked = matches!(proof.verify(&old, &new), Err(ProofError::Forked { .. }));
            prop_assert!(is_forked);
        }
    }

    #[test]
    fn provers_and_verifiers_agree_on_random_lines(
        (lines, index, old) in vec(vec(any::<u8>(), 0..40), 1..300)
            .prop_flat_map(|lines| {
                let size = lines.len();
                (Just(lines), 0..size, 0..=size)
            }),
    ) {
        let heads = heads(&lines);
        let head = heads[lines.len()];
        prop_assert_eq!(include(index, &lines).verify(&lines[index], &head), Ok(()));
        prop_assert_eq!(grow(old, &lines).verify(&heads[old], &head), Ok(()));
    }
}
