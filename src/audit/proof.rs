//! Proofs over the tree of RFC 6962: made from the leaves in one pass, checked from a few hashes (RFC 9162 sections
//! 2.1.3 and 2.1.4).

use std::collections::BTreeMap;
use std::ops::Range;

use super::tree::{Tree, node};
use crate::base::Digest;

/// The way of one leaf up to the root, made from leaves that come one by one: some 64 hashes at most.
pub struct Inclusion {
    /// Its siblings from the leaf up: which leaves they are the roots over, and those of them that came.
    siblings: Vec<(Range<u64>, Tree)>,
    /// The next leaf's index.
    next: u64,
}

impl Inclusion {
    /// Of leaf `index` among the first `size` leaves.
    pub fn of(index: u64, size: u64) -> Inclusion {
        let (mut siblings, mut from, mut to) = (Vec::new(), 0, size);
        while to - from > 1 {
            let half = from + half(to - from);
            if index < half {
                siblings.push((half..to, Tree::default()));
                to = half;
            } else {
                siblings.push((from..half, Tree::default()));
                from = half;
            }
        }
        siblings.reverse();
        Inclusion { siblings, next: 0 }
    }

    /// Takes in the next leaf, by its hash.
    pub fn push(&mut self, leaf: Digest) {
        let next = self.next;
        if let Some((_, tree)) = self.siblings.iter_mut().find(|(range, _)| range.contains(&next)) {
            tree.push(leaf);
        }
        self.next += 1;
    }

    /// The siblings' hashes, from the leaf up; all leaves must have come.
    pub fn path(&self) -> Vec<Digest> {
        self.siblings.iter().map(|(_, tree)| tree.root()).collect()
    }
}

/// The ways from earlier heads of a log to its last one, made from leaves that come one by one: some 64 hashes at
/// most of each earlier head, however many leaves there are.
pub struct Consistency {
    size: u64,
    /// The roots over perfect subtrees (leaves `from` to `to`, not included) that a way needs; none before their last
    /// leaf has come.
    roots: BTreeMap<(u64, u64), Option<Digest>>,
    /// The perfect subtrees that came and are no part of a larger one yet: first leaf and root.
    edge: Vec<(u64, Digest)>,
    /// The next leaf's index.
    next: u64,
}

impl Consistency {
    /// From the heads of the first `olds` leaves (each at least one, at most `size`) to that of `size`.
    pub fn of(olds: impl IntoIterator<Item = u64>, size: u64) -> Consistency {
        let mut roots = BTreeMap::new();
        for (from, to) in olds.into_iter().flat_map(|old| way(old, size)) {
            perfect(from, to, &mut |from, to| {
                roots.insert((from, to), None);
            });
        }
        Consistency { size, roots, edge: Vec::new(), next: 0 }
    }

    /// Takes in the next leaf, by its hash.
    pub fn push(&mut self, leaf: Digest) {
        // As `Tree` grows.
        let merges = self.next.trailing_ones();
        let (mut from, mut hash) = (self.next, leaf);
        self.next += 1;
        self.complete(from, hash);
        for _ in 0..merges {
            let (first, left) = self.edge.pop().expect("one for each one-bit of the size");
            (from, hash) = (first, node(&left, &hash));
            self.complete(from, hash);
        }
        self.edge.push((from, hash));
    }

    fn complete(&mut self, from: u64, hash: Digest) {
        if let Some(root) = self.roots.get_mut(&(from, self.next)) {
            *root = Some(hash);
        }
    }

    /// What shows that the first `old` leaves are the beginning of them all; all leaves must have come, and `old` be
    /// one that was said.
    pub fn path(&self, old: u64) -> Vec<Digest> {
        way(old, self.size).into_iter().map(|(from, to)| self.root(from, to)).collect()
    }

    fn root(&self, from: u64, to: u64) -> Digest {
        let mut parts = Vec::new();
        perfect(from, to, &mut |from, to| parts.push(self.roots[&(from, to)]));
        let mut parts = parts.into_iter().rev().map(|root| root.expect("all leaves have come"));
        let last = parts.next().expect("at least one leaf");
        parts.fold(last, |right, left| node(&left, &right))
    }
}

/// The subtrees whose roots lead from the first `old` leaves to the first `new`, by their leaves, lowest first
/// (RFC 9162 section 2.1.4.1).
fn way(old: u64, new: u64) -> Vec<(u64, u64)> {
    let (mut path, mut from, mut to) = (Vec::new(), 0, new);
    let mut known = true; // whether the verifier has the root of what is left
    while old != to {
        let half = from + half(to - from);
        if old <= half {
            path.push((half, to));
            to = half;
        } else {
            path.push((from, half));
            from = half;
            known = false;
        }
    }
    if !known {
        path.push((from, to));
    }
    path.reverse();
    path
}

/// The perfect subtrees that leaves `from` to `to` are made of, from the left; `from` is a multiple of the largest
/// power of two below their number, as the tree's halves are.
fn perfect(mut from: u64, to: u64, each: &mut impl FnMut(u64, u64)) {
    while !(to - from).is_power_of_two() {
        let half = from + half(to - from);
        each(from, half);
        from = half;
    }
    each(from, to);
}

/// The largest power of two below `count`, which is at least 2.
fn half(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// Whether `path` leads from leaf `index` to `root` of `size` leaves (RFC 9162 section 2.1.3.2).
pub fn includes(leaf: Digest, index: u64, size: u64, path: &[Digest], root: &Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// A tree's size and root.
pub type Head = (u64, Digest);

/// Whether `path` shows that the tree `old` is the beginning of the tree `new` (RFC 9162 section 2.1.4.2).
pub fn is_consistent(old: Head, new: Head, path: &[Digest]) -> bool {
    if old.0 == new.0 {
        return path.is_empty() && old.1 == new.1;
    }
    if old.0 == 0 || old.0 > new.0 {
        return false;
    }
    let (mut at, mut last) = (old.0 - 1, new.0 - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let first = old.0.is_power_of_two().then_some(old.1);
    let mut path = first.into_iter().chain(path.iter().copied());
    let Some(start) = path.next() else { return false };
    let (mut old_root, mut new_root) = (start, start);
    for hash in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_root = node(&hash, &old_root);
            new_root = node(&hash, &new_root);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new_root = node(&new_root, &hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old_root == old.1 && new_root == new.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tree::{Tree, leaf};

    fn leaves(count: u64) -> (Vec<Digest>, Vec<Digest>) {
        let leaves: Vec<Digest> = (0..count).map(|n| leaf(&n.to_le_bytes())).collect();
        let mut tree = Tree::default();
        let mut roots = vec![tree.root()];
        for &leaf in &leaves {
            tree.push(leaf);
            roots.push(tree.root());
        }
        (leaves, roots)
    }

    #[test]
    fn every_inclusion_up_to_70_is_proven_and_no_other_place_is() {
        let (leaves, roots) = leaves(70);
        for size in 1..=70 {
            let root = &roots[size as usize];
            for index in 0..size {
                let mut inclusion = Inclusion::of(index, size);
                leaves.iter().for_each(|&leaf| inclusion.push(leaf));
                let path = inclusion.path();
                let leaf = leaves[index as usize];
                for place in 0..=size {
                    assert_eq!(includes(leaf, place, size, &path, root), place == index);
                }
                assert!(!includes(leaf, index, size, &path, &Digest([0; 32])));
                if let Some((_, shorter)) = path.split_last() {
                    assert!(!includes(leaf, index, size, shorter, root));
                }
            }
        }
    }

    #[test]
    fn every_pair_of_sizes_up_to_70_is_consistent_and_no_other_root_is() {
        let (leaves, roots) = leaves(70);
        for new in 1..=70u64 {
            let mut ways = Consistency::of(1..=new, new);
            leaves.iter().take(new as usize).for_each(|&leaf| ways.push(leaf));
            for old in 1..=new {
                let path = ways.path(old);
                let head = |size: u64| (size, roots[size as usize]);
                assert!(is_consistent(head(old), head(new), &path), "{old} {new}");
                let false_root = (old, Digest([0; 32]));
                assert!(!is_consistent(false_root, head(new), &path), "{old} {new}");
                assert!(!is_consistent(head(old), (new, Digest([0; 32])), &path), "{old} {new}");
                if old > 1 {
                    let other = (old - 1, roots[old as usize]);
                    assert!(!is_consistent(other, head(new), &path), "{old} {new}");
                }
            }
        }
    }
}
