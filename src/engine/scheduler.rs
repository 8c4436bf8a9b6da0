//! Which rows go into the next step: admission, shared prefixes, and the order of work.
//!
//! A sequence is admitted with every block that it can ever need, so nothing admitted is evicted or
//! fails for room. Tokens that several requests begin with are a prefix: computed once, its full
//! blocks shared, its last one copied. No answer depends on anything decided here.

use std::collections::BTreeMap;

use super::kv::{BlockId, Blocks, blocks_for};
use super::model::Run;
use crate::base::Digest;
use crate::base::limits::KV_BLOCK_TOKENS;

/// Blocks beyond a sequence's own that sharing may take: the partly full last block of the system's
/// prefix and of the document's.
pub(super) const SPARE_BLOCKS: usize = 2;

/// What the scheduler may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub blocks: usize,
    /// Sequences open at once.
    pub slots: usize,
    /// Rows of one step.
    pub rows: usize,
    pub share_prefixes: bool,
}

/// A request's tokens, waiting.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    /// Ascending in the order of arrival.
    pub ticket: u64,
    pub prompt: Vec<u32>,
    /// Lengths of the prompt's beginnings that other requests may share, ascending.
    pub prefixes: [usize; 2],
    pub answer_max: usize,
}

/// A waiting request with the digests of its beginnings.
struct Queued {
    waiting: Waiting,
    keys: [Digest; 2],
}

impl Queued {
    fn tokens_max(&self) -> usize {
        self.waiting.prompt.len() + self.waiting.answer_max
    }

    /// The beginnings that can be shared: at least one row must be the request's own.
    fn shareable(&self) -> impl Iterator<Item = (usize, Digest)> {
        let (lens, own) = (self.waiting.prefixes, self.waiting.prompt.len());
        let first = (lens[0] > 0 && lens[0] < own).then_some((lens[0], self.keys[0]));
        let second = (lens[1] > lens[0] && lens[1] < own).then_some((lens[1], self.keys[1]));
        first.into_iter().chain(second)
    }
}

/// Tokens with their place in the cache: a prefix or a sequence.
struct Strand {
    tokens: Vec<u32>,
    /// Of these tokens the keys and values are in the cache.
    filled: usize,
    blocks: Vec<BlockId>,
    /// The prefix whose last block is to be copied before this strand can start.
    parent: Option<u64>,
    /// Strands that have this one as their parent.
    children: usize,
    kind: Kind,
}

enum Kind {
    /// `used` is the number of the admission that last took it.
    Prefix {
        key: Digest,
        used: u64,
    },
    Sequence {
        ticket: u64,
        prompt: usize,
    },
}

/// The rows of one strand in one step.
#[derive(Clone, Debug)]
struct Part {
    strand: u64,
    rows: usize,
    sample: bool,
}

/// One step, decided.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Blocks to copy before the step's rows are computed.
    pub copies: Vec<(BlockId, BlockId)>,
    parts: Vec<Part>,
    /// Tickets whose last row's logits are wanted, in the order of the rows.
    pub samples: Vec<u64>,
    pub rows: usize,
    /// Of them, rows of prompts.
    pub prompt_rows: usize,
}

/// A request that has been admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub ticket: u64,
    /// Tokens of its prompt that were there or under way already.
    pub shared: usize,
}

pub(super) struct Scheduler {
    bounds: Bounds,
    blocks: Blocks,
    queue: Vec<Queued>,
    /// The document prefix of the request admitted last: its companions come next.
    open: Option<Digest>,
    /// By number of admission.
    strands: BTreeMap<u64, Strand>,
    prefixes: BTreeMap<Digest, u64>,
    sequences: BTreeMap<u64, u64>,
    next: u64,
}

impl Scheduler {
    pub(super) fn new(bounds: Bounds) -> Scheduler {
        Scheduler {
            bounds,
            blocks: Blocks::new(bounds.blocks),
            queue: Vec::new(),
            open: None,
            strands: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            sequences: BTreeMap::new(),
            next: 0,
        }
    }

    /// Queues a request. Its longest form fits `bounds.blocks`, less `SPARE_BLOCKS`: the caller checks.
    pub(super) fn enqueue(&mut self, waiting: Waiting) {
        let key = |len: usize| digest_of_tokens(&waiting.prompt[..len]);
        let keys = waiting.prefixes.map(key);
        self.queue.push(Queued { waiting, keys });
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn running(&self) -> usize {
        self.sequences.len()
    }

    /// Drops what has not been admitted and returns the tickets.
    pub(super) fn cancel_waiting(&mut self) -> Vec<u64> {
        self.queue.drain(..).map(|queued| queued.waiting.ticket).collect()
    }

    /// Admits waiting requests while there is room: companions of the last one first, then the prefix
    /// group with the most tokens; within a group the longest first.
    pub(super) fn admit(&mut self) -> Vec<Admitted> {
        let mut admitted = Vec::new();
        while self.sequences.len() < self.bounds.slots {
            let Some(index) = self.choose() else { break };
            let Some(one) = self.admit_one(index) else { break };
            admitted.push(one);
        }
        admitted
    }

    /// Decides the next step: one row for every sequence that has begun to answer (more where tokens
    /// were forced), then prompts in the order of admission.
    pub(super) fn plan(&mut self) -> Step {
        let mut step = Step::default();
        self.fork(&mut step);
        for answering in [true, false] {
            for (&id, strand) in &self.strands {
                let pending = strand.tokens.len() - strand.filled;
                let rows = pending.min(self.bounds.rows - step.rows);
                if strand.parent.is_some() || strand.answering() != answering || rows == 0 {
                    continue;
                }
                let mut sample = false;
                if let Kind::Sequence { ticket, .. } = strand.kind
                    && rows == pending
                {
                    sample = true;
                    step.samples.push(ticket);
                }
                step.parts.push(Part { strand: id, rows, sample });
                step.rows += rows;
                step.prompt_rows += rows.min(strand.prompt().saturating_sub(strand.filled));
            }
        }
        #[cfg(test)]
        self.check(&step);
        step
    }

    /// The rows of a step, for the forward.
    pub(super) fn runs(&self, step: &Step) -> Vec<Run<'_>> {
        let run = |part: &Part| {
            let strand = &self.strands[&part.strand];
            let end = strand.filled + part.rows;
            Run {
                tokens: &strand.tokens[strand.filled..end],
                position: strand.filled,
                blocks: &strand.blocks[..blocks_for(end)],
                logits: usize::from(part.sample),
            }
        };
        step.parts.iter().map(run).collect()
    }

    /// Records that the rows of `step` are in the cache.
    pub(super) fn settle(&mut self, step: &Step) {
        for part in &step.parts {
            self.strands.get_mut(&part.strand).expect("planned strands stay").filled += part.rows;
        }
    }

    /// Tokens that a sequence goes on with: sampled or forced.
    pub(super) fn append(&mut self, ticket: u64, tokens: &[u32]) {
        let strand = self.strands.get_mut(&self.sequences[&ticket]).expect("it is running");
        strand.tokens.extend_from_slice(tokens);
        debug_assert!(blocks_for(strand.tokens.len()) <= strand.blocks.len());
    }

    /// Ends a sequence and frees what only it held.
    pub(super) fn finish(&mut self, ticket: u64) {
        let id = self.sequences.remove(&ticket).expect("a sequence finishes once");
        self.drop_strand(id);
    }

    fn drop_strand(&mut self, id: u64) {
        let strand = self.strands.remove(&id).expect("a strand is dropped once");
        strand.blocks.iter().for_each(|&block| self.blocks.release(block));
        if let Some(id) = strand.parent {
            let parent = self.strands.get_mut(&id).expect("parents stay");
            parent.children -= 1;
            if parent.children == 0 && !parent.is_filled() {
                self.drop_strand(id);
            }
        }
        if let Kind::Prefix { key, .. } = strand.kind {
            self.prefixes.remove(&key);
        }
    }

    /// The queued request that is next.
    fn choose(&self) -> Option<usize> {
        let group = |queued: &Queued| queued.keys[1];
        let open = self.open.filter(|open| self.queue.iter().any(|q| group(q) == *open));
        let chosen = open.or_else(|| {
            let mut groups: BTreeMap<Digest, (usize, u64)> = BTreeMap::new();
            for queued in &self.queue {
                let entry = groups.entry(group(queued)).or_insert((0, queued.waiting.ticket));
                *entry = (entry.0 + queued.tokens_max(), entry.1.min(queued.waiting.ticket));
            }
            let most = |&(_, (sum, first)): &(_, (usize, u64))| (sum, std::cmp::Reverse(first));
            groups.into_iter().max_by_key(most).map(|(key, _)| key)
        })?;
        let members = self.queue.iter().enumerate().filter(|(_, q)| group(q) == chosen);
        let longest =
            members.max_by_key(|(_, q)| (q.tokens_max(), std::cmp::Reverse(q.waiting.ticket)));
        longest.map(|(index, _)| index)
    }

    /// Admits one request with all its blocks, or leaves everything as it is.
    fn admit_one(&mut self, index: usize) -> Option<Admitted> {
        let path = self.path(index);
        let total = blocks_for(self.queue[index].tokens_max());
        let mut need = 0;
        let mut full = 0;
        for &(len, key) in &path {
            if !self.prefixes.contains_key(&key) {
                need += blocks_for(len) - full;
            }
            full = len / KV_BLOCK_TOKENS;
        }
        need += total - full;
        if !self.make_room(need, &path) {
            return None;
        }

        let Queued { waiting, keys } = self.queue.remove(index);
        self.open = Some(keys[1]);
        let mut shared = 0;
        let mut parent = None;
        for (len, key) in path {
            parent = Some(match self.prefixes.get(&key) {
                Some(&id) => {
                    shared = len;
                    id
                }
                None => {
                    let kind = Kind::Prefix { key, used: 0 };
                    let tokens = waiting.prompt[..len].to_vec();
                    let id = self.add(tokens, blocks_for(len), parent, kind);
                    self.prefixes.insert(key, id);
                    id
                }
            });
        }
        let (ticket, prompt) = (waiting.ticket, waiting.prompt.len());
        let id = self.add(waiting.prompt, total, parent, Kind::Sequence { ticket, prompt });
        self.sequences.insert(ticket, id);
        Some(Admitted { ticket, shared })
    }

    /// The prefixes that a request will use: the longest that exists, and those beyond it that
    /// another request waits for too.
    fn path(&self, index: usize) -> Vec<(usize, Digest)> {
        if !self.bounds.share_prefixes {
            return Vec::new();
        }
        let wanted = |key: Digest| {
            let others = self.queue.iter().enumerate().filter(|&(i, _)| i != index);
            others.into_iter().any(|(_, queued)| queued.keys.contains(&key))
        };
        let of_use = |&(_, key): &(usize, Digest)| self.prefixes.contains_key(&key) || wanted(key);
        let mut path: Vec<_> = self.queue[index].shareable().filter(of_use).collect();
        let longest = path.iter().rposition(|(_, key)| self.prefixes.contains_key(key));
        path.drain(..longest.unwrap_or(0));
        path
    }

    /// Frees blocks until `need` are free, by dropping prefixes that nobody needs now and that are not
    /// on `path`: first those that no request waits for, oldest use first; the others only where
    /// nothing runs whose end could be waited for.
    fn make_room(&mut self, need: usize, path: &[(usize, Digest)]) -> bool {
        let on_path = |key: &Digest| path.iter().any(|(_, other)| other == key);
        while self.blocks.free() < need {
            let idle = self.strands.iter().filter_map(|(&id, strand)| match strand.kind {
                Kind::Prefix { key, used } if strand.children == 0 && !on_path(&key) => {
                    let waited_for = self.queue.iter().any(|queued| queued.keys.contains(&key));
                    Some((waited_for, used, id))
                }
                _ => None,
            });
            match idle.min() {
                Some((waited_for, _, id)) if !waited_for || self.sequences.is_empty() => {
                    self.drop_strand(id);
                }
                _ => return false,
            }
        }
        true
    }

    /// A strand of `total` blocks, those that its parent fills shared, the others fresh.
    fn add(&mut self, tokens: Vec<u32>, total: usize, parent: Option<u64>, kind: Kind) -> u64 {
        let id = self.next;
        self.next += 1;
        let mut blocks = Vec::with_capacity(total);
        if let Some(parent) = parent {
            let parent = self.strands.get_mut(&parent).expect("parents are admitted first");
            parent.children += 1;
            if let Kind::Prefix { used, .. } = &mut parent.kind {
                *used = id;
            }
            blocks.extend(&parent.blocks[..parent.tokens.len() / KV_BLOCK_TOKENS]);
            blocks.iter().for_each(|&block| self.blocks.share(block));
        }
        while blocks.len() < total {
            blocks.push(self.blocks.take());
        }
        self.strands.insert(id, Strand { tokens, filled: 0, blocks, parent, children: 0, kind });
        id
    }

    /// Lets strands start whose prefix is complete.
    fn fork(&mut self, step: &mut Step) {
        let ready: Vec<(u64, u64)> = self
            .strands
            .iter()
            .filter_map(|(&id, strand)| Some((id, strand.parent?)))
            .filter(|(_, parent)| self.strands[parent].is_filled())
            .collect();
        for (id, parent) in ready {
            let prefix = self.strands.get_mut(&parent).expect("just seen");
            prefix.children -= 1;
            let (len, last) = (prefix.tokens.len(), prefix.tokens.len() / KV_BLOCK_TOKENS);
            let from = prefix.blocks.get(last).copied();
            let strand = self.strands.get_mut(&id).expect("just seen");
            strand.parent = None;
            strand.filled = len;
            if let Some(from) = from {
                step.copies.push((from, strand.blocks[last]));
            }
        }
    }

    /// What must hold at every step.
    #[cfg(test)]
    fn check(&self, step: &Step) {
        let mut holders = vec![0; self.bounds.blocks];
        for strand in self.strands.values() {
            strand.blocks.iter().for_each(|&block| holders[block as usize] += 1);
        }
        for (block, &count) in (0..).zip(&holders) {
            assert_eq!(self.blocks.holders(block), count, "block {block}");
        }
        let used = holders.iter().filter(|&&count| count > 0).count();
        assert_eq!(self.blocks.free() + used, self.blocks.total(), "no block is lost");
        assert!(step.rows <= self.bounds.rows && self.sequences.len() <= self.bounds.slots);
        for (part, run) in step.parts.iter().zip(self.runs(step)) {
            let written = &run.blocks[run.position / KV_BLOCK_TOKENS..];
            let others = self.strands.iter().filter(|&(id, _)| *id != part.strand);
            // Those that wait for this prefix hold its blocks already, and read them later.
            let mut started = others.filter(|(_, strand)| strand.parent.is_none());
            let shared = started.any(|(_, s)| s.blocks.iter().any(|b| written.contains(b)));
            assert!(!shared, "copy on write");
        }
        let started = self.strands.values().filter(|strand| strand.parent.is_none());
        let holders = |block| started.clone().filter(|s| s.blocks.contains(&block)).count();
        let alone = step.copies.iter().all(|&(_, to)| holders(to) == 1);
        assert!(alone, "a copy goes to a block of one's own");
        assert!(step.rows > 0 || self.sequences.is_empty(), "what is admitted goes on");
        let children: usize = self.strands.values().map(|strand| strand.children).sum();
        let parents = self.strands.values().filter(|strand| strand.parent.is_some()).count();
        assert_eq!(children, parents);
    }
}

impl Strand {
    fn is_filled(&self) -> bool {
        self.filled == self.tokens.len()
    }

    /// Tokens that were given, not answered.
    fn prompt(&self) -> usize {
        match self.kind {
            Kind::Prefix { .. } => self.tokens.len(),
            Kind::Sequence { prompt, .. } => prompt,
        }
    }

    fn answering(&self) -> bool {
        matches!(self.kind, Kind::Sequence { prompt, .. } if self.filled >= prompt)
    }
}

/// Of token ids, each as four little-endian bytes.
pub(super) fn digest_of_tokens(tokens: &[u32]) -> Digest {
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTEXT: usize = 200;

    /// A request: system text, document, tokens of its own, answer, and how much of it comes.
    type Shape = (u32, u32, usize, usize, usize);

    fn waiting(ticket: u64, (system, document, own, answer_max, _): Shape) -> Waiting {
        // The number of a text sets its length and its tokens.
        let text = |kind: u32, number: u32| vec![kind + number; number as usize * 13 % 83];
        let (system, document) = (text(1000, system), text(2000, document));
        let prefixes = [system.len(), system.len() + document.len()];
        let prompt = [system, document, vec![ticket as u32; own]].concat();
        Waiting { ticket, prompt, prefixes, answer_max }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// `plan` checks after every step that no block is lost, freed twice or written by two.
        #[test]
        fn every_request_is_answered_within_the_blocks_and_none_leaks(
            shapes in prop::collection::vec((0u32..3, 0u32..6, 1usize..25, 1usize..9, 0usize..9), 1..40),
            spare in 0usize..40,
            slots in 1usize..9,
            rows in 1usize..70,
            at_once in 1usize..20,
            share_prefixes: bool,
        ) {
            let blocks = blocks_for(CONTEXT) + SPARE_BLOCKS + spare;
            let mut scheduler = Scheduler::new(Bounds { blocks, slots, rows, share_prefixes });
            let mut left: BTreeMap<u64, usize> = BTreeMap::new();
            let mut arrived = 0;
            let mut computed: usize = 0;
            let mut shared = 0;
            loop {
                for _ in 0..at_once.min(shapes.len() - arrived) {
                    let waiting = waiting(arrived as u64, shapes[arrived]);
                    arrived += 1;
                    prop_assume!(waiting.prompt.len() + waiting.answer_max <= CONTEXT);
                    scheduler.enqueue(waiting);
                }
                let admitted = scheduler.admit();
                let moves = !admitted.is_empty();
                for admitted in admitted {
                    let (_, _, _, answer_max, answered) = shapes[admitted.ticket as usize];
                    left.insert(admitted.ticket, answered.min(answer_max));
                    shared += admitted.shared;
                    // Some answers are over before they begin.
                    if answered == 0 {
                        scheduler.finish(admitted.ticket);
                    }
                }
                let step = scheduler.plan();
                computed += step.prompt_rows;
                scheduler.settle(&step);
                for ticket in step.samples {
                    let left = left.get_mut(&ticket).unwrap();
                    *left -= 1;
                    match *left {
                        0 => scheduler.finish(ticket),
                        _ => scheduler.append(ticket, &[7]),
                    }
                }
                if step.rows == 0 && scheduler.waiting() == 0 && arrived == shapes.len() {
                    break;
                }
                prop_assert!(moves || step.rows > 0 || scheduler.waiting() == 0, "stuck");
            }
            prop_assert_eq!(left.len(), shapes.len());
            prop_assert_eq!(scheduler.running(), 0);
            let prompts: usize =
                (0..).zip(&shapes).map(|(ticket, &shape)| waiting(ticket, shape).prompt.len()).sum();
            if !share_prefixes {
                prop_assert_eq!(shared, 0);
            }
            prop_assert!(computed + shared <= prompts);
            // What is left are prefixes that a later request may use.
            let prefixes: Vec<u64> = scheduler.prefixes.values().copied().collect();
            prefixes.into_iter().for_each(|id| scheduler.drop_strand(id));
            prop_assert_eq!(scheduler.blocks.free(), blocks);
        }
    }

    #[test]
    fn a_group_is_admitted_together_and_the_longest_first() {
        let bounds = Bounds { blocks: 1000, slots: 9, rows: 512, share_prefixes: true };
        let mut scheduler = Scheduler::new(bounds);
        for (ticket, document, own) in [(0, 1, 5), (1, 5, 20), (2, 5, 30), (3, 1, 9), (4, 2, 90)] {
            scheduler.enqueue(waiting(ticket, (1, document, own, 4, 1)));
        }
        let order: Vec<u64> = scheduler.admit().iter().map(|admitted| admitted.ticket).collect();
        // Document 5 has the most tokens, then 4 alone; 3 is longer than 0.
        assert_eq!(order, [2, 1, 4, 3, 0]);
    }
}
