//! RFC 6962 as it is written there: recursion over all leaves.

use sha2::{Digest as _, Sha256};
use strongroom_audit::{MerkleTree, TreeHead};
use strongroom_core::Digest;

pub fn leaf(leaf: &[u8]) -> Digest {
    hash(&[&[0], leaf])
}

pub fn node(left: Digest, right: Digest) -> Digest {
    hash(&[&[1], left.as_bytes(), right.as_bytes()])
}

fn hash(parts: &[&[u8]]) -> Digest {
    let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part));
    Digest::from_bytes(hash.finalize().into())
}

fn split<T>(leaves: &[T]) -> usize {
    leaves.len().next_power_of_two() / 2
}

/// Section 2.1: MTH(D\[n\]).
pub fn root(leaves: &[Vec<u8>]) -> Digest {
    match leaves {
        [] => hash(&[]),
        [one] => leaf(one),
        _ => {
            let (left, right) = leaves.split_at(split(leaves));
            node(root(left), root(right))
        }
    }
}

/// Section 2.1.1: PATH(m, D\[n\]).
pub fn path(m: usize, leaves: &[Vec<u8>]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves);
    let (left, right) = leaves.split_at(k);
    let (mut found, beside) =
        if m < k { (path(m, left), root(right)) } else { (path(m - k, right), root(left)) };
    found.push(beside);
    found
}

/// Section 2.1.2: PROOF(m, D\[n\]).
pub fn proof(m: usize, leaves: &[Vec<u8>]) -> Vec<Digest> {
    sub_proof(m, leaves, true)
}

fn sub_proof(m: usize, leaves: &[Vec<u8>], is_known: bool) -> Vec<Digest> {
    if m == leaves.len() {
        return if is_known { Vec::new() } else { vec![root(leaves)] };
    }
    let k = split(leaves);
    let (left, right) = leaves.split_at(k);
    let (mut proof, beside) = if m <= k {
        (sub_proof(m, left, is_known), root(right))
    } else {
        (sub_proof(m - k, right, false), root(left))
    };
    proof.push(beside);
    proof
}

pub fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("line {number}").into_bytes()).collect()
}

/// The heads of the logs of all sizes up to that of these leaves.
pub fn heads(leaves: &[Vec<u8>]) -> Vec<TreeHead> {
    let mut tree = MerkleTree::new();
    let mut heads = vec![tree.head()];
    for leaf in leaves {
        tree.push(leaf);
        heads.push(tree.head());
    }
    heads
}
