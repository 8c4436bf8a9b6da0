//! An ordered map that holds a bounded number of entries in memory and the rest in temporary files: sorted
//! runs that are merged as they grow (a log-structured merge tree; O'Neil et al., 1996). Knows nothing of
//! the log.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::iter::Peekable;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What can be a key: what it prints is what it is read from.
pub trait Key: Ord + Hash + Clone + Display + FromStr {}

impl<K: Ord + Hash + Clone + Display + FromStr> Key for K {}

/// A run is searched in pieces of so many bytes; the first key of each is held in memory.
const BLOCK_BYTES: u64 = 4 << 10;

/// Length of a value that stands for none: the key was removed.
const REMOVED: u32 = u32::MAX;

/// The map. Without `bounded` everything stays in memory.
#[derive(Clone, Debug)]
pub struct DiskMap<K, V> {
    /// What has changed since the last run was written; none for what was removed.
    fresh: BTreeMap<K, Option<V>>,
    /// Oldest first, each at least twice as large as the next.
    runs: Vec<Arc<Run<K>>>,
    /// `fresh` is written out when it has so many.
    fresh_max: usize,
}

impl<K, V> Default for DiskMap<K, V> {
    fn default() -> Self {
        DiskMap { fresh: BTreeMap::new(), runs: Vec::new(), fresh_max: usize::MAX }
    }
}

impl<K: Key, V: Clone + Serialize + DeserializeOwned> DiskMap<K, V> {
    /// An empty map that holds `fresh_max` entries in memory, and of the others about one key in 4 KiB and
    /// ten bits of each.
    pub fn bounded(fresh_max: usize) -> DiskMap<K, V> {
        DiskMap { fresh_max, ..DiskMap::default() }
    }

    pub fn get<Q: Ord + Hash + ?Sized>(&self, key: &Q) -> Option<Cow<'_, V>>
    where
        K: Borrow<Q>,
    {
        match self.fresh.get(key) {
            Some(found) => found.as_ref().map(Cow::Borrowed),
            None => self.stored(key).map(Cow::Owned),
        }
    }

    pub fn contains<Q: Ord + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The value of `key`, to be changed; `make` makes it where there is none.
    pub fn get_or_insert(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.make_room();
        let stored = match self.fresh.contains_key(key) {
            true => None,
            false => self.stored(key),
        };
        let slot = self.fresh.entry(key.clone()).or_insert(stored);
        slot.get_or_insert_with(make)
    }

    /// The value of `key`, to be changed, if there is one.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.make_room();
        if !self.fresh.contains_key(key) {
            let stored = self.stored(key)?;
            self.fresh.insert(key.clone(), Some(stored));
        }
        self.fresh.get_mut(key)?.as_mut()
    }

    pub fn insert(&mut self, key: K, value: V) {
        self.make_room();
        self.fresh.insert(key, Some(value));
    }

    pub fn remove(&mut self, key: &K) {
        if self.runs.is_empty() {
            self.fresh.remove(key);
        } else {
            self.make_room();
            self.fresh.insert(key.clone(), None);
        }
    }

    pub fn clear(&mut self) {
        *self = DiskMap::bounded(self.fresh_max);
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, Cow<'_, V>)> {
        let fresh = self.fresh.iter().map(|(key, value)| {
            let value = value.as_ref().map(Cow::Borrowed);
            (key.clone(), value)
        });
        let mut fresh = fresh.peekable();
        let mut older = merged(&self.runs).peekable();
        let next = move || match (fresh.peek(), older.peek()) {
            (Some((new, _)), Some((old, _))) if old < new => older.next().map(decoded),
            (Some((new, _)), Some((old, _))) if old == new => {
                older.next();
                fresh.next()
            }
            (Some(_), _) => fresh.next(),
            (None, _) => older.next().map(decoded),
        };
        std::iter::from_fn(next).filter_map(|(key, value)| Some((key, value?)))
    }

    fn stored<Q: Ord + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let found = self.runs.iter().rev().find_map(|run| run.find(key))?;
        found.map(|json| parsed(&json))
    }

    /// Writes `fresh` out when it is full. Where no file can be written it stays, and grows.
    fn make_room(&mut self) {
        if self.fresh.len() < self.fresh_max {
            return;
        }
        let entries = self.fresh.iter().map(|(key, value)| {
            let json = value.as_ref().map(|value| serde_json::to_vec(value));
            (key.clone(), json.map(|json| json.expect("what the log says has only string keys")))
        });
        match Run::write(entries).and_then(|run| self.push(run)) {
            Ok(()) => self.fresh.clear(),
            Err(_) => self.fresh_max = usize::MAX,
        }
    }

    fn push(&mut self, run: Run<K>) -> io::Result<()> {
        let mut runs = self.runs.clone();
        runs.push(Arc::new(run));
        while let [.., before, last] = &runs[..] {
            if before.bytes > last.bytes * 2 {
                break;
            }
            let at = runs.len() - 2;
            // What was removed is removed from the oldest one too, and then nothing need say so.
            let entries = merged(&runs[at..]).filter(|(_, json)| at > 0 || json.is_some());
            let both = Run::write(entries)?;
            runs.truncate(at);
            runs.push(Arc::new(both));
        }
        self.runs = runs;
        Ok(())
    }
}

fn decoded<'a, K, V: Clone + DeserializeOwned>(
    (key, json): (K, Option<Vec<u8>>),
) -> (K, Option<Cow<'a, V>>) {
    (key, json.map(|json| Cow::Owned(parsed(&json))))
}

fn parsed<V: DeserializeOwned>(json: &[u8]) -> V {
    serde_json::from_slice(json).expect("a temporary file of this process holds what it wrote")
}

/// Entries of a file, sorted by key.
#[derive(Debug)]
struct Run<K> {
    file: File,
    bytes: u64,
    /// The first key of each block, and where it begins.
    blocks: Vec<(K, u64)>,
    keys: Bloom,
}

/// Which keys may be in a run (Bloom, 1970): of those that are not, one in a hundred seems to be.
#[derive(Debug)]
struct Bloom(Vec<u64>);

impl Bloom {
    const BITS_PER_KEY: usize = 10;
    /// ln 2 × bits per key.
    const PROBES: u64 = 7;

    fn of(hashes: &[u64]) -> Bloom {
        let mut bloom = Bloom(vec![0; (hashes.len() * Bloom::BITS_PER_KEY).div_ceil(64).max(1)]);
        for &hash in hashes {
            for bit in bloom.bits(hash) {
                bloom.0[bit / 64] |= 1 << (bit % 64);
            }
        }
        bloom
    }

    fn may_have(&self, hash: u64) -> bool {
        self.bits(hash).all(|bit| (self.0[bit / 64] >> (bit % 64)) & 1 == 1)
    }

    /// Seven places from two halves of one hash (Kirsch and Mitzenmacher, 2006).
    fn bits(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let (first, step, all) = (hash >> 32, (hash & 0xffff_ffff) | 1, self.0.len() as u64 * 64);
        (0..Bloom::PROBES).map(move |probe| ((first + probe * step) % all) as usize)
    }
}

fn hash_of<Q: Hash + ?Sized>(key: &Q) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A key and its value as JSON; none for what was removed.
type Stored<K> = (K, Option<Vec<u8>>);

impl<K: Key> Run<K> {
    fn write(entries: impl Iterator<Item = Stored<K>>) -> io::Result<Run<K>> {
        let file = nameless_file()?;
        let mut writer = BufWriter::with_capacity(1 << 18, &file);
        let (mut bytes, mut blocks): (u64, Vec<(K, u64)>) = (0, Vec::new());
        let mut hashes = Vec::new();
        for (key, json) in entries {
            if blocks.last().is_none_or(|(_, begin)| bytes - begin >= BLOCK_BYTES) {
                blocks.push((key.clone(), bytes));
            }
            hashes.push(hash_of(&key));
            let text = key.to_string();
            let length = json.as_ref().map_or(REMOVED, |json| json.len() as u32);
            let json = json.unwrap_or_default();
            writer.write_all(&(text.len() as u32).to_le_bytes())?;
            writer.write_all(&length.to_le_bytes())?;
            writer.write_all(text.as_bytes())?;
            writer.write_all(&json)?;
            bytes += 8 + text.len() as u64 + json.len() as u64;
        }
        writer.flush()?;
        drop(writer);
        Ok(Run { file, bytes, blocks, keys: Bloom::of(&hashes) })
    }

    /// What this run says of `key`; none if nothing.
    fn find<Q: Ord + Hash + ?Sized>(&self, key: &Q) -> Option<Option<Vec<u8>>>
    where
        K: Borrow<Q>,
    {
        if !self.keys.may_have(hash_of(key)) {
            return None;
        }
        let after = self.blocks.partition_point(|(first, _)| first.borrow() <= key);
        let begin = self.blocks.get(after.checked_sub(1)?)?.1;
        let end = self.blocks.get(after).map_or(self.bytes, |(_, begin)| *begin);
        let mut block = vec![0; (end - begin) as usize];
        self.file.read_exact_at(&mut block, begin).expect(READS_BACK);
        let mut rest = &block[..];
        std::iter::from_fn(|| next::<K>(&mut rest))
            .find(|(found, _)| found.borrow() == key)
            .map(|(_, json)| json)
    }

    fn entries(self: &Arc<Self>) -> impl Iterator<Item = Stored<K>> + use<K> {
        let reader = RunReader { run: self.clone(), at: 0 };
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        std::iter::from_fn(move || next(&mut reader))
    }
}

const READS_BACK: &str = "a temporary file of this process can be read";

fn next<K: Key>(reader: &mut impl Read) -> Option<Stored<K>> {
    let mut head = [0; 8];
    match reader.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
        read => read.expect(READS_BACK),
    }
    let length = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| head[at + byte]));
    let mut key = vec![0; length(0) as usize];
    reader.read_exact(&mut key).expect(READS_BACK);
    let key = String::from_utf8(key).ok().and_then(|text| text.parse().ok());
    let key = key.expect("a temporary file of this process holds what it wrote");
    if length(4) == REMOVED {
        return Some((key, None));
    }
    let mut json = vec![0; length(4) as usize];
    reader.read_exact(&mut json).expect(READS_BACK);
    Some((key, Some(json)))
}

/// Reads a run from its beginning, whoever else reads it.
struct RunReader<K> {
    run: Arc<Run<K>>,
    at: u64,
}

impl<K> Read for RunReader<K> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.run.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// What several runs say, the later one where two speak of a key.
fn merged<K: Key>(runs: &[Arc<Run<K>>]) -> impl Iterator<Item = Stored<K>> + use<K> {
    let mut sources: Vec<Peekable<_>> = runs.iter().map(|run| run.entries().peekable()).collect();
    std::iter::from_fn(move || {
        let keys = sources.iter_mut().filter_map(|source| source.peek());
        let least = keys.map(|(key, _)| key).min()?.clone();
        let mut found = None;
        for source in &mut sources {
            found = source.next_if(|(key, _)| *key == least).or(found);
        }
        found
    })
}

/// A file of this user's alone, of which no name is left when this returns.
fn nameless_file() -> io::Result<File> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("nightclerk-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

        /// `BTreeMap` is the specification.
        #[test]
        fn whatever_is_done_to_it_it_answers_like_a_map_in_memory(
            most in 1..20usize,
            steps in prop::collection::vec((0..4u8, 0..60u64), 0..400),
        ) {
            let (mut ours, mut theirs) = (DiskMap::bounded(most), BTreeMap::new());
            for (number, (what, key)) in steps.into_iter().enumerate() {
                let key = format!("key {key} ü\"");
                match what {
                    0 => {
                        ours.insert(key.clone(), number);
                        theirs.insert(key.clone(), number);
                    }
                    1 => {
                        ours.remove(&key);
                        theirs.remove(&key);
                    }
                    2 => {
                        *ours.get_or_insert(&key, || 7) += 1;
                        *theirs.entry(key.clone()).or_insert(7) += 1;
                    }
                    _ => {
                        let (ours, theirs) = (ours.get_mut(&key), theirs.get_mut(&key));
                        prop_assert_eq!(ours.as_deref(), theirs.as_deref());
                        ours.into_iter().chain(theirs).for_each(|value| *value += 1);
                    }
                }
                let found = ours.get(key.as_str());
                prop_assert_eq!(found.as_deref(), theirs.get(&key));
                prop_assert!(ours.fresh.len() <= most);
            }
            let all: Vec<_> = ours.iter().map(|(key, value)| (key, value.into_owned())).collect();
            prop_assert_eq!(all, theirs.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn of_a_large_map_little_is_in_memory_and_everything_is_found() {
        let mut map = DiskMap::bounded(1000);
        for number in 0..50_000u64 {
            map.insert(number * 7919 % 50_000, number);
        }
        assert!(map.fresh.len() <= 1000 && map.runs.len() < 10, "{} runs", map.runs.len());
        let blocks: usize = map.runs.iter().map(|run| run.blocks.len()).sum();
        assert!(blocks < 600, "{blocks} keys in memory");
        for number in (0..50_000u64).step_by(97) {
            assert_eq!(map.get(&(number * 7919 % 50_000)).as_deref(), Some(&number));
        }
        assert!(map.get(&50_000).is_none());
        assert_eq!(map.iter().count(), 50_000);
    }
}
