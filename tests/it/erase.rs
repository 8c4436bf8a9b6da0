//! `nightclerk erase` and `keep`: outputs go, the log says so, and it still verifies.

use std::path::Path;
use std::sync::Arc;

use nightclerk::audit::{Erase, Event, Expectations, verify};
use nightclerk::base::RealDisk;
use nightclerk::output::Writer;

use crate::audit_disk::{Fault, FaultDisk, IMAGES, Scratch};
use crate::audit_night::{DOCS, open_log, run as small_night, state};
use crate::night::{check_verifies, clerical_office, contract, facts, outcomes, run};
use crate::support::{Folder, nightclerk, python_verifies, told};

fn erase(folder: &Folder, names: &[&str]) -> std::process::Output {
    let all = ["erase", "-c", "jobs.toml"];
    nightclerk(folder.path(), all.iter().chain(names)).output().expect("the program starts")
}

#[test]
fn erased_outputs_are_gone_and_stay_so_until_the_document_changes() {
    let folder = clerical_office("erase", 2);
    assert!(matches!(run(&folder, &[]).status.code(), Some(0 | 3)));
    folder.write("out/report.html", "Harbour Mills Ltd");
    let output = erase(&folder, &["lease 0.txt"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let left = |word: &str| {
        let files = folder.files().into_iter().filter(|name| name.starts_with("out/"));
        let holds = |name: &String| name.contains(word) || folder.read(name).contains(word);
        let is_output =
            |name: &String| !name.starts_with("out/.nightclerk/") && name != "out/last-run.json";
        files.filter(|name| is_output(name) && holds(name)).collect::<Vec<String>>()
    };
    assert_eq!(left("lease 0"), Vec::<String>::new());
    assert_eq!(left("Harbour"), Vec::<String>::new(), "the report is gone");
    assert_eq!(left("lease 1").len(), 2, "the other document's outputs stay");
    check_verifies(&folder);
    let python = python_verifies(&folder);
    assert!(python.status.success(), "{}", told(&python));

    let next = run(&folder, &["--format", "json"]);
    assert_eq!(outcomes(&facts(&next))["00/lease 0.txt"], "unchanged", "{}", told(&next));
    assert!(!folder.files().iter().any(|name| name.contains("out/contracts/inbox/00/")));
    check_verifies(&folder);
    let page = folder.read("out/report.html");
    assert!(page.contains("\"outcome\":\"erased\"") && !page.contains("not as it was logged"));
    let status = nightclerk(folder.path(), ["status", "-c", "jobs.toml"]).output().unwrap();
    assert!(told(&status).contains("     1 erased\n"), "{}", told(&status));
    let again = erase(&folder, &["contracts/inbox/00/lease 0.txt"]);
    assert_eq!(again.status.code(), Some(1), "there is nothing: {}", told(&again));

    folder.write("in/00/lease 0.txt", contract(8));
    let third = run(&folder, &["--format", "json"]);
    assert_ne!(outcomes(&facts(&third))["00/lease 0.txt"], "unchanged", "{}", told(&third));
    assert!(folder.files().iter().any(|name| name.contains("out/contracts/inbox/00/")));
    check_verifies(&folder);
}

#[test]
fn an_earlier_answer_is_kept_where_the_job_says_so_until_the_document_is_erased() {
    let folder = clerical_office("superseded", 1);
    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", format!("{jobs}keep_superseded = true\n"));
    assert!(matches!(run(&folder, &[]).status.code(), Some(0 | 3)));
    let record = "contracts/inbox/00/lease 0.txt.json";
    let first = folder.read(&format!("out/{record}"));
    assert!(matches!(run(&folder, &["--redo", "all"]).status.code(), Some(0 | 3)));
    let kept = |folder: &Folder| -> Vec<String> {
        let files = folder.files().into_iter();
        files.filter(|name| name.contains("/superseded/")).collect()
    };
    assert_eq!(kept(&folder), Vec::<String>::new(), "the same answer took its place");
    folder.write("in/00/lease 0.txt", contract(8));
    assert!(matches!(run(&folder, &[]).status.code(), Some(0 | 3)));
    let found = kept(&folder);
    assert_eq!(found.len(), 2, "{found:?}");
    let start = format!("out/.nightclerk/superseded/{record}/");
    let old = found.iter().find(|name| name.starts_with(&start)).expect("the record is kept");
    assert_eq!(folder.read(old), first);
    check_verifies(&folder);

    let verify = |folder: &Folder| {
        let ours = nightclerk(folder.path(), ["verify", "--format", "json"]).output().unwrap();
        let theirs = python_verifies(folder);
        assert_eq!(ours.status.success(), theirs.status.success(), "{}", told(&theirs));
        let files = &serde_json::from_slice::<serde_json::Value>(&ours.stdout).unwrap()["files"];
        let changed = files["changed"].as_array().unwrap().len();
        (files["superseded"].as_u64().unwrap(), changed, told(&theirs))
    };
    assert_eq!(verify(&folder).0, 2);
    folder.write(old, "{}");
    let (equal, changed, theirs) = verify(&folder);
    assert_eq!((equal, changed), (1, 1));
    assert!(theirs.contains(&format!("changed: {}", old.trim_start_matches("out/"))), "{theirs}");
    folder.write(old, first);
    folder.write("out/.nightclerk/superseded/x.json/99", "no entry names this");
    assert_eq!(verify(&folder).1, 1);
    std::fs::remove_file(folder.path().join("out/.nightclerk/superseded/x.json/99")).unwrap();

    let output = erase(&folder, &["lease 0.txt"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(kept(&folder), Vec::<String>::new(), "erased with its document");
    check_verifies(&folder);
}

#[test]
fn what_a_job_keeps_until_a_day_is_erased_after_it() {
    let folder = clerical_office("keep", 1);
    assert!(matches!(run(&folder, &[]).status.code(), Some(0 | 3)));
    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", format!("{jobs}keep_until = \"2020-12-31\"\n"));
    let next = run(&folder, &["--format", "json"]);
    assert_eq!(facts(&next)["erased"][0]["path"], "contracts/inbox/00/lease 0.txt");
    assert_eq!(outcomes(&facts(&next))["00/lease 0.txt"], "unchanged");
    assert!(!folder.files().iter().any(|name| name.starts_with("out/contracts/")));
    check_verifies(&folder);
    folder.write("jobs.toml", format!("{jobs}keep = \"90d\"\nkeep_until = \"2020-12-31\"\n"));
    let both = run(&folder, &[]);
    assert_eq!(both.status.code(), Some(1), "{}", told(&both));
}

/// Erases the first document of a small night as `run::erase` does: log, then files.
fn erase_first(disk: &FaultDisk, output: &Path) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let log = open_log(Arc::new(disk.clone()), output, "2026-02-01T22:00:00Z");
    let mut log = log.map_err(|error| text(&error))?;
    let doc = DOCS[0].id();
    let (outputs, tables) = log.ledger().files_with(&doc, "contracts");
    if !outputs.is_empty() {
        let (job, reason) = ("contracts".to_owned(), "a test".to_owned());
        let path = format!("contracts/inbox/{}", DOCS[0].path);
        let event = Event::Erase(Erase { doc, path, job, reason, outputs, tables });
        log.append(&event).map_err(|error| text(&error))?;
        log.sign_rest().map_err(|error| text(&error))?;
    }
    let writer = Writer::new(Arc::new(disk.clone()), output);
    writer.erase(log.ledger().erased_files()).map_err(|error| text(&error))
}

#[test]
fn an_erasure_that_is_cut_off_anywhere_is_finished_by_the_next_start() {
    let made = |name: &str| {
        let scratch = Scratch::new(name);
        small_night(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
        scratch
    };
    let calm = made("erase-calm");
    let disk = FaultDisk::new(&calm.0, None);
    erase_first(&disk, &calm.0).unwrap();
    assert!(disk.operations() > 6, "an entry, four files, their folders");
    let record = format!("contracts/inbox/{}.json", DOCS[0].path);
    assert!(!calm.0.join(&record).exists());
    for number in 0..disk.operations() {
        for image in IMAGES {
            let case = format!("operation {number}, {image:?}");
            let from = made("erase-cut");
            let disk = FaultDisk::new(&from.0, Some((number, Fault::Half)));
            erase_first(&disk, &from.0).unwrap_err();
            let found = Scratch::new("erase-found");
            disk.image(image, &from.0, &found.0);
            erase_first(&FaultDisk::new(&found.0, None), &found.0)
                .unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(!found.0.join(&record).exists(), "{case}");
            let report = verify(&state(&found.0), &found.0, &Expectations::default()).unwrap();
            assert!(report.is_sound(), "{case}: {report:?}");
        }
    }
}
