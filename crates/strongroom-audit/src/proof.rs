//! Proofs of RFC 6962: that a log has a record, and that it only grew. Who checks them holds two or
//! three digests and no line but the one that is proven.

use sha2::{Digest as _, Sha256};
use strongroom_core::{Digest, TreeHead};
use thiserror::Error;

use crate::tree::{leaf_hash, node_hash};

mod dir;
mod prover;

pub use dir::{ProveError, ProvenRecord, prove_consistency, prove_inclusion, prove_record};
pub use prover::{ConsistencyProver, InclusionProver};

/// Why a proof was not made, or is none.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The record's index is not below the size.
    #[error("a log of {size} lines has no record {index}: name a size above the record's index")]
    NoSuchRecord {
        /// The index, from 0.
        index: u64,
        /// The size.
        size: u64,
    },
    /// The older size is the larger one.
    #[error("a log of {old} lines does not grow into one of {new}: name the smaller size first")]
    Shrinks {
        /// The older size.
        old: u64,
        /// The newer size.
        new: u64,
    },
    /// Fewer lines were fed than the proof is about.
    #[error("a proof over {needed} lines needs them all, and {found} were there")]
    TooFewLines {
        /// How many lines are needed.
        needed: u64,
        /// How many there were.
        found: u64,
    },
    /// The proof is for another size than the tree head that it is held against.
    #[error(
        "the proof is for {proof} lines and the tree head for {head}: take the checkpoint that the \
         proof was made for"
    )]
    OtherSize {
        /// The size that the proof is for.
        proof: u64,
        /// The size of the head.
        head: u64,
    },
    /// The number of digests does not fit the sizes.
    #[error("the proof has {found} digests where its sizes need {needed}: it was cut or padded")]
    WrongLength {
        /// How many digests the sizes need.
        needed: u64,
        /// How many there are.
        found: u64,
    },
    /// The path from the record leads to another root.
    #[error("the log has another line at {index}: believe neither the record nor who showed it")]
    NotIncluded {
        /// The index, from 0.
        index: u64,
    },
    /// The path leads to other roots.
    #[error(
        "the log of {new} lines does not begin with the {old} that were seen before: it was edited \
         or forked"
    )]
    Forked {
        /// The older size.
        old: u64,
        /// The newer size.
        new: u64,
    },
}

/// Shows that a log of some size has a line at an index: the audit path of RFC 6962 section 2.1.1.
///
/// ```
/// use strongroom_audit::{InclusionProver, MerkleTree};
///
/// let lines = [b"zero", b"one.", b"two."];
/// let (mut tree, mut prover) = (MerkleTree::new(), InclusionProver::new(1, 3)?);
/// for line in lines {
///     tree.push(line);
///     prover.line(line);
/// }
/// let proof = prover.finish()?;
/// assert_eq!(proof.path.len(), 2);
/// proof.verify(b"one.", &tree.head())?;
/// assert!(proof.verify(b"ONE.", &tree.head()).is_err());
/// # Ok::<(), strongroom_audit::ProofError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InclusionProof {
    /// The index of the line, from 0.
    pub index: u64,
    /// The size of the log.
    pub size: u64,
    /// The roots of the subtrees beside the way from the line to the root, the lowest first: at most
    /// 64.
    pub path: Vec<Digest>,
}

impl InclusionProof {
    /// Checks that the log with this head has this line (without its line end) at the index, by RFC
    /// 9162 section 2.1.3.2. It takes at most 65 hashes.
    ///
    /// Take the head from where you trust it: from a [signed checkpoint](crate::open_note), or from a
    /// log that was verified.
    ///
    /// # Errors
    /// `NotIncluded` where it has not; others where the proof is out of shape or for another size.
    pub fn verify(&self, line: &[u8], head: &TreeHead) -> Result<(), ProofError> {
        if head.size != self.size {
            return Err(ProofError::OtherSize { proof: self.size, head: head.size });
        }
        if self.root(line)? == head.root {
            Ok(())
        } else {
            Err(ProofError::NotIncluded { index: self.index })
        }
    }

    /// The root that the proof leads to from this line. It proves nothing until it is compared.
    ///
    /// # Errors
    /// `NoSuchRecord` or `WrongLength` where the proof is out of shape.
    pub fn root(&self, line: &[u8]) -> Result<Digest, ProofError> {
        let Self { index, size, .. } = *self;
        if index >= size {
            return Err(ProofError::NoSuchRecord { index, size });
        }
        let Shape { inner, border } = Shape::of(index, size);
        check_length(self.path.len(), u64::from(inner) + u64::from(border))?;
        let mut root = leaf_hash(line);
        for (level, beside) in (0..).zip(&self.path) {
            root = if level < inner && is_left(index, level) {
                node_hash(&root, beside.as_bytes())
            } else {
                node_hash(beside.as_bytes(), &root)
            };
        }
        Ok(Digest::from_bytes(root))
    }
}

/// Shows that a log of some size begins with the lines of a smaller one: the consistency proof of
/// RFC 6962 section 2.1.2.
///
/// ```
/// use strongroom_audit::{ConsistencyProver, MerkleTree};
///
/// let (mut tree, mut prover) = (MerkleTree::new(), ConsistencyProver::new(2, 3)?);
/// let mut heads = Vec::new();
/// for line in [b"zero", b"one.", b"two."] {
///     tree.push(line);
///     prover.line(line);
///     heads.push(tree.head());
/// }
/// let proof = prover.finish()?;
/// proof.verify(&heads[1], &heads[2])?;
/// # Ok::<(), strongroom_audit::ProofError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConsistencyProof {
    /// The older size.
    pub old: u64,
    /// The newer size.
    pub new: u64,
    /// The digests: at most 65, none where nothing has to be shown, from size 0 or to the same size.
    pub path: Vec<Digest>,
}

impl ConsistencyProof {
    /// Checks that the log with the newer head begins with the lines of the older one, by RFC 9162
    /// section 2.1.4.2. It takes at most 128 hashes.
    ///
    /// Both heads come from where you trust them: see [`InclusionProof::verify`].
    ///
    /// # Errors
    /// `Forked` where it does not; others where the proof is out of shape or for other sizes.
    pub fn verify(&self, old: &TreeHead, new: &TreeHead) -> Result<(), ProofError> {
        for (proof, head) in [(self.old, old.size), (self.new, new.size)] {
            if proof != head {
                return Err(ProofError::OtherSize { proof, head });
            }
        }
        let roots = self.roots(old.root)?;
        let is_whole = match roots {
            // Every log begins with the empty one, which has one root.
            None if self.old < self.new => old.root.as_bytes() == &empty_root(),
            None => old.root == new.root,
            Some((old_root, new_root)) => old_root == old.root && new_root == new.root,
        };
        let Self { old, new, .. } = *self;
        if is_whole { Ok(()) } else { Err(ProofError::Forked { old, new }) }
    }

    /// The roots that the proof leads to; `None` where it has nothing to show.
    fn roots(&self, old_root: Digest) -> Result<Option<(Digest, Digest)>, ProofError> {
        let Self { old, new, .. } = *self;
        if old > new {
            return Err(ProofError::Shrinks { old, new });
        }
        if old == 0 || old == new {
            check_length(self.path.len(), 0)?;
            return Ok(None);
        }
        // The way begins at the last perfect subtree of the old tree. Where that is all of it, its
        // root is known; else it is the first digest of the proof.
        let level = old.trailing_zeros();
        let Shape { inner, border } = Shape::of(old - 1, new);
        let inner = inner.saturating_sub(level);
        let is_perfect = old.is_power_of_two();
        let needed = u64::from(inner) + u64::from(border) + u64::from(!is_perfect);
        check_length(self.path.len(), needed)?;
        let mut path = self.path.iter();
        let start = if is_perfect { Some(&old_root) } else { path.next() };
        let start = *start.unwrap_or(&old_root).as_bytes();
        let (mut old_side, mut new_side) = (start, start);
        let number = (old - 1) >> level;
        for (level, beside) in (0..).zip(path) {
            let beside = beside.as_bytes();
            if level < inner && is_left(number, level) {
                // What stands on the right came later.
                new_side = node_hash(&new_side, beside);
            } else {
                old_side = node_hash(beside, &old_side);
                new_side = node_hash(beside, &new_side);
            }
        }
        Ok(Some((Digest::from_bytes(old_side), Digest::from_bytes(new_side))))
    }
}

/// How the way from a leaf to the root runs. Below `inner`, something stands beside each node, on
/// either side. Above, the way follows the right edge of the tree, and the nodes without anything to
/// their right are passed over: `border` of them have something on the left.
struct Shape {
    inner: u32,
    border: u32,
}

impl Shape {
    /// INVARIANT: `index < size`.
    fn of(index: u64, size: u64) -> Self {
        // Where the ways of this leaf and of the last one meet.
        let inner = u64::BITS - (index ^ size.saturating_sub(1)).leading_zeros();
        Self { inner, border: index.checked_shr(inner).unwrap_or(0).count_ones() }
    }
}

/// Whether the node at this level above the one with this number is a left child.
fn is_left(number: u64, level: u32) -> bool {
    number.checked_shr(level).unwrap_or(0) & 1 == 0
}

fn check_length(found: usize, needed: u64) -> Result<(), ProofError> {
    let found = found as u64;
    if found == needed { Ok(()) } else { Err(ProofError::WrongLength { needed, found }) }
}

fn empty_root() -> [u8; 32] {
    Sha256::digest([]).into()
}
