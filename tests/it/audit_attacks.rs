//! Attacks on a log by strangers, by people with a copy of an old state, and by people with today's keys:
//! what a bare chain, the signatures, and a checkpoint kept elsewhere show of each.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nightclerk::audit::{
    Checkpoint, Expectations, Key, KeyKind, Known, Log, Note, Pin, Report, Standing, Tree, Verdict,
    export, leaf, verify,
};
use nightclerk::base::{Appender, Digest, Disk, RealDisk};
use serde_json::Value;

use crate::audit::{Dice, Notes, lines, mutate, notes, sorted, write_signed};
use crate::audit_disk::{Fault, FaultDisk, Image, Scratch, files_below};
use crate::audit_night::{DOCS, Doc, doc_done, doc_start, keys, open_log, run, run_start, state};

/// The machine's disk without its waits: nothing here is about power cuts.
pub struct QuickDisk;

struct QuickAppender(fs::File);

impl Appender for QuickAppender {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.0, bytes)
    }
}

impl Disk for QuickDisk {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        io::Write::write_all(&mut options.open(path)?, bytes)
    }
    fn sync_file(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
    fn open_append(&self, path: &Path) -> io::Result<Box<dyn Appender>> {
        let file = fs::OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Box::new(QuickAppender(file)))
    }
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        RealDisk.truncate(path, len)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
    fn wipe(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
}

const NIGHTS: usize = 10;

/// Ten nights of so many documents each: 2 entries a document, 2 a night, and genesis.
fn nights(output: &Path, nights: std::ops::Range<usize>, documents: usize) -> Log {
    let path =
        |number: usize| -> &'static str { Box::leak(format!("{number}.pdf").into_boxed_str()) };
    let docs: Vec<Doc> =
        (0..documents).map(|number| Doc { path: path(number), ..DOCS[0].clone() }).collect();
    let mut last = None;
    for night in nights {
        drop(last.take());
        let time = format!("2026-02-{:02}T22:00:00Z", night + 1);
        let mut log = open_log(Arc::new(QuickDisk), output, &time).unwrap();
        log.append(&run_start(&docs)).unwrap();
        for doc in &docs {
            log.append(&doc_start(&log, doc)).unwrap();
            log.append(&doc_done(&log, doc, Vec::new())).unwrap();
        }
        log.end_run(1, 0).unwrap();
        last = Some(log);
    }
    last.unwrap()
}

/// A log, its copy without signatures, and what was carried out of the building.
struct Office {
    scratch: Scratch,
    lines: Vec<Vec<u8>>,
    notes: Notes,
    bare: Vec<Vec<u8>>,
    /// Exported after the last night.
    stick: PathBuf,
}

impl Office {
    fn new(documents: usize) -> Office {
        let scratch = Scratch::new("office");
        let output = scratch.0.join("out");
        let stick = scratch.0.join("stick");
        export(&mut nights(&output, 0..NIGHTS, documents), &stick).unwrap();
        let (lines, notes) = (lines(&output), notes(&output));
        let bare = forged(&lines, 0, |_, entry| {
            for key in ["log_vkey", "run_vkey", "prev_checkpoint"] {
                if entry.contains_key(key) {
                    entry[key] = "".into();
                }
            }
        });
        Office { scratch, lines, notes, bare, stick }
    }

    fn output(&self) -> PathBuf {
        self.scratch.0.join("out")
    }

    fn report(&self, lines: &[Vec<u8>], notes: &Notes, expected: &Expectations) -> Report {
        let case = self.scratch.0.join("case");
        let _ = fs::remove_dir_all(&case);
        write_signed(&case, lines, notes);
        verify(&case, &case.join("none"), expected).unwrap()
    }

    /// The chain alone.
    fn bare(&self, lines: &[Vec<u8>]) -> Report {
        self.report(lines, &Notes::new(), &Expectations::default())
    }

    /// With the log's key and first entry.
    fn pinned(&self) -> Expectations {
        let pin = fs::read_to_string(self.stick.join("log.vkey")).unwrap();
        Expectations { pin: Some(pin.parse().unwrap()), ..Expectations::default() }
    }

    fn signed(&self, lines: &[Vec<u8>], notes: &Notes) -> Report {
        self.report(lines, notes, &self.pinned())
    }

    /// With the checkpoint on the stick as well.
    fn anchored(&self, lines: &[Vec<u8>], notes: &Notes) -> Report {
        let known = vec![Known::read(&self.stick).unwrap()];
        self.report(lines, notes, &Expectations { known, ..self.pinned() })
    }

    /// The key that somebody with `key_dir` has.
    fn log_key(&self) -> Key {
        let files = files_below(&keys(&self.output()));
        let path = files.iter().find(|path| path.ends_with("log.key")).unwrap();
        Key::from_text(&fs::read_to_string(path).unwrap()).unwrap()
    }
}

type Fields = serde_json::Map<String, Value>;

/// What a forger does: changes entries from `from` on, and makes every later hash fit.
fn forged(
    lines: &[Vec<u8>],
    from: usize,
    mut change: impl FnMut(usize, &mut Fields),
) -> Vec<Vec<u8>> {
    let mut tree = Tree::default();
    let mut forged: Vec<Vec<u8>> = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        let line =
            if at < from { line.clone() } else { refit(line, at, &forged, &tree, &mut change) };
        tree.push(leaf(&line[..line.len() - 1]));
        forged.push(line);
    }
    forged
}

fn refit(
    line: &[u8],
    at: usize,
    before: &[Vec<u8>],
    tree: &Tree,
    change: &mut impl FnMut(usize, &mut Fields),
) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(line).unwrap();
    let entry = value.as_object_mut().unwrap();
    change(at, entry);
    entry["prev"] = match before.last() {
        Some(before) => leaf(&before[..before.len() - 1]).to_string().into(),
        None => {
            let word = |key: &str| entry[key].as_str().unwrap();
            let text = format!("nightclerk/genesis/v1\0{}\n{}", word("origin"), word("log_vkey"));
            Digest::of(text.as_bytes()).to_string().into()
        }
    };
    if entry["event"] == "run_end" {
        entry["log_root"] = tree.root().to_string().into();
    }
    sorted(&value)
}

/// One page more in the last answer before `at`, and everything after it made to fit.
fn edited(lines: &[Vec<u8>], at: usize) -> (usize, Vec<Vec<u8>>) {
    let is_answer = |line: &Vec<u8>| String::from_utf8_lossy(line).contains("\"doc_done\"");
    let at = (0..at).rev().find(|&at| is_answer(&lines[at])).unwrap();
    let forged = forged(lines, at, |seq, entry| {
        if seq == at {
            entry["pages"] = 77.into();
        }
    });
    (at, forged)
}

fn is_found(report: &Report) -> bool {
    report.verdict != Verdict::Ok
}

/// Strangers' slips: single bits, entries removed, moved, repeated, put in, keys doubled, white space.
fn slips(office: &Office, bits: usize, changes: usize) {
    let mut dice = Dice(0x5eed);
    let last = office.lines.len() - 1;
    assert!(!is_found(&office.bare(&office.bare)));
    assert!(!is_found(&office.signed(&office.lines, &office.notes)));
    for _ in 0..bits {
        let at = dice.below(last + 1);
        for bit in 0..8 {
            let flip = |lines: &[Vec<u8>], byte: usize| {
                let mut lines = lines.to_vec();
                let byte = byte % lines[at].len();
                lines[at][byte] ^= 1 << bit;
                lines
            };
            let byte = dice.below(1 << 20);
            if at < last {
                assert!(is_found(&office.bare(&flip(&office.bare, byte))), "bit {bit} of {at}");
            }
            let report = office.signed(&flip(&office.lines, byte), &office.notes);
            assert!(is_found(&report), "bit {bit} of {at}");
        }
    }
    for number in 0..changes {
        let mut lines = office.lines.clone();
        let what = mutate(&mut dice, &mut lines);
        if lines != office.lines {
            assert!(is_found(&office.signed(&lines, &office.notes)), "{number}: {what}");
        }
    }
}

#[test]
fn strangers_slips_are_found() {
    slips(&Office::new(9), 20, 60);
}

/// By hand: `cargo test --release --test it -- --ignored strangers_slips`.
#[test]
#[ignore = "minutes"]
fn strangers_slips_are_found_in_ten_thousand_entries() {
    slips(&Office::new(499), 1000, 200);
}

/// Everything in the table but slips, over a log of about ten nights.
fn forgeries(office: &Office) {
    let Office { lines, notes, bare, .. } = office;
    let night = lines.len() / NIGHTS;

    // Edit and chain again, without a key: in an early night, and in the last one.
    for at in [night * 3, lines.len() - 4] {
        assert!(!is_found(&office.bare(&edited(bare, at).1)));
        let (at, forged) = edited(lines, at);
        assert_eq!(office.signed(&forged, notes).verdict, Verdict::Broken);
        // With the checkpoints that show it taken away.
        let fewer = |name: &str| name.trim_end_matches(".note").parse::<usize>().unwrap() <= at;
        let fewer: Notes = notes
            .iter()
            .filter(|(name, _)| fewer(name))
            .map(|(n, b)| (n.clone(), b.clone()))
            .collect();
        assert!(is_found(&office.signed(&forged, &fewer)));
        for notes in [notes, &fewer] {
            let found = office.anchored(&forged, notes);
            assert!(matches!(found.verdict, Verdict::Broken | Verdict::Diverged), "{found:?}");
            assert_eq!(found.known[0].first_different, Some(at as u64), "the entry is named");
        }
    }

    // The whole log written anew, with other keys.
    let other = Scratch::new("other");
    drop(nights(&other.0, 0..NIGHTS, 9));
    let (theirs, their_notes) = (crate::audit::lines(&other.0), crate::audit::notes(&other.0));
    let without = report_of(&other.0, &Expectations::default());
    assert_eq!(without.verdict, Verdict::Ok, "nobody knows the key");
    for found in [office.signed(&theirs, &their_notes), office.anchored(&theirs, &their_notes)] {
        assert_eq!(found.first_bad.unwrap().rule, "pin");
    }

    // Cut back to a genuine checkpoint: only what lies elsewhere shows it.
    let cut = night * 5 + 1;
    assert!(!is_found(&office.bare(&bare[..cut])));
    let older = |name: &str| name.trim_end_matches(".note").parse::<usize>().unwrap() <= cut;
    let older: Notes =
        notes.iter().filter(|(name, _)| older(name)).map(|(n, b)| (n.clone(), b.clone())).collect();
    let found = office.signed(&lines[..cut], &older);
    assert_eq!(found.verdict, Verdict::Ok);
    assert_eq!(found.ranges[0].standing, Standing::Signed, "and not anchored: the verdict says so");
    assert_eq!(office.anchored(&lines[..cut], &older).verdict, Verdict::Truncated);

    rewritten_with_todays_keys(office, night * 2);
}

fn report_of(output: &Path, expected: &Expectations) -> Report {
    verify(&state(output), &output.join("none"), expected).unwrap()
}

/// Somebody with the log's key and the last run's rewrites an early night, and signs everything anew with
/// run keys of their own.
fn rewritten_with_todays_keys(office: &Office, at: usize) {
    let (at, lines) = edited(&office.lines, at);
    let (forged, notes) = resigned(office, &lines, at);
    let found = office.signed(&forged, &notes);
    assert_eq!(found.first_bad.as_ref().unwrap().rule, "signature", "{found:?}");
    assert_eq!(office.anchored(&forged, &notes).known[0].first_different, Some(at as u64));
    // From the first entry on: a log of its own, which the log's key alone does not tell from the real one,
    // but the first entry does.
    let (forged, notes) = resigned(office, &lines, 0);
    let pin = Pin { genesis: None, ..office.pinned().pin.unwrap() };
    let by_key = Expectations { pin: Some(pin), ..Expectations::default() };
    assert_eq!(office.report(&forged, &notes, &by_key).verdict, Verdict::Ok);
    assert_eq!(office.signed(&forged, &notes).first_bad.unwrap().rule, "pin");
    assert_eq!(office.anchored(&forged, &notes).known[0].first_different, Some(0));
}

/// `lines` with the forger's run keys, and checkpoints signed anew, from entry `from` on.
fn resigned(office: &Office, lines: &[Vec<u8>], from: usize) -> (Vec<Vec<u8>>, Notes) {
    let log_key = office.log_key();
    let origin = &log_key.vkey().name;
    let sizes: Vec<usize> = {
        let mut sizes: Vec<usize> = office
            .notes
            .keys()
            .map(|name| name.trim_end_matches(".note").parse().unwrap())
            .collect();
        sizes.sort_unstable();
        sizes
    };
    let mut made: BTreeMap<usize, String> = BTreeMap::new();
    let mut notes: Notes = office.notes.clone();
    let (mut tree, mut out) = (Tree::default(), Vec::new());
    let (mut in_force, mut named): (Option<Key>, Option<Key>) = (None, None);
    for (at, line) in lines.iter().enumerate() {
        let mut change = |_: usize, entry: &mut Fields| {
            if entry.contains_key("run_vkey") {
                let run = entry["run"].as_str().unwrap();
                let name = format!("{origin}/run/{run}");
                let key = Key::of_seed(&name, KeyKind::Note, &Digest::of(run.as_bytes()).0);
                entry["run_vkey"] = key.vkey().to_string().into();
                let same = in_force.as_ref().is_some_and(|own| own.vkey() == key.vkey());
                named = (!same).then_some(key);
            }
            if entry.contains_key("prev_checkpoint")
                && let Some(text) = made.get(&at)
            {
                entry["prev_checkpoint"] = Digest::of(text.as_bytes()).to_string().into();
            }
        };
        let line = match at < from {
            true => line.clone(),
            false => refit(line, at, &out, &tree, &mut change),
        };
        tree.push(leaf(&line[..line.len() - 1]));
        out.push(line);
        if at >= from && sizes.contains(&(at + 1)) {
            let size = at + 1;
            let head = Checkpoint { origin: origin.clone(), size: size as u64, root: tree.root() };
            let text = head.to_string();
            let mut note = format!("{text}\n{}", log_key.sign(&text));
            for key in in_force.iter().chain(&named) {
                note.push_str(&key.sign(&text));
            }
            if named.is_some() {
                in_force = named.take();
            }
            Note::parse(note.as_bytes()).unwrap();
            notes.insert(format!("{size}.note"), note.into_bytes());
            made.insert(size, text);
        }
    }
    (out, notes)
}

#[test]
fn forgeries_are_found_as_far_as_the_table_says() {
    forgeries(&Office::new(9));
}

#[test]
fn forgeries_are_found_in_ten_thousand_entries() {
    let office = Office::new(499);
    assert!(office.lines.len() >= 10_000);
    forgeries(&office);
}

#[test]
fn a_log_grown_anew_from_an_old_copy_is_told_by_what_lies_elsewhere() {
    let office = Scratch::new("regrown");
    let (output, stick) = (office.0.join("out"), office.0.join("stick"));
    drop(nights(&output, 0..3, 9));
    let copy = Scratch::new("copy");
    FaultDisk::new(&output, None).image(Image::Live, &output, &copy.0);
    let mut log = nights(&output, 3..6, 9);
    export(&mut log, &stick).unwrap();
    drop(log);
    // The whole machine as it was after three nights, keys included; then other nights.
    drop(nights(&copy.0, 3..8, 7));
    let found = report_of(&copy.0, &Expectations::default());
    assert_eq!(found.verdict, Verdict::Ok);
    let known = vec![Known::read(&stick).unwrap()];
    let found = report_of(&copy.0, &Expectations { known, ..Expectations::default() });
    assert_eq!(found.verdict, Verdict::Diverged);
    assert_eq!(found.known[0].first_different, Some(3 * 20 + 1));
}

/// Nights of all kinds, cut off anywhere, opened and verified after each: nothing may look like an attack.
fn honest(count: usize, seed: u64) {
    let mut dice = Dice(seed);
    for number in 0..count {
        let scratch = Scratch::new("honest");
        for _ in 0..dice.below(4) {
            let fault = [Fault::Off, Fault::Half, Fault::Once][dice.below(3)];
            let fault = Some((dice.below(110) as u64, fault));
            let docs = &DOCS[..1 + dice.below(5)];
            let disk = FaultDisk::new(&scratch.0, fault);
            let ended = run(Arc::new(disk), &scratch.0, docs, &mut Vec::new());
            if state(&scratch.0).join("log").is_dir() {
                let found = report_of(&scratch.0, &Expectations::default());
                assert!(
                    matches!(found.verdict, Verdict::Ok | Verdict::Unfinished),
                    "{number}: {fault:?}: {ended:?}: {found:?}"
                );
            }
        }
        run(Arc::new(QuickDisk), &scratch.0, &DOCS, &mut Vec::new())
            .unwrap_or_else(|error| panic!("{number}: {error}"));
        let found = verify(&state(&scratch.0), &scratch.0, &Expectations::default()).unwrap();
        assert!(found.is_sound(), "{number}: {found:?}");
        assert_eq!(found.ranges.len(), 1, "{number}: all signed");
    }
}

#[test]
fn no_honest_log_looks_forged() {
    honest(200, 0x0dd5);
}

/// By hand: `cargo test --test it -- --ignored no_honest_log`.
#[test]
#[ignore = "minutes"]
fn no_honest_log_of_ten_thousand_looks_forged() {
    honest(10_000, 0xbeef);
}
