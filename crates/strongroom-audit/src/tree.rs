//! The Merkle tree of RFC 6962 over the lines of a log, kept as the roots of its perfect subtrees.

use sha2::{Digest as _, Sha256};
use strongroom_core::{Digest, TreeHead};

/// A tree that grows by one leaf at a time in bounded memory: at most 64 digests.
///
/// ```
/// use strongroom_audit::MerkleTree;
/// let mut tree = MerkleTree::new();
/// tree.push(b"");
/// // The hash of the empty leaf, from RFC 6962's reference vectors.
/// assert!(tree.root().to_string().starts_with("6e340b9cffb37a98"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MerkleTree {
    size: u64,
    /// INVARIANT: one digest for each set bit of `size`, the largest subtree first.
    frontier: Vec<[u8; 32]>,
}

impl MerkleTree {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        self.push_telling(leaf, |_, _, _| {});
    }

    /// The same, telling of each perfect subtree that this leaf makes whole: its height, its number
    /// among those of that height, and its root. The leaf itself is the first of them.
    pub(crate) fn push_telling(&mut self, leaf: &[u8], mut tell: impl FnMut(u32, u64, &[u8; 32])) {
        let mut digest = leaf_hash(leaf);
        let (mut height, mut number) = (0, self.size);
        tell(height, number, &digest);
        while number & 1 == 1 {
            if let Some(left) = self.frontier.pop() {
                digest = node_hash(&left, &digest);
            }
            (height, number) = (height + 1, number >> 1);
            tell(height, number, &digest);
        }
        self.frontier.push(digest);
        self.size += 1;
    }

    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root: of no leaf, SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut subtrees = self.frontier.iter().rev();
        let root = match subtrees.next() {
            None => Sha256::digest([]).into(),
            Some(last) => subtrees.fold(*last, |right, left| node_hash(left, &right)),
        };
        Digest::from_bytes(root)
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }

    /// The roots of its perfect subtrees, the largest first: one for each set bit of the size. Size
    /// and frontier are all that is needed to go on with the tree [elsewhere](Self::from_frontier).
    pub fn frontier(&self) -> impl Iterator<Item = Digest> + '_ {
        self.frontier.iter().copied().map(Digest::from_bytes)
    }

    /// The tree of so many leaves whose perfect subtrees have these roots, the largest first. `None`
    /// where there is not one for each set bit of the size, or the size is 2^63 or more.
    ///
    /// ```
    /// use strongroom_audit::MerkleTree;
    /// let mut tree = MerkleTree::new();
    /// (0..11_u8).for_each(|leaf| tree.push(&[leaf]));
    /// let frontier: Vec<_> = tree.frontier().collect();
    /// assert_eq!(MerkleTree::from_frontier(11, &frontier), Some(tree));
    /// assert_eq!(MerkleTree::from_frontier(12, &frontier), None);
    /// ```
    #[must_use]
    pub fn from_frontier(size: u64, frontier: &[Digest]) -> Option<Self> {
        // Below 2^63 no log overflows the size.
        let fits = size >> 63 == 0 && usize::try_from(size.count_ones()) == Ok(frontier.len());
        let frontier = || frontier.iter().map(|digest| *digest.as_bytes()).collect();
        fits.then(|| Self { size, frontier: frontier() })
    }

    /// Height and root of each perfect subtree that it is made of, the largest first.
    pub(crate) fn subtrees(&self) -> impl Iterator<Item = (u32, &[u8; 32])> {
        let heights = (0..u64::BITS).rev().filter(|height| self.size >> height & 1 == 1);
        heights.zip(&self.frontier)
    }

    /// Becomes a copy of another tree without giving up the memory in hand.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.size = other.size;
        self.frontier.clone_from(&other.frontier);
    }
}

pub(crate) fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

pub(crate) fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 section 2.1, as it is written there.
    fn naive(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => leaf_hash(leaf),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&naive(&leaves[..split]), &naive(&leaves[split..]))
            }
        }
    }

    #[test]
    fn every_size_has_the_root_of_the_recursion() {
        let leaves: Vec<Vec<u8>> = (0..300_u32).map(|n| n.to_be_bytes().repeat(3)).collect();
        let mut tree = MerkleTree::new();
        for size in 0..leaves.len() {
            assert_eq!(tree.root().as_bytes(), &naive(&leaves[..size]), "size {size}");
            assert_eq!(tree.size(), size as u64);
            tree.push(&leaves[size]);
        }
    }

    #[test]
    fn the_published_vectors_hold() {
        // The inputs and roots of the Certificate Transparency reference implementation.
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
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = MerkleTree::new();
        for (leaf, root) in leaves.into_iter().zip(roots) {
            tree.push(leaf);
            assert_eq!(tree.root().to_string(), root);
        }
    }
}
