//! The plain tokens by their bytes, to find those that a text begins with.

use std::ops::Range;

use super::Tokenizer;

/// A byte trie over the plain tokens of a vocabulary.
pub struct Trie {
    /// Plain tokens in the order of their bytes, equal ones by id.
    tokens: Vec<u32>,
    nodes: Vec<Node>,
    /// The byte that leads to each node from its parent.
    bytes: Vec<u8>,
}

/// A place in the trie: a string that some token begins with.
struct Node {
    /// The tokens that are this string, as a range of `Trie::tokens`.
    tokens: Range<u32>,
    /// The nodes one byte further, ascending by that byte.
    children: Range<u32>,
}

/// The empty string's node.
pub const ROOT: usize = 0;

impl Trie {
    pub fn new(tokenizer: &Tokenizer) -> Trie {
        let ids = 0..tokenizer.vocabulary_size() as u32;
        let mut tokens: Vec<u32> = ids.filter(|&id| tokenizer.is_plain(id)).collect();
        tokens.sort_by_key(|&id| (tokenizer.token_bytes(id), id));
        let mut trie = Trie { tokens, nodes: Vec::new(), bytes: vec![0] };
        // Breadth first, so that siblings lie side by side. (tokens below, length of their string)
        let mut below = vec![(0..trie.tokens.len(), 0)];
        let mut next = 0;
        while next < below.len() {
            let (range, depth) = below[next].clone();
            next += 1;
            let ids = &trie.tokens[range.clone()];
            let byte = |id: &u32| tokenizer.token_bytes(*id)[depth];
            let own = ids.partition_point(|&id| tokenizer.token_bytes(id).len() == depth);
            let first_child = below.len();
            let mut start = own;
            while start < ids.len() {
                let len = ids[start..].partition_point(|id| byte(id) == byte(&ids[start]));
                trie.bytes.push(byte(&ids[start]));
                below.push((range.start + start..range.start + start + len, depth + 1));
                start += len;
            }
            trie.nodes.push(Node {
                tokens: range.start as u32..(range.start + own) as u32,
                children: first_child as u32..below.len() as u32,
            });
        }
        trie
    }

    /// The node one `byte` beyond `node`.
    pub fn child(&self, node: usize, byte: u8) -> Option<usize> {
        let Range { start, end } = self.nodes[node].children;
        let children = &self.bytes[start as usize..end as usize];
        children.binary_search(&byte).ok().map(|at| start as usize + at)
    }

    /// The tokens that are the string of `node`.
    pub fn tokens_at(&self, node: usize) -> &[u32] {
        let Range { start, end } = self.nodes[node].tokens;
        &self.tokens[start as usize..end as usize]
    }

    /// Whether a token writes just this byte.
    pub fn has_byte(&self, byte: u8) -> bool {
        self.child(ROOT, byte).is_some_and(|node| !self.tokens_at(node).is_empty())
    }
}
