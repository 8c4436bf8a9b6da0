//! The Merkle tree of RFC 6962 section 2.1 over the log's leaves, kept as a compact range: one hash
//! for each one-bit of the size. Proofs are `proof`'s.

use sha2::{Digest as _, Sha256};

use crate::base::Digest;

/// `SHA-256(0x00 || bytes)`.
pub fn leaf(bytes: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(bytes);
    Digest(hasher.finalize().into())
}

/// `SHA-256(0x01 || left || right)`.
pub(super) fn node(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.0);
    hasher.update(right.0);
    Digest(hasher.finalize().into())
}

/// The root over texts, each of which is a leaf.
pub fn root_of(texts: impl IntoIterator<Item = String>) -> Digest {
    let mut tree = Tree::default();
    texts.into_iter().for_each(|text| tree.push(leaf(text.as_bytes())));
    tree.root()
}

/// A tree that grows by leaves; at most 64 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Roots of the perfect subtrees, largest (leftmost) first.
    peaks: Vec<Digest>,
}

impl Tree {
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf, by its hash.
    pub fn push(&mut self, leaf: Digest) {
        // Subtrees merge as ones carry when the size is counted up in binary.
        let merges = self.size.trailing_ones();
        let mut hash = leaf;
        for _ in 0..merges {
            let left = self.peaks.pop().expect("one peak for each one-bit of the size");
            hash = node(&left, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root over all leaves; of none, the digest of nothing.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => Digest::of(b""),
            Some(&last) => peaks.fold(last, |right, left| node(left, &right)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word for word (RFC 6962 section 2.1).
    fn naive(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [one] => *one,
            more => {
                let half = more.len().next_power_of_two() / 2;
                node(&naive(&more[..half]), &naive(&more[half..]))
            }
        }
    }

    #[test]
    fn roots_equal_the_certificate_transparency_vectors() {
        // Inputs and roots of the reference implementation (certificate-transparency, merkletree
        // tests), sizes 1 to 8.
        let inputs: [&[u8]; 8] = [
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
        let mut tree = Tree::default();
        assert_eq!(tree.root(), Digest::of(b""));
        for (input, root) in inputs.into_iter().zip(roots) {
            tree.push(leaf(input));
            assert_eq!(tree.root().to_string(), root, "size {}", tree.size());
        }
    }

    #[test]
    fn the_compact_range_equals_the_definition_at_every_size() {
        let leaves: Vec<Digest> = (0..300u32).map(|n| leaf(&n.to_le_bytes())).collect();
        let mut tree = Tree::default();
        for (size, &leaf) in leaves.iter().enumerate() {
            assert_eq!(tree.root(), naive(&leaves[..size]));
            tree.push(leaf);
        }
    }
}
