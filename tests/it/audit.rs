//! What the log keeps, refuses and finds; the Rust verifier beside the one in Python.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use nightclerk::audit::{
    BadEntry, Event, Expectations, Known, Ledger, Log, LogError, Recovered, Report, Standing,
    Verdict, leaf, verify,
};
use nightclerk::base::{Clock, Digest, Outcome, RealDisk};
use proptest::prelude::*;
use serde_json::Value;

use crate::audit_disk::{Fault, FaultDisk, Scratch, files_below};
use crate::audit_night::{
    DOCS, Doc, NIGHT, TestClock, doc_done, doc_skip, doc_start, keys, open_log, run, run_start,
    state,
};
use crate::support::repository;

fn open(output: &Path) -> Result<Log, LogError> {
    open_log(Arc::new(RealDisk), output, NIGHT)
}

pub fn report(output: &Path) -> Report {
    verify(&state(output), output, &Expectations::default()).unwrap()
}

/// Wall and steady clock, in milliseconds, set by hand.
struct SetClock {
    wall: AtomicI64,
    steady: AtomicU64,
}

impl SetClock {
    /// Time goes on; where `wall` is another, the clock is set as it does.
    fn pass(&self, wall: i64, steady: u64) {
        self.wall.fetch_add(wall, Ordering::Relaxed);
        self.steady.fetch_add(steady, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.wall.load(Ordering::Relaxed)).unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.steady.load(Ordering::Relaxed))
    }
}

#[test]
fn a_clock_that_is_set_in_the_night_is_in_the_log_and_verify_says_so() {
    let scratch = Scratch::new("clock");
    let night: Timestamp = NIGHT.parse().unwrap();
    let clock = Arc::new(SetClock {
        wall: AtomicI64::new(night.as_millisecond()),
        steady: AtomicU64::new(77),
    });
    let (folder, keys) = (state(&scratch.0), keys(&scratch.0));
    let mut log = Log::open(Arc::new(RealDisk), &folder, &keys, "test/log", clock.clone()).unwrap();
    let [hour, minute] = [3_600_000, 60_000];
    log.append(&run_start(&DOCS[..2])).unwrap();
    clock.pass(hour, hour as u64);
    log.append(&doc_start(&log, &DOCS[0])).unwrap();
    clock.pass(hour + 4_000, hour as u64); // corrected slowly
    log.append(&doc_done(&log, &DOCS[0], Vec::new())).unwrap();
    assert_eq!(report(&scratch.0).clock_steps, [], "time only passed");
    clock.pass(hour, 0); // forward
    log.append(&doc_start(&log, &DOCS[1])).unwrap();
    clock.pass(-minute, 5); // back behind the entry before
    log.append(&doc_done(&log, &DOCS[1], Vec::new())).unwrap();
    clock.pass(9 * minute, 10 * minute as u64); // back, but not behind it
    log.end_run(1, 0).unwrap();
    drop(log);
    let found = report(&scratch.0);
    assert_eq!(found.verdict, Verdict::Ok, "{found:?}");
    assert_eq!(found.clock_steps_total, 3);
    let steps = found.clock_steps.iter();
    let said: Vec<String> =
        steps.map(|step| format!("{} {} {}", step.seq, step.before, step.after)).collect();
    let day = "2026-02-01T0";
    assert_eq!(
        said,
        [
            format!("4 {day}0:00:04.000Z {day}1:00:04.000Z"),
            format!("6 {day}1:00:04.000Z {day}0:59:04.000Z"),
            format!("8 {day}0:59:04.000Z {day}1:08:04.000Z"),
        ]
    );
    let theirs = python(&[folder.to_str().unwrap()]);
    let theirs: Vec<&str> =
        theirs.lines().filter_map(|line| line.strip_prefix("clock set at entry ")).collect();
    let ours = found.clock_steps.iter();
    let ours: Vec<String> =
        ours.map(|step| format!("{}: from {} to {}", step.seq, step.before, step.after)).collect();
    assert_eq!(theirs, ours);
}

/// A log of every kind of entry: a night, a torn line, a clock set back, a night cut off, two nights.
pub fn eventful(output: &Path) {
    fs::create_dir_all(output).unwrap();
    let disk = || Arc::new(FaultDisk::new(output, None));
    run(disk(), output, &DOCS, &mut Vec::new()).unwrap();
    {
        let mut log = open_log(disk(), output, "2026-01-31T22:01:00Z").unwrap();
        log.append(&run_start(&DOCS)).unwrap();
        log.append(&doc_start(&log, &DOCS[2])).unwrap();
        let segment = files_below(&state(output).join("log")).pop().unwrap();
        let mut segment = fs::OpenOptions::new().append(true).open(segment).unwrap();
        segment.write_all(b"{\"attempt\":1,\"byt").unwrap();
    }
    {
        let mut log = open_log(disk(), output, "2026-01-31T21:00:00Z").unwrap();
        log.append(&run_start(&DOCS[..1])).unwrap();
    }
    let changed = Doc { content: "The tenant pays twice.", ..DOCS[0].clone() };
    let docs: Vec<Doc> = [changed].into_iter().chain(DOCS[1..].iter().cloned()).collect();
    for _ in 0..3 {
        run(disk(), output, &docs, &mut Vec::new()).unwrap();
    }
}

#[test]
fn a_log_of_every_kind_of_entry_verifies_in_both_verifiers() {
    let scratch = Scratch::new("eventful");
    eventful(&scratch.0);
    let found = report(&scratch.0);
    assert!(found.is_sound(), "{found:#?}");
    assert_eq!((found.runs, found.cut_off), (6, 2), "{found:#?}");
    let text = lines(&scratch.0).concat();
    let text = String::from_utf8(text).unwrap();
    for word in [
        "genesis",
        "run_start",
        "doc_start",
        "doc_done",
        "doc_fail",
        "recovered",
        "clock_step",
        "tables",
        "run_end",
    ] {
        assert!(text.contains(&format!("\"event\":\"{word}\"")), "{word}");
    }
    for word in ["unchanged", "refused", "quarantined"] {
        assert!(text.contains(&format!("\"outcome\":\"{word}\"")), "{word}");
    }
    let said = python(&[state(&scratch.0).to_str().unwrap(), scratch.0.to_str().unwrap()]);
    let expected = format!("ok: {} entries of 'test/log', root {}\n", found.entries, found.root);
    assert!(said.starts_with(&expected), "{said}");
    let signed = format!("entries 0 to {}: SIGNED", found.entries - 1);
    assert!(said.lines().nth(1) == Some(&signed), "{said}");
}

#[test]
fn no_word_of_a_document_is_in_the_log() {
    let scratch = Scratch::new("content");
    eventful(&scratch.0);
    let text = String::from_utf8(lines(&scratch.0).concat()).unwrap();
    for word in ["tenant", "Secret", "Grüezi", "Swiss"] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn the_chain_can_be_checked_with_a_shell() {
    let scratch = Scratch::new("shell");
    run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    let command = "head -n1 log/000001.jsonl | (printf '\\0'; tr -d '\\n') | sha256sum | cut -c1-64; \
                   sed -n 2p log/000001.jsonl | grep -o '\"prev\":\"[0-9a-f]*' | cut -c9-";
    let said = Command::new("sh").args(["-c", command]).current_dir(state(&scratch.0)).output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    let (hash, prev) = said.trim().split_once('\n').unwrap();
    assert_eq!(hash, prev);
}

#[test]
fn the_second_run_is_told_who_holds_the_log() {
    let scratch = Scratch::new("lock");
    let held = open(&scratch.0).unwrap();
    let Err(LogError::Locked { holder }) = open(&scratch.0) else { panic!("both hold the lock") };
    assert!(holder.contains(&format!("pid {}", std::process::id())), "{holder}");
    assert!(holder.contains("2026-01-31T22:00:00"), "{holder}");
    assert_eq!(Ledger::read(&state(&scratch.0)).unwrap().last_run().map(|run| run.first), None);
    drop(held);
    open(&scratch.0).unwrap();
}

#[test]
fn a_log_of_another_origin_is_refused() {
    let scratch = Scratch::new("origin");
    drop(open(&scratch.0).unwrap());
    let (clock, keys) = (TestClock::at(NIGHT), keys(&scratch.0));
    let other = Log::open(Arc::new(RealDisk), &state(&scratch.0), &keys, "other", clock);
    assert!(matches!(other.err(), Some(LogError::Origin { found, .. }) if found == "test/log"));
    let expected = Expectations { origin: Some("other".into()), ..Expectations::default() };
    let found = verify(&state(&scratch.0), &scratch.0, &expected).unwrap();
    assert_eq!(found.first_bad.unwrap().rule, "pin");
}

#[test]
fn an_entry_that_would_not_verify_is_not_written_and_the_log_goes_on() {
    let scratch = Scratch::new("refused");
    let mut log = open(&scratch.0).unwrap();
    let doc = &DOCS[0];
    let rule = |result: Result<u64, LogError>| match result {
        Err(LogError::Refused { breach, .. }) => breach.rule,
        other => panic!("{other:?}"),
    };
    assert_eq!(rule(log.append(&doc_start(&log, doc))), "run");
    log.append(&run_start(&DOCS[..2])).unwrap();
    assert_eq!(rule(log.append(&doc_done(&log, doc, Vec::new()))), "outcome");
    log.append(&doc_start(&log, doc)).unwrap();
    log.append(&doc_done(&log, doc, Vec::new())).unwrap();
    assert_eq!(rule(log.append(&doc_done(&log, doc, Vec::new()))), "outcome");
    assert_eq!(rule(log.append(&doc_skip(doc, Outcome::Deferred, 0))), "outcome");
    assert_eq!(rule(log.append(&doc_skip(&DOCS[1], Outcome::Unchanged, 3))), "rests_on");
    assert_eq!(rule(log.end_run(1, 0).map(|_| 0)), "complete");
    log.append(&doc_skip(&DOCS[1], Outcome::Deferred, 0)).unwrap();
    let end = log.end_run(1, 75).unwrap();
    assert_eq!((end.counts.done, end.counts.deferred, end.prompt_tokens), (1, 1, 70));
    assert_eq!(log.size(), end.log_size + 1);
    let too_large = Event::Recovered(Recovered {
        torn_len: 1 << 53,
        torn_sha256: Digest([0; 32]),
        good_entries: 0,
        orphans: Vec::new(),
    });
    assert!(matches!(log.append(&too_large), Err(LogError::Line { .. })));
    drop(log);
    assert_eq!(report(&scratch.0).verdict, Verdict::Ok);
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let scratch = Scratch::new("poison");
    drop(open(&scratch.0).unwrap());
    // Operations: the log's folder, the run's key (5), a segment opened and named durable, then the append.
    let disk = Arc::new(FaultDisk::new(&scratch.0, Some((8, Fault::Once))));
    let mut log = open_log(disk, &scratch.0, NIGHT).unwrap();
    assert!(matches!(log.append(&run_start(&DOCS)), Err(LogError::Io { .. })));
    for _ in 0..2 {
        assert!(matches!(log.append(&run_start(&DOCS)), Err(LogError::Poisoned)));
        assert!(matches!(log.end_run(0, 0), Err(LogError::Poisoned)));
    }
}

#[test]
fn attempts_are_counted_by_input_and_shape_and_cleared_by_an_answer() {
    let scratch = Scratch::new("attempts");
    let failing = &DOCS[2];
    for night in 0..5 {
        run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
        let ledger = Ledger::read(&state(&scratch.0)).unwrap();
        let input = Digest::of(failing.content.as_bytes());
        let attempts = ledger.attempts(&failing.id(), &input, &crate::audit_night::shape());
        assert_eq!(attempts, (night + 1).min(3));
        let last = ledger.doc(&failing.id()).unwrap().last.as_ref().unwrap().outcome;
        assert_eq!(last, if night < 3 { Outcome::Failed } else { Outcome::Quarantined });
        assert_eq!(ledger.attempts(&failing.id(), &input, &Digest::of(b"other shape")), 0);
    }
}

#[test]
fn files_that_are_missing_changed_or_unknown_are_named() {
    let scratch = Scratch::new("files");
    run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    let inbox = scratch.0.join("contracts/inbox");
    fs::remove_file(inbox.join("a/lease.pdf.md")).unwrap();
    fs::write(inbox.join("c/zürich.txt.json"), "{}").unwrap();
    fs::write(inbox.join("stray.json"), "{}").unwrap();
    let found = report(&scratch.0);
    assert_eq!(found.verdict, Verdict::Ok, "the chain itself holds");
    assert_eq!(found.files.missing, ["contracts/inbox/a/lease.pdf.md"]);
    assert_eq!(found.files.changed, ["contracts/inbox/c/zürich.txt.json"]);
    assert_eq!(found.files.orphans, ["contracts/inbox/stray.json"]);
    let said = python(&[state(&scratch.0).to_str().unwrap(), scratch.0.to_str().unwrap()]);
    let findings = said.lines().filter(|line| !line.starts_with("key") && !line.starts_with("ent"));
    let findings: Vec<&str> = findings.skip(1).collect();
    assert_eq!(
        findings,
        [
            "missing: contracts/inbox/a/lease.pdf.md",
            "changed: contracts/inbox/c/zürich.txt.json",
            "orphan: contracts/inbox/stray.json",
        ]
    );
    // The next run finds them not intact and makes them again.
    fs::remove_file(inbox.join("stray.json")).unwrap();
    run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    assert!(report(&scratch.0).is_sound());
}

/// Page, texts and closing facts have no entry of their own; under no other name, and behind none of a folder or
/// a link that is called so, does a file hide.
#[test]
fn nothing_hides_behind_the_names_of_the_report() {
    let scratch = Scratch::new("report-names");
    run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    let file = |path: &Path| fs::write(path, "x").unwrap();
    let folder = |path: &Path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("hidden"), "x").unwrap();
    };
    let link = |path: &Path| std::os::unix::fs::symlink("contracts", path).unwrap();
    let cases: [(&str, Put<'_>, &[&str]); 9] = [
        ("report", &folder, &[]),
        ("report.html", &file, &[]),
        ("last-run.json", &file, &[]),
        ("report", &file, &["report"]),
        ("report", &link, &["report"]),
        ("report.html", &folder, &["report.html/hidden"]),
        ("last-run.json", &folder, &["last-run.json/hidden"]),
        ("Report", &folder, &["Report/hidden"]),
        ("contracts/report", &folder, &["contracts/report/hidden"]),
    ];
    for (name, put, orphans) in cases {
        let path = scratch.0.join(name);
        put(&path);
        assert_eq!(report(&scratch.0).files.orphans, orphans, "{name}");
        let said = python(&[state(&scratch.0).to_str().unwrap(), scratch.0.to_str().unwrap()]);
        let theirs = said.lines().filter_map(|line| line.strip_prefix("orphan: "));
        assert_eq!(theirs.collect::<Vec<_>>(), orphans, "{name}");
        let removed = if path.is_symlink() || path.is_file() {
            fs::remove_file(&path)
        } else {
            fs::remove_dir_all(&path)
        };
        removed.unwrap();
    }
}

/// The lines of all segments, each with its LF.
pub fn lines(output: &Path) -> Vec<Vec<u8>> {
    let segments = files_below(&state(output).join("log"));
    let bytes: Vec<u8> = segments.iter().flat_map(|path| fs::read(path).unwrap()).collect();
    bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Checkpoints by name.
pub type Notes = BTreeMap<String, Vec<u8>>;

pub fn notes(output: &Path) -> Notes {
    let files = files_below(&state(output).join("checkpoints")).into_iter();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_string();
    files.map(|path| (name(&path), fs::read(path).unwrap())).collect()
}

/// A state folder with these lines as its log, in one segment, and these checkpoints.
pub fn write_signed(state: &Path, lines: &[Vec<u8>], notes: &Notes) {
    write_log(state, lines);
    fs::create_dir_all(state.join("checkpoints")).unwrap();
    for (name, bytes) in notes {
        fs::write(state.join("checkpoints").join(name), bytes).unwrap();
    }
}

/// A state folder with these lines as its log, in one segment.
fn write_log(state: &Path, lines: &[Vec<u8>]) {
    fs::create_dir_all(state.join("log")).unwrap();
    fs::write(state.join("log/000001.jsonl"), lines.concat()).unwrap();
}

pub fn python(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify.py");
    let said = Command::new("python3").arg(script).args(arguments).output();
    let said = said.expect("python3 is needed for the second verifier");
    assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

/// What `verify.py --each` says of a log, said by the Rust verifier.
pub fn in_pythons_words(state: &Path) -> String {
    let found = verify(state, &state.join("no-outputs"), &Expectations::default()).unwrap();
    let verdict = serde_json::to_value(found.verdict).unwrap();
    let verdict = verdict.as_str().unwrap();
    let signed = found.ranges.iter().filter(|range| range.standing == Standing::Signed);
    let signed = signed.map(|range| range.to + 1).max().unwrap_or(0);
    match (&found.first_bad, &found.torn) {
        (Some(BadEntry { seq, file, line, rule, .. }), _) => {
            format!("{verdict} {seq} {file} {line} {rule} {signed}")
        }
        (None, torn) => {
            let torn = torn.as_ref().map_or(0, |torn| torn.bytes);
            format!("{verdict} {} {torn} {signed}", found.entries)
        }
    }
}

/// xorshift64*: the same mutations on every machine.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// Does one thing to a log that nobody should do. The name says what.
pub fn mutate(dice: &mut Dice, lines: &mut Vec<Vec<u8>>) -> &'static str {
    let at = dice.below(lines.len());
    let byte = dice.below(lines[at].len());
    match dice.below(14) {
        0..=2 => {
            lines[at][byte] ^= 1 << dice.below(8);
            "bit flipped"
        }
        3 => {
            lines[at][byte] = dice.below(256) as u8;
            "byte replaced"
        }
        4 => {
            lines.remove(at);
            "entry removed"
        }
        5 => {
            let other = dice.below(lines.len());
            lines.swap(at, other);
            "entries swapped"
        }
        6 => {
            let copy = lines[at].clone();
            lines.insert(dice.below(lines.len() + 1), copy);
            "entry repeated"
        }
        7 => {
            lines[at].insert(byte, [b' ', b'\n', b'0', b'"', b'\\', 0][dice.below(6)]);
            "byte inserted"
        }
        8 => {
            lines[at].remove(byte);
            "byte removed"
        }
        9 => {
            // Keys of the object in another order.
            let text = String::from_utf8(lines[at].clone()).unwrap();
            let Value::Object(map) = serde_json::from_str(&text).unwrap() else { unreachable!() };
            let turned: serde_json::Map<String, Value> = map.into_iter().rev().collect();
            lines[at] = (Value::Object(turned).to_string() + "\n").into_bytes();
            "keys turned"
        }
        10 => {
            let text = String::from_utf8(lines[at].clone()).unwrap();
            let first = text.split(',').next().unwrap()[1..].to_string();
            lines[at] = format!("{{{first},{}", &text[1..]).into_bytes();
            "key doubled"
        }
        11 => {
            lines.truncate(at + 1);
            lines[at].truncate(byte);
            "cut"
        }
        _ => {
            edit(dice, &mut lines[at]);
            rechain(lines, at);
            "edited and chained again"
        }
    }
}

/// Changes one value of an entry, keeping the line canonical.
fn edit(dice: &mut Dice, line: &mut Vec<u8>) {
    let mut value: Value = serde_json::from_slice(line).unwrap();
    let map = value.as_object_mut().unwrap();
    let key = map.keys().nth(dice.below(map.len())).unwrap().clone();
    match &mut map[&key] {
        Value::String(text) => {
            let words =
                ["done", "failed", "unchanged", "doc_done", "doc_skip", "erase", "../x", "", "é\n"];
            match dice.below(3) {
                0 => *text = words[dice.below(words.len())].into(),
                1 => *text = text.chars().rev().collect(),
                _ => *text = text.replace(['0', '1'], "2"),
            }
        }
        Value::Number(number) => {
            let was = number.as_i64().unwrap();
            *number = [was + 1, was - 1, -was, 1 << 53, 0][dice.below(5)].into();
        }
        Value::Array(items) => match dice.below(3) {
            0 => items.clear(),
            1 => items.push("x".into()),
            _ => items.extend(items.first().cloned()),
        },
        Value::Object(inner) => {
            let inner_key = inner.keys().next().unwrap().clone();
            match dice.below(3) {
                0 => drop(inner.remove(&inner_key)),
                1 => drop(inner.insert("zz".into(), 1.into())),
                _ => drop(inner.insert(inner_key, 1.into())),
            }
        }
        other => *other = 0.into(),
    }
    if dice.below(8) == 0 {
        map.remove(&key);
    }
    *line = sorted(&value);
}

/// Canonical for what the tests write: keys sorted, compact.
pub fn sorted(value: &Value) -> Vec<u8> {
    fn sort(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut pairs: Vec<_> = map.iter().map(|(k, v)| (k.clone(), sort(v))).collect();
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(pairs.into_iter().collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sort).collect()),
            other => other.clone(),
        }
    }
    (sort(value).to_string() + "\n").into_bytes()
}

/// What a forger does: every later `prev` made to fit.
fn rechain(lines: &mut [Vec<u8>], from: usize) {
    for at in from + 1..lines.len() {
        let before = &lines[at - 1];
        let prev = leaf(&before[..before.len() - 1]).to_string();
        let mut value: Value = serde_json::from_slice(&lines[at]).unwrap();
        value["prev"] = prev.into();
        lines[at] = sorted(&value);
    }
}

/// Does one thing to the checkpoints. The name says what.
fn mutate_notes(dice: &mut Dice, notes: &mut Notes) -> &'static str {
    let names: Vec<String> = notes.keys().cloned().collect();
    let name = &names[dice.below(names.len())];
    let other = &names[dice.below(names.len())];
    let note = notes[name].clone();
    let byte = dice.below(note.len());
    let lines: Vec<&[u8]> = note.split_inclusive(|&byte| byte == b'\n').collect();
    let line = dice.below(lines.len());
    match dice.below(9) {
        0..=2 => {
            notes.get_mut(name).unwrap()[byte] ^= 1 << dice.below(8);
            "note: bit flipped"
        }
        3 => {
            notes.remove(name);
            "note: taken away"
        }
        4 => {
            let swapped = notes.insert(other.clone(), note.clone()).unwrap();
            notes.insert(name.clone(), swapped);
            "notes swapped"
        }
        5 => {
            notes.insert(name.clone(), [&lines[..line], &lines[line + 1..]].concat().concat());
            "note: line removed"
        }
        6 => {
            notes.insert(name.clone(), [&lines[..=line], &lines[line..]].concat().concat());
            "note: line doubled"
        }
        7 => {
            // Signatures of one note under the text of another.
            let text = notes[other].split_inclusive(|&byte| byte == b'\n').take(4);
            let text: Vec<&[u8]> = text.collect();
            let mixed = [&text[..], &lines[4..]].concat().concat();
            notes.insert(name.clone(), mixed);
            "note: signatures of another"
        }
        _ => {
            notes
                .get_mut(name)
                .unwrap()
                .insert(byte, [b'\n', b' ', b'=', b'A', 0x80][dice.below(5)]);
            "note: byte inserted"
        }
    }
}

#[test]
fn two_verifiers_agree_on_two_thousand_mutated_logs() {
    mutated_logs(2000, 0x1234_5678_9abc_def1);
}

/// By hand: `cargo test --test it -- --ignored two_verifiers`.
#[test]
#[ignore = "minutes"]
fn two_verifiers_agree_on_many_mutated_logs() {
    (1..=50).for_each(|seed| mutated_logs(2000, seed * 0x9e37_79b9));
}

fn mutated_logs(count: usize, seed: u64) {
    let scratch = Scratch::new("mutated");
    eventful(&scratch.0.join("whole"));
    let whole = lines(&scratch.0.join("whole"));
    let signed = notes(&scratch.0.join("whole"));
    let mut dice = Dice(seed);
    let mut cases: Vec<(PathBuf, String, String)> = Vec::new();
    for number in 0..count {
        let folder = scratch.0.join(number.to_string());
        let (mut lines, mut notes) = (whole.clone(), signed.clone());
        let what = match dice.below(4) {
            0 => mutate_notes(&mut dice, &mut notes),
            _ => mutate(&mut dice, &mut lines),
        };
        write_signed(&folder, &lines, &notes);
        let ours = in_pythons_words(&folder);
        let case = format!("{number}: {what}: {ours}");
        let same = lines == whole && notes == signed;
        // The last note can be taken away: its entries are unsigned then, as after a crash.
        let unsigned =
            lines == whole && notes.iter().all(|note| signed.get(note.0) == Some(note.1));
        let longer = lines.concat().starts_with(&whole.concat());
        let expected = match ours.split(' ').next().unwrap() {
            "broken" => !same,
            "unfinished" => longer || unsigned,
            // Nothing needs the checkpoint within a run once a later one stands.
            verdict => verdict == "ok" && lines == whole,
        };
        assert!(expected, "{case}");
        cases.push((folder, case, ours));
    }
    let folders: Vec<&str> = cases.iter().map(|(folder, ..)| folder.to_str().unwrap()).collect();
    let said = python(&[&["--each"], &folders[..]].concat());
    assert_eq!(said.lines().count(), cases.len());
    for (theirs, (_, case, ours)) in said.lines().zip(&cases) {
        assert_eq!(theirs, ours, "{case}");
    }
}

#[test]
fn segments_that_are_missing_or_empty_in_between_are_found_by_both() {
    let scratch = Scratch::new("segments");
    eventful(&scratch.0);
    let log = state(&scratch.0).join("log");
    let second = log.join("000002.jsonl");
    let bytes = fs::read(&second).unwrap();
    let state = state(&scratch.0);
    let agree = |expected: &str| {
        let theirs = python(&["--each", state.to_str().unwrap()]);
        assert_eq!(theirs.trim(), in_pythons_words(&state));
        assert!(theirs.contains(expected), "{theirs}");
    };
    fs::write(&second, "").unwrap();
    agree("000002.jsonl 1 segment");
    fs::remove_file(&second).unwrap();
    agree("000002.jsonl 1 segment");
    // Torn bytes at the end of a segment that is not the last are no torn tail.
    fs::write(&second, &bytes[..bytes.len() - 7]).unwrap();
    agree("json");
    // A line of the largest size and one above it.
    fs::write(&second, &bytes).unwrap();
    let last = files_below(&log).pop().unwrap();
    let whole = fs::read(&last).unwrap();
    for (length, expected) in [(32_768, "unfinished"), (32_769, "canonical")] {
        fs::write(&last, [whole.clone(), vec![b'x'; length]].concat()).unwrap();
        agree(expected);
    }
}

/// Puts something at a path.
type Put<'a> = &'a dyn Fn(&Path);

/// What an opponent puts where the log or an earlier output stands: neither verifier waits for it, takes it into
/// memory, or says nothing of the log.
#[test]
fn what_is_no_file_has_no_end_or_is_too_much_for_a_parser_is_found_by_both() {
    let scratch = Scratch::new("no-file");
    eventful(&scratch.0.join("whole"));
    let (whole, signed) = (lines(&scratch.0.join("whole")), notes(&scratch.0.join("whole")));
    let last = signed.keys().last().unwrap().clone();
    let pipe = |path: &Path| {
        let _ = fs::remove_file(path);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let folder = |path: &Path| fs::create_dir(path).unwrap();
    let link = |path: &Path| std::os::unix::fs::symlink("nowhere", path).unwrap();
    let endless = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    let sparse = |path: &Path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    let kept = |path: &Path| fs::create_dir_all(path.parent().unwrap()).unwrap();
    let end = |more: &'static str| {
        move |path: &Path| {
            let text = fs::read_to_string(path).unwrap();
            let (before, last) = text.trim_end().rsplit_once('}').unwrap();
            fs::write(path, format!("{before},\"zz\":{more}}}{last}\n")).unwrap();
        }
    };
    let (huge, deep) =
        ("9".repeat(400).leak(), format!("{0}{1}", "[".repeat(200), "]".repeat(200)));
    let cases: [(&str, Put<'_>, &str); 12] = [
        ("log/000001.jsonl", &pipe, "broken 0 000001.jsonl 1 segment"),
        ("log/000002.jsonl", &pipe, "000002.jsonl 1 segment"),
        ("log/000002.jsonl", &folder, "000002.jsonl 1 segment"),
        ("log/000002.jsonl", &link, "000002.jsonl 1 segment"),
        ("log/000002.jsonl", &endless, "000002.jsonl 1 segment"),
        ("log/000002.jsonl", &sparse, "000002.jsonl 1 canonical"),
        (&format!("checkpoints/{last}"), &pipe, " note "),
        ("checkpoints/1.note", &pipe, "1.note 1 note"),
        ("superseded/x/3", &|path| (kept(path), pipe(path)).0, "ok"),
        ("superseded/x/+3", &|path| (kept(path), sparse(path)).0, "ok"),
        // A number that no double holds and a list that no stack is sure to hold: no JSON.
        ("log/000001.jsonl", &end(huge), "unfinished"),
        ("log/000001.jsonl", &end(deep.leak()), "unfinished"),
    ];
    for (number, (place, put, expected)) in cases.into_iter().enumerate() {
        let state = scratch.0.join(number.to_string());
        write_signed(&state, &whole, &signed);
        if expected == "unfinished" {
            // Behind the last checkpoint, where a torn line may stand.
            let more = whole.last().unwrap();
            let path = state.join("log/000001.jsonl");
            let text = fs::read(&path).unwrap();
            fs::write(&path, [text, more.clone()].concat()).unwrap();
        }
        put(&state.join(place));
        let theirs = python(&["--each", state.to_str().unwrap()]);
        assert_eq!(theirs.trim(), in_pythons_words(&state), "{number}: {place}");
        assert!(theirs.contains(expected), "{number}: {place}: {theirs}");
    }
    // What is kept of earlier outputs, by a verifier that looks at files.
    let state = scratch.0.join("8");
    let said = python(&[state.to_str().unwrap(); 2]);
    assert!(said.contains("changed: superseded/x/3\n"), "{said}");
    let found = verify(&state, &state, &Expectations::default()).unwrap();
    assert_eq!(found.files.changed, ["superseded/x/3"]);
}

/// Where the folder of the outputs is a file, or the log is gone, both say what is missing.
#[test]
fn a_folder_that_was_taken_away_is_missing_and_no_error() {
    let scratch = Scratch::new("gone");
    run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    let known = scratch.0.join("known.note");
    let last = files_below(&state(&scratch.0).join("checkpoints"));
    let size = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
    fs::copy(last.iter().max_by_key(|path| size(path)).unwrap(), &known).unwrap();
    let whole = report(&scratch.0);
    fs::remove_dir_all(scratch.0.join("contracts")).unwrap();
    fs::write(scratch.0.join("contracts"), "").unwrap();
    let found = report(&scratch.0);
    assert_eq!((found.verdict, found.files.missing.len() > 3), (Verdict::Ok, true), "{whole:?}");
    fs::remove_dir_all(state(&scratch.0).join("log")).unwrap();
    let expected =
        Expectations { known: vec![Known::read(&known).unwrap()], ..Expectations::default() };
    assert_eq!(report(&scratch.0).verdict, Verdict::Broken, "the checkpoints are still there");
    fs::remove_dir_all(state(&scratch.0)).unwrap();
    let found = verify(&state(&scratch.0), &scratch.0, &expected).unwrap();
    assert_eq!(found.verdict, Verdict::Truncated);
    let theirs = python(&["--known", known.to_str().unwrap(), state(&scratch.0).to_str().unwrap()]);
    assert!(theirs.starts_with("truncated: 0 entries"), "{theirs}");
}

#[test]
fn kinds_of_later_versions_are_passed_over_and_unknown_ones_are_not() {
    let scratch = Scratch::new("reserved");
    run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    let whole = lines(&scratch.0);
    for (word, expected) in [("key_rotate", "unfinished"), ("gossip", "fields")] {
        let mut value: Value = serde_json::from_slice(whole.last().unwrap()).unwrap();
        let last = whole.last().unwrap();
        value["prev"] = leaf(&last[..last.len() - 1]).to_string().into();
        value["seq"] = whole.len().into();
        value["event"] = word.into();
        value["result"] = serde_json::json!({ "depth": [1, [2, "ü"]] });
        let folder = scratch.0.join(word);
        write_signed(&folder, &[whole.clone(), vec![sorted(&value)]].concat(), &notes(&scratch.0));
        assert!(in_pythons_words(&folder).contains(expected), "{word}");
        let theirs = python(&["--each", folder.to_str().unwrap()]);
        assert_eq!(theirs.trim(), in_pythons_words(&folder));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    /// Any order of honest nights verifies, also with nights cut off in between.
    #[test]
    fn whatever_is_appended_verifies(nights in prop::collection::vec((0u64..70, any::<u8>()), 1..5)) {
        let scratch = Scratch::new("property");
        for (stop, which) in nights {
            let docs: Vec<Doc> = DOCS.iter().enumerate()
                .filter(|(bit, _)| which >> bit & 1 == 1)
                .map(|(_, doc)| doc.clone())
                .collect();
            let disk = FaultDisk::new(&scratch.0, Some((stop, Fault::Half)));
            let _ = run(Arc::new(disk), &scratch.0, &docs, &mut Vec::new());
            let folder = state(&scratch.0);
            if folder.join("log").is_dir() {
                let found = verify(&folder, &scratch.0, &Expectations::default()).unwrap();
                prop_assert!(found.verdict != Verdict::Broken, "{found:?}");
            }
        }
        run(Arc::new(FaultDisk::new(&scratch.0, None)), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
        prop_assert!(report(&scratch.0).is_sound());
    }

    /// Any changed byte of any entry is found, at that entry, the next, or the next checkpoint; and no such
    /// log can be opened.
    #[test]
    fn any_changed_byte_is_found(place in any::<prop::sample::Index>(), flip in 1u8..) {
        let scratch = Scratch::new("flip");
        run(Arc::new(FaultDisk::new(&scratch.0, None)), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
        let mut bytes = lines(&scratch.0).concat();
        let at = place.index(bytes.len());
        bytes[at] ^= flip;
        let entry = bytes[..at].iter().filter(|&&byte| byte == b'\n').count() as u64;
        write_log(&state(&scratch.0), &[bytes]);
        let found = report(&scratch.0);
        prop_assert_eq!(found.verdict, Verdict::Broken);
        let bad = found.first_bad.unwrap();
        let found = bad.seq == entry || bad.seq == entry + 1 || bad.file.ends_with(".note");
        prop_assert!(found && bad.seq <= entry + 1, "{} for {}", bad, entry);
        let refused = open(&scratch.0);
        prop_assert!(matches!(refused, Err(LogError::Broken(_) | LogError::Unfit(_))));
    }
}

/// The log of version 1 that every later program has to read: that of `eventful`, exported once and signed by
/// a witness with `checkpoint export`, `witness sign` and `checkpoint import`. Made on 2026-11-25, with keys that
/// are gone; never made again.
#[test]
fn the_log_of_version_1_verifies_for_ever() {
    let folder = repository("fixtures/log-v1");
    let word = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let expected = Expectations {
        origin: Some("test/log".into()),
        pin: Some(word("log.vkey").parse().unwrap()),
        known: vec![Known::read(&folder.join("known.note")).unwrap()],
        witnesses: vec![word("witness.vkey").trim().parse().unwrap()],
        ..Expectations::default()
    };
    let found = verify(&folder, &folder.join("none"), &expected).unwrap();
    assert_eq!(found.verdict, Verdict::Ok, "{found:#?}");
    assert_eq!((found.entries, found.runs, found.cut_off, found.checkpoints), (48, 6, 2, 15));
    let root = "70a0860b6633a007d6e20f24885d719c822da80278a682c2b2518a348ee2ede5";
    assert_eq!(found.root.to_string(), root);
    assert_eq!(found.witnesses[0].size, 47);
    let standings: Vec<Standing> = found.ranges.iter().map(|range| range.standing).collect();
    assert_eq!(standings, [Standing::Anchored, Standing::Signed]);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (key, known, witness) = (path("log.vkey"), path("known.note"), word("witness.vkey"));
    let witness = witness.trim();
    let said = python(&["--key", &key, "--known", &known, "--witness", witness, &path("")]);
    assert!(said.starts_with(&format!("ok: 48 entries of 'test/log', root {root}\n")), "{said}");
    assert!(said.contains("entries 0 to 46: ANCHORED"), "{said}");
}

/// By hand, for the figures: `cargo test --test it -- --ignored --nocapture what_the_log_costs`.
#[test]
#[ignore = "prints times, asserts nothing"]
fn what_the_log_costs() {
    let scratch = Scratch::new("figures");
    let mut log = open(&scratch.0).unwrap();
    let docs: Vec<Doc> = (0..1000)
        .map(|n| Doc { path: Box::leak(format!("{n}.pdf").into_boxed_str()), ..DOCS[0].clone() })
        .collect();
    log.append(&run_start(&docs)).unwrap();
    let clock = std::time::Instant::now();
    for doc in &docs {
        log.append(&doc_start(&log, doc)).unwrap();
        log.append(&doc_done(&log, doc, Vec::new())).unwrap();
    }
    println!("append: {:?} each", clock.elapsed() / 2000);
    log.end_run(1, 0).unwrap();
    drop(log);
    let bytes: usize = lines(&scratch.0).iter().map(Vec::len).sum();
    let clock = std::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(report(&scratch.0).verdict, Verdict::Ok);
    }
    let entry = clock.elapsed() / 20_030;
    println!("verify: {entry:?} an entry of {} bytes", bytes / 2003);
}
