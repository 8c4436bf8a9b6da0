//! Pages that are only pictures: read by tesseract where it is there, told where it is not. Where this
//! machine has no tesseract the tests that need it say so and pass; `tests/run.sh` installs it.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::eml::base64;
use crate::night::{check_verifies, clerical_office, facts, outcomes, run};
use crate::support::{Folder, nightclerk, repository, told};

const SCAN: &str = "fixtures/formats/scanned.pdf";

/// Whether there is a tesseract to be tested with.
fn is_there() -> bool {
    let there = Command::new("tesseract").arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: no tesseract here, so that text recognition is not tested");
    }
    there
}

fn text(args: &[&str]) -> Output {
    let scan = repository(SCAN);
    let args = ["text", scan.to_str().unwrap()].into_iter().chain(args.iter().copied());
    nightclerk(&repository(""), args).output().unwrap()
}

/// The words of `text`, without their punctuation.
fn words(text: &str) -> Vec<String> {
    let words =
        text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[test]
fn a_scanned_page_is_read_as_the_page_that_was_scanned() {
    if !is_there() {
        return;
    }
    let output = text(&["--ocr", "eng", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [scan, printed] = [&document["pages"][0], &document["pages"][1]];
    assert_eq!((&scan["state"], &scan["facts"]["origin"]), (&json!("read"), &json!("ocr")));
    assert_eq!(
        (&printed["facts"]["origin"], &printed["facts"]["confidence"]),
        (&json!("print"), &Value::Null)
    );
    let confidence = scan["facts"]["confidence"].as_u64().unwrap();
    assert!((75..=100).contains(&confidence), "{confidence} %");

    // What LibreOffice printed, before it was scanned.
    let original = repository("fixtures/inbox/services-agreement.pdf");
    let read =
        nightclerk(&repository(""), ["text".as_ref(), original.as_os_str()]).output().unwrap();
    let original = String::from_utf8(read.stdout).unwrap();
    let original = words(&original);
    let recognized = words(scan["verbatim"].as_str().unwrap());
    // In order: the longest common run of words would be too kind to columns that were mixed.
    let mut rest = original.iter();
    let found = recognized
        .iter()
        .filter(|word| rest.clone().take(12).any(|w| w == *word) && rest.any(|w| w == *word));
    let (found, all) = (found.count(), recognized.len());
    assert!(all >= 150 && found * 100 >= all * 95, "{found} of {all} words, in order");
    let labels: Vec<&str> =
        scan["blocks"].as_array().unwrap().iter().filter_map(|b| b["label"].as_str()).collect();
    assert!(
        labels.contains(&"1.1") && labels.contains(&"1.2"),
        "clauses keep their numbers: {labels:?}"
    );
}

#[test]
fn without_tesseract_a_scanned_page_is_told_as_a_picture() {
    let folder = Folder::new("no-ocr");
    let scan = repository(SCAN);
    for (args, why) in [(&[][..], ""), (&["--ocr", "eng"], "there is no program tesseract")] {
        let args = [&["text", scan.to_str().unwrap(), "--pages"], args].concat();
        let mut command = nightclerk(folder.path(), args);
        let output = command.env("PATH", folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        let told = told(&output);
        assert!(told.contains("=== page 1: image only ===") && told.contains(why), "{told}");
        assert!(told.contains("is a true copy of the original"), "{told}");
    }
}

#[test]
fn a_language_that_is_not_there_is_told_with_the_page() {
    if !is_there() {
        return;
    }
    let output = text(&["--ocr", "tlh"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("tesseract-ocr-tlh"), "{}", told(&output));
    let output = text(&["--ocr", "../eng"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
}

/// An office with the scan and a plain text.
fn scanning_office(name: &str) -> Folder {
    let folder = clerical_office(name, 1);
    fs::copy(repository(SCAN), folder.path().join("in/scan.pdf")).unwrap();
    recognize(&folder, true);
    folder
}

fn recognize(folder: &Folder, wanted: bool) {
    let table = "[ocr]\nlanguages = [\"eng\"]\n";
    let jobs = folder.read("jobs.toml").replace(table, "");
    let table = if wanted { table } else { "" };
    folder.write("jobs.toml", jobs.replace("[[job]]", &format!("{table}[[job]]")));
}

fn record(folder: &Folder) -> Value {
    serde_json::from_str(&folder.read("out/contracts/inbox/scan.pdf.json")).unwrap()
}

#[test]
fn a_night_reads_scans_proves_how_and_takes_them_again_when_that_changes() {
    if !is_there() {
        return;
    }
    let folder = scanning_office("scans");
    let output = run(&folder, &["--format", "json"]);
    assert_eq!(outcomes(&facts(&output))["scan.pdf"], "done", "{}", told(&output));
    let first = record(&folder);
    let page = &first["coverage"]["pages"][0];
    assert_eq!((&page["state"], &page["origin"]), (&json!("read"), &json!("ocr")), "{first:#}");
    assert!(page["confidence"].as_u64().unwrap() >= 75, "{page}");
    let ocr = &first["made_with"]["ocr"];
    assert!(ocr["program"].as_str().unwrap().starts_with("tesseract "), "{ocr}");
    assert_eq!(ocr["languages"], "eng");
    assert!(
        folder.read("out/contracts/inbox/scan.pdf.md").contains("- text recognition tesseract")
    );
    let plain: Value =
        serde_json::from_str(&folder.read("out/contracts/inbox/00/lease 0.txt.json")).unwrap();
    assert_eq!(
        plain["made_with"]["ocr"],
        Value::Null,
        "what was not recognized does not depend on it"
    );

    // From where tesseract runs no way leads out, and what it read is asked again alike.
    let log = folder.read("out/.nightclerk/log/000001.jsonl");
    let start = log.lines().find(|line| line.contains("\"event\":\"run_start\"")).unwrap();
    let start: Value = serde_json::from_str(start).unwrap();
    let tries = start["isolation"]["tries"].as_array().unwrap();
    let tries: Vec<&Value> = tries.iter().filter(|tried| tried["from"] == "program").collect();
    assert!(tries.len() >= 30, "{tries:?}");
    for tried in tries {
        let by_landlock = ["read_outside", "write_outside", "write_input"]
            .contains(&tried["way"].as_str().unwrap());
        let closed =
            ["ENOSYS", "EPERM", "EACCES", "EROFS"].contains(&tried["result"].as_str().unwrap());
        assert!(closed || by_landlock && start["isolation"]["landlock"] == 0, "{tried}");
    }
    let replay = nightclerk(folder.path(), ["verify", "--replay", "scan.pdf"]).output().unwrap();
    assert_eq!(replay.status.code(), Some(0), "{}", told(&replay));
    check_verifies(&folder);

    // Nothing changed: nothing is due. Recognition gone: only the scan is, and it is a picture again.
    let output = run(&folder, &["--format", "json"]);
    assert!(
        outcomes(&facts(&output)).values().all(|outcome| outcome == "unchanged"),
        "{}",
        told(&output)
    );
    recognize(&folder, false);
    let replay = nightclerk(folder.path(), ["verify", "--replay", "scan.pdf"]).output().unwrap();
    assert!(told(&replay).contains("recognized differently: by tesseract"), "{}", told(&replay));
    let output = run(&folder, &["--format", "json"]);
    let ends = outcomes(&facts(&output));
    assert_eq!(
        (ends["scan.pdf"].as_str(), ends["00/lease 0.txt"].as_str()),
        ("partial", "unchanged")
    );
    assert_eq!(record(&folder)["coverage"]["pages"][0]["state"], "image_only");
    // And back: the same bytes.
    recognize(&folder, true);
    let output = run(&folder, &["--format", "json"]);
    let ends = outcomes(&facts(&output));
    assert_eq!((ends["scan.pdf"].as_str(), ends["00/lease 0.txt"].as_str()), ("done", "unchanged"));
    assert_eq!(record(&folder), first);
    check_verifies(&folder);
}

#[test]
fn a_scan_that_is_attached_is_read_too() {
    if !is_there() {
        return;
    }
    let folder = Folder::new("mail");
    let scan = base64(&fs::read(repository(SCAN)).unwrap());
    folder.write(
        "mail.eml",
        format!(
            "From: a@example.com\r\nTo: b@example.com\r\nSubject: the signed copy\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\
             As agreed.\r\n--b\r\nContent-Type: application/pdf; name=\"scan.pdf\"\r\n\
             Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"scan.pdf\"\r\n\r\n\
             {scan}\r\n--b--\r\n"
        ),
    );
    let output = nightclerk(folder.path(), ["text", "mail.eml", "--ocr", "eng", "--pages"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let told = told(&output);
    assert!(
        told.contains("As agreed.") && told.contains("MASTER SERVICES AGREEMENT")
            || told.contains("Master Services Agreement"),
        "{told}"
    );
}
