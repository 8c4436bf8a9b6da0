//! What it takes to verify a log of a million entries, by the program and by the verifier in Python, and how long
//! a proof from it is. By hand, for the figures:
//! `cargo test --release --test it -- --ignored --nocapture audit_large`.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightclerk::audit::{Log, OutputFile};
use nightclerk::base::Digest;

use crate::audit_attacks::QuickDisk;
use crate::audit_night::{DOCS, Doc, TestClock, doc_done, doc_start, run_start};
use crate::night::office;
use crate::support::{Folder, nightclerk, repository};

/// Nights of so many documents each, answered anew every night, in the folder of an office: two entries a
/// document, two a night, and genesis. With `files` each document has a file of its own.
fn nights(folder: &Folder, nights: u32, documents: usize, files: bool) {
    let path =
        |number: usize| -> &'static str { Box::leak(format!("{number}.pdf").into_boxed_str()) };
    let docs: Vec<Doc> =
        (0..documents).map(|number| Doc { path: path(number), ..DOCS[0].clone() }).collect();
    let (output, keys) = (folder.path().join("out"), folder.path().join("keys"));
    let outputs = |doc: &Doc| {
        let path = format!("contracts/inbox/{}.json", doc.path);
        vec![OutputFile { path, sha256: Digest::of(doc.path.as_bytes()) }]
    };
    for doc in docs.iter().filter(|_| files) {
        folder.write(&format!("out/{}", outputs(doc)[0].path), doc.path);
    }
    for night in 0..nights {
        let clock = TestClock::at(&format!("2026-02-{:02}T22:00:00Z", night + 1));
        let (disk, state) = (Arc::new(QuickDisk), output.join(".nightclerk"));
        let mut log = Log::open(disk, &state, &keys, "example.com/test", clock).unwrap();
        log.append(&run_start(&docs)).unwrap();
        for doc in &docs {
            log.append(&doc_start(&log, doc)).unwrap();
            let files = if files { outputs(doc) } else { Vec::new() };
            log.append(&doc_done(&log, doc, files)).unwrap();
        }
        log.end_run(1, 0).unwrap();
    }
}

/// Runs it: its time, its peak of memory (VmHWM) and its first two lines.
fn measured(name: &str, command: &mut Command) -> String {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = String::new();
    let ended = loop {
        let status = fs::read_to_string(&status).unwrap_or_default();
        peak = status.lines().find(|line| line.starts_with("VmHWM")).map_or(peak, str::to_owned);
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let said = child.wait_with_output().unwrap().stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(ended.success(), "{said}");
    let took = began.elapsed().as_secs_f64();
    let first: Vec<&str> = said.lines().take(2).collect();
    format!("{name}: {took:.1} s, {peak}\n  {}\n", first.join("\n  "))
}

/// Writes the log and tells what each of the three takes.
fn figures(name: &str, of_nights: u32, documents: usize, files: bool) -> String {
    let folder = office(name, 1);
    let began = Instant::now();
    nights(&folder, of_nights, documents, files);
    let written = began.elapsed().as_secs_f64();
    let (state, output) = (folder.path().join("out/.nightclerk"), folder.path().join("out"));
    let mut python = Command::new("python3");
    python.arg(repository("tests/verify.py")).arg(&state);
    python.args(files.then_some(&output));
    let proof = ["prove", "contracts/inbox/7.pdf", "--out", "proof"];
    [
        format!("{of_nights} nights of {documents} documents, written in {written:.0} s\n"),
        measured("nightclerk verify", &mut nightclerk(folder.path(), ["verify"])),
        measured("verify.py", &mut python),
        measured("nightclerk prove", &mut nightclerk(folder.path(), proof)),
    ]
    .concat()
}

#[test]
#[ignore = "minutes; prints times and memory"]
fn a_million_entries_of_twenty_nights() {
    println!("{}", figures("million", 20, 25_000, true));
}

#[test]
#[ignore = "minutes; prints times and memory"]
fn a_million_entries_of_half_a_million_documents() {
    println!("{}", figures("million-once", 1, 500_000, false));
}
