//! The plain tokens by their bytes, to find those that a text begins with.

use super::Tokenizer;

/// A byte trie over the plain tokens of a vocabulary. A node is a string that some token begins with;
/// nodes are numbered by length, then in the order of their bytes, so that siblings lie side by side.
pub struct Trie {
    /// The plain tokens in the order of the nodes that they end at, equal ones by id.
    tokens: Vec<u32>,
    /// By node: where in `tokens` those that are this string begin; one more at the end.
    first_token: Vec<u32>,
    /// By node: the first node one byte further, ascending by that byte; one more at the end.
    first_child: Vec<u32>,
    /// The byte that leads to each node from its parent.
    bytes: Vec<u8>,
}

/// The empty string's node.
pub const ROOT: usize = 0;

impl Trie {
    pub fn new(tokenizer: &Tokenizer) -> Trie {
        let ids = 0..tokenizer.vocabulary_size() as u32;
        let plain = ids.filter(|&id| tokenizer.is_plain(id));
        let mut sorted: Vec<(u64, u32)> =
            plain.map(|id| (head(tokenizer.token_bytes(id)), id)).collect();
        // Few tokens are alike in their first eight bytes.
        sorted.sort_unstable_by(|(a_head, a), (b_head, b)| {
            let rest = || tokenizer.token_bytes(*a).cmp(tokenizer.token_bytes(*b)).then(a.cmp(b));
            a_head.cmp(b_head).then_with(rest)
        });
        let mut trie = Trie {
            tokens: Vec::with_capacity(sorted.len()),
            first_token: Vec::new(),
            first_child: Vec::new(),
            bytes: vec![0],
        };
        // Of each node of one length the tokens below: from, to.
        let mut level = vec![(0, sorted.len())];
        for depth in 0.. {
            let mut deeper = Vec::new();
            let byte = |&(head, id): &(u64, u32)| match depth {
                0..8 => (head >> (56 - 8 * depth)) as u8,
                _ => tokenizer.token_bytes(id)[depth],
            };
            for (from, to) in level {
                let below = &sorted[from..to];
                let own =
                    below.partition_point(|&(_, id)| tokenizer.token_bytes(id).len() == depth);
                trie.first_token.push(trie.tokens.len() as u32);
                trie.tokens.extend(below[..own].iter().map(|&(_, id)| id));
                trie.first_child.push(trie.bytes.len() as u32);
                let mut start = own;
                while start < below.len() {
                    let first = byte(&below[start]);
                    let len = below[start..].partition_point(|token| byte(token) == first);
                    trie.bytes.push(first);
                    deeper.push((from + start, from + start + len));
                    start += len;
                }
            }
            if deeper.is_empty() {
                break;
            }
            level = deeper;
        }
        trie.first_token.push(trie.tokens.len() as u32);
        trie.first_child.push(trie.bytes.len() as u32);
        trie
    }

    /// The node one `byte` beyond `node`.
    pub fn child(&self, node: usize, byte: u8) -> Option<usize> {
        let (start, end) = (self.first_child[node], self.first_child[node + 1]);
        let children = &self.bytes[start as usize..end as usize];
        children.binary_search(&byte).ok().map(|at| start as usize + at)
    }

    /// The tokens that are the string of `node`.
    pub fn tokens_at(&self, node: usize) -> &[u32] {
        let (start, end) = (self.first_token[node], self.first_token[node + 1]);
        &self.tokens[start as usize..end as usize]
    }

    /// Whether a token writes just this byte.
    pub fn has_byte(&self, byte: u8) -> bool {
        self.child(ROOT, byte).is_some_and(|node| !self.tokens_at(node).is_empty())
    }
}

/// The first eight bytes as a number that is ordered as they are; missing ones are zero.
fn head(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = bytes.len().min(8);
    head[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(head)
}
