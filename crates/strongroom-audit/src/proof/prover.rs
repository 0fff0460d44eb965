//! Makes proofs from the lines of a log in one pass, in bounded memory.

use std::collections::BTreeMap;

use strongroom_core::Digest;

use crate::proof::{ConsistencyProof, InclusionProof, ProofError};
use crate::tree::{MerkleTree, node_hash};

/// Makes an inclusion proof from the lines of a log, which are fed in their order, from the first.
/// It keeps at most 128 digests, however long the log is.
///
/// See [`InclusionProof`] for an example.
#[derive(Debug, Clone)]
pub struct InclusionProver {
    size: u64,
    way: Way,
}

impl InclusionProver {
    /// A proof of the line at this index, from 0, in the log of this size.
    ///
    /// # Errors
    /// `NoSuchRecord` where the index is not below the size.
    pub fn new(index: u64, size: u64) -> Result<Self, ProofError> {
        if index >= size {
            return Err(ProofError::NoSuchRecord { index, size });
        }
        Ok(Self { size, way: Way::from_leaf(index) })
    }

    /// Takes the next line, without its line end. Lines beyond the size change nothing.
    pub fn line(&mut self, line: &[u8]) {
        if !self.has_all() {
            self.way.push(line);
        }
    }

    /// Begins behind the lines of this tree, which have to be before the record.
    pub(crate) fn begin_behind(&mut self, tree: MerkleTree) {
        self.way.begin_behind(tree);
    }

    /// Whether no more lines are needed.
    #[must_use]
    pub const fn has_all(&self) -> bool {
        self.way.tree.size() >= self.size
    }

    /// The proof.
    ///
    /// # Errors
    /// `TooFewLines` where the log is shorter than the size.
    pub fn finish(self) -> Result<InclusionProof, ProofError> {
        let Self { size, way } = self;
        check_lines(&way.tree, size)?;
        Ok(InclusionProof { index: way.number, size, path: way.path() })
    }
}

/// Makes a consistency proof from the lines of a log, which are fed in their order, from the first.
/// It keeps at most 128 digests, however long the log is.
///
/// See [`ConsistencyProof`] for an example.
#[derive(Debug, Clone)]
pub struct ConsistencyProver {
    old: u64,
    new: u64,
    way: Way,
}

impl ConsistencyProver {
    /// A proof that the log of the newer size begins with that of the older one.
    ///
    /// # Errors
    /// `Shrinks` where the older size is the larger one.
    pub fn new(old: u64, new: u64) -> Result<Self, ProofError> {
        if old > new {
            return Err(ProofError::Shrinks { old, new });
        }
        // The last perfect subtree of the old tree.
        let level = old.trailing_zeros();
        let number = old.checked_shr(level).unwrap_or(0).saturating_sub(1);
        Ok(Self { old, new, way: Way::from_node(level, number) })
    }

    /// Takes the next line, without its line end. Lines beyond the newer size change nothing.
    pub fn line(&mut self, line: &[u8]) {
        if !self.has_all() {
            self.way.push(line);
        }
    }

    /// Begins behind the lines of this tree, which may not be more than the older size.
    pub(crate) fn begin_behind(&mut self, tree: MerkleTree) {
        self.way.begin_behind(tree);
    }

    /// Whether no more lines are needed.
    #[must_use]
    pub const fn has_all(&self) -> bool {
        self.way.tree.size() >= self.new
    }

    /// The proof.
    ///
    /// # Errors
    /// `TooFewLines` where the log is shorter than the newer size.
    pub fn finish(self) -> Result<ConsistencyProof, ProofError> {
        let Self { old, new, way } = self;
        check_lines(&way.tree, new)?;
        let mut path = Vec::new();
        if old > 0 && old < new {
            // The root of a perfect tree is known to whoever knows the tree.
            path.extend(way.start.filter(|_| !old.is_power_of_two()));
            path.extend(way.path());
        }
        Ok(ConsistencyProof { old, new, path })
    }
}

fn check_lines(tree: &MerkleTree, needed: u64) -> Result<(), ProofError> {
    let found = tree.size();
    if found < needed { Err(ProofError::TooFewLines { needed, found }) } else { Ok(()) }
}

/// Collects what stands beside the way from a perfect subtree to the root, as a tree grows.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    level: u32,
    number: u64,
    pub(crate) tree: MerkleTree,
    /// The root of the subtree that the way begins at, once it is whole.
    start: Option<Digest>,
    /// Perfect subtrees beside the way, by their height.
    beside: BTreeMap<u32, Digest>,
}

impl Way {
    pub(crate) fn from_leaf(index: u64) -> Self {
        Self::from_node(0, index)
    }

    fn from_node(level: u32, number: u64) -> Self {
        Self { level, number, tree: MerkleTree::new(), start: None, beside: BTreeMap::new() }
    }

    /// Goes on with a tree in which the subtree that the way begins at ends no earlier than at its
    /// last leaf: what stands beside the way then is a perfect subtree of that tree, if it is in it.
    pub(crate) fn begin_behind(&mut self, tree: MerkleTree) {
        let mut end: u64 = 0;
        for (height, root) in tree.subtrees() {
            let number = end.checked_shr(height).unwrap_or(0);
            end = end.saturating_add(1 << height);
            let own = height.checked_sub(self.level).and_then(|up| self.number.checked_shr(up));
            let root = Digest::from_bytes(*root);
            if own == Some(number) && height == self.level {
                self.start = Some(root);
            } else if own == Some(number ^ 1) {
                self.beside.insert(height, root);
            }
        }
        self.tree = tree;
    }

    pub(crate) fn push(&mut self, line: &[u8]) {
        let Self { level, number, tree, start, beside } = self;
        tree.push_telling(line, |height, other, root| {
            let Some(own) = height.checked_sub(*level).and_then(|up| number.checked_shr(up)) else {
                return;
            };
            if other == own && height == *level {
                *start = Some(Digest::from_bytes(*root));
            } else if other == own ^ 1 {
                beside.insert(height, Digest::from_bytes(*root));
            }
        });
    }

    /// What stands beside the way in the tree so far, the lowest first. The subtree that the way
    /// begins at is in it.
    pub(crate) fn path(&self) -> Vec<Digest> {
        let first_leaf = self.number.checked_shl(self.level).unwrap_or(0);
        let (mut left, mut right, mut own) = (Vec::new(), Vec::new(), 0);
        let mut end: u64 = 0;
        for (height, root) in self.tree.subtrees() {
            let begin = end;
            end = begin.saturating_add(1 << height);
            if first_leaf >= end {
                left.push(*root);
            } else if first_leaf >= begin {
                own = height;
            } else {
                right.push(*root);
            }
        }
        // Within its own perfect subtree, then all that is right of that as one, then what is left.
        let within = self.beside.range(self.level..own.max(self.level)).map(|(_, root)| *root);
        let right = right.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
        let above = right.into_iter().chain(left.into_iter().rev()).map(Digest::from_bytes);
        within.chain(above).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: u64) -> [u8; 8] {
        at.to_be_bytes()
    }

    fn tree(size: u64) -> MerkleTree {
        let mut tree = MerkleTree::new();
        (0..size).for_each(|at| tree.push(&line(at)));
        tree
    }

    /// Of a log of which the first lines are not there any more.
    #[test]
    fn a_proof_behind_a_tree_is_the_proof_from_the_first_line() {
        for size in 1..=40 {
            for from in 0..size {
                for index in from..size {
                    let mut whole = InclusionProver::new(index, size).unwrap();
                    let mut rest = whole.clone();
                    (0..size).for_each(|at| whole.line(&line(at)));
                    rest.begin_behind(tree(from));
                    (from..size).for_each(|at| rest.line(&line(at)));
                    assert_eq!(rest.finish(), whole.finish(), "{index} of {size} from {from}");

                    let mut whole = ConsistencyProver::new(index, size).unwrap();
                    let mut rest = whole.clone();
                    (0..size).for_each(|at| whole.line(&line(at)));
                    rest.begin_behind(tree(from));
                    (from..size).for_each(|at| rest.line(&line(at)));
                    assert_eq!(rest.finish(), whole.finish(), "{index} to {size} from {from}");
                }
            }
        }
    }
}
