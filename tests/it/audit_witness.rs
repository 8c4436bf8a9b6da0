//! What leaves the building and what comes back: exported checkpoints, witnesses, proofs of one record;
//! and where the keys lie. The program as a person runs it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::night::{office, run};
use crate::support::{Folder, nightclerk, told};

/// A folder without documents: its nights log their beginning and end, and need no model.
fn quiet(name: &str) -> Folder {
    let folder = office(name, 0);
    folder.write("in/.keep", "");
    folder
}

fn clerk(folder: &Folder, args: &[&str]) -> Output {
    nightclerk(folder.path(), args).output().expect("the program starts")
}

/// Runs a command that has to end so, and gives what it printed.
fn ends(folder: &Folder, code: i32, args: &[&str]) -> String {
    let output = clerk(folder, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
    told(&output)
}

fn json(folder: &Folder, args: &[&str]) -> Value {
    let output = clerk(folder, &[args, &["--format", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)))
}

#[test]
fn keys_lie_apart_closed_and_only_the_last_run_has_one() {
    let folder = quiet("keys");
    for night in 0..3 {
        assert!(matches!(run(&folder, &[]).status.code(), Some(0 | 3)), "night {night}");
        let keys = folder.files().into_iter().filter(|name| name.starts_with("keys/"));
        let keys: Vec<String> = keys.collect();
        let runs = keys.iter().filter(|name| name.ends_with(".key") && !name.ends_with("log.key"));
        assert_eq!(runs.count(), 1, "night {night}: {keys:?}");
        for name in &keys {
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            let path = folder.path().join(name);
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700), "{name}");
        }
    }
    assert!(folder.files().iter().all(|name| !name.starts_with("out/") || !name.ends_with(".key")));
    let report = json(&folder, &["verify"]);
    assert_eq!(report["verdict"], "ok");
    assert_eq!(report["ranges"][0]["standing"], "SIGNED");
    assert_eq!(report["key"]["pinned_by"], "key_dir of this machine");
}

#[test]
fn a_run_appends_to_no_log_but_the_one_that_was_signed() {
    let folder = quiet("refuses");
    run(&folder, &[]);
    let segment = "out/.nightclerk/log/000001.jsonl";
    let whole = folder.read(segment);
    let note =
        folder.files().into_iter().rfind(|name| name.ends_with(".note") && name.starts_with("out"));
    let note = note.unwrap();
    // The last entry cut off, also with the checkpoint that shows it taken away.
    let cut = whole.trim_end().rfind('\n').unwrap() + 1;
    for gone in [false, true] {
        folder.write(segment, &whole[..cut]);
        if gone {
            fs::remove_file(folder.path().join(&note)).unwrap();
        }
        let told = ends(&folder, 1, &["run"]);
        assert!(told.contains("not the one that was signed"), "{told}");
        assert_eq!(folder.read(segment), whole[..cut], "nothing was appended");
        ends(&folder, 2, &["verify"]);
    }
    folder.write(segment, &whole);
    assert!(matches!(run(&folder, &[]).status.code(), Some(0 | 3)));
    ends(&folder, 0, &["verify"]);
    // Without its keys nothing can be signed.
    fs::rename(folder.path().join("keys"), folder.path().join("away")).unwrap();
    let told = ends(&folder, 1, &["run"]);
    assert!(told.contains("does not hold the key of this audit log"), "{told}");
}

#[test]
fn a_kept_checkpoint_anchors_what_it_covers_and_missing_nights_are_named() {
    let folder = quiet("kept");
    run(&folder, &[]);
    let told = ends(&folder, 0, &["checkpoint", "export", "stick"]);
    assert!(told.contains("fingerprint"), "{told}");
    run(&folder, &[]);
    let args = ["verify", "--known", "stick", "--key", "stick/log.vkey", "--expect-every", "24h"];
    let report = json(&folder, &args);
    assert_eq!(report["verdict"], "ok");
    let standings: Vec<&str> = report["ranges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["standing"].as_str().unwrap())
        .collect();
    assert_eq!(standings, ["ANCHORED", "SIGNED"]);
    assert_eq!(report["key"]["genesis_pinned"], true);
    assert_eq!(report["missing_nights"].as_array().unwrap().len(), 0);
    let many = json(&folder, &["verify", "--expect-every", "1ms"]);
    assert!(many["missing_nights"][0]["missing"].as_u64().unwrap() > 1, "{many}");
    // The same key, but a log that was begun anew.
    let pin = folder.read("stick/log.vkey");
    let other = format!("{} genesis {}", pin.lines().next().unwrap(), "0".repeat(64));
    let told = ends(&folder, 2, &["verify", "--key", &other]);
    assert!(told.contains("begun anew"), "{told}");
}

#[test]
fn a_witness_signs_what_is_consistent_and_nothing_else() {
    let folder = quiet("witness");
    run(&folder, &[]);
    ends(&folder, 0, &["checkpoint", "export", "stick"]);
    let key = clerk(&folder, &["witness", "init", "notary.example", "--dir", "notary"]);
    let key = String::from_utf8(key.stdout).unwrap();
    let sign = ["witness", "sign", "stick", "--dir", "notary"];
    let told = ends(&folder, 0, &sign);
    assert!(told.contains("taken on trust"), "{told}");
    ends(&folder, 1, &["checkpoint", "import", "stick"]);
    let jobs = folder.read("jobs.toml");
    let named = format!("key_dir = \"keys\"\nwitnesses = [{:?}]", key.trim());
    folder.write("jobs.toml", jobs.replace("key_dir = \"keys\"", &named));
    ends(&folder, 0, &["checkpoint", "import", "stick"]);
    let told = ends(&folder, 0, &["verify"]);
    assert!(told.contains("ANCHORED") && told.contains("notary.example"), "{told}");

    // The next night, and the same night once more.
    let before: Vec<(String, String)> = ["stick/checkpoint.note", "stick/consistency.txt"]
        .map(|name| (name.to_owned(), folder.read(name)))
        .to_vec();
    run(&folder, &[]);
    ends(&folder, 0, &["checkpoint", "export", "stick"]);
    for _ in 0..2 {
        let told = ends(&folder, 0, &sign);
        assert!(told.contains("consistent with the"), "{told}");
    }
    ends(&folder, 0, &["checkpoint", "import", "stick"]);
    // The older head again: refused. A proof that does not fit: refused.
    for (name, text) in &before {
        folder.write(name, text);
    }
    assert!(ends(&folder, 1, &sign).contains("TRUNCATED"));
    run(&folder, &[]);
    ends(&folder, 0, &["checkpoint", "export", "stick"]);
    let proofs = folder.read("stick/consistency.txt");
    let turned: Vec<&str> = proofs.lines().rev().collect();
    folder.write("stick/consistency.txt", turned.join("\n"));
    assert!(
        ends(&folder, 1, &sign).contains("proof") || ends(&folder, 1, &sign).contains("DIVERGED")
    );
    // Another log of the same name, with another key: refused.
    folder.write("stick/consistency.txt", &proofs);
    let other = quiet("impostor");
    run(&other, &[]);
    ends(&other, 0, &["checkpoint", "export", "stick"]);
    let bundle = other.path().join("stick");
    let args = ["witness", "sign", bundle.to_str().unwrap(), "--dir", "notary"];
    assert!(ends(&folder, 1, &args).contains("signature of the log's key"));
}

/// A stick comes from a machine that the witness has no reason to trust: nothing of the witness's own gets on it,
/// and nothing on it is waited for or read without end.
#[test]
fn a_stick_gets_nothing_out_of_a_witness() {
    let folder = quiet("hostile-stick");
    run(&folder, &[]);
    ends(&folder, 0, &["checkpoint", "export", "stick"]);
    ends(&folder, 0, &["witness", "init", "notary.example", "--dir", "notary"]);
    let sign = ["witness", "sign", "stick", "--dir", "notary"];
    let secret = folder.read("notary/witness.key");
    let link = folder.path().join("stick/cosignatures.txt");
    std::os::unix::fs::symlink("../notary/witness.key", &link).unwrap();
    assert!(ends(&folder, 1, &sign).contains("is not a file"));
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("../notary/witness.key"));
    fs::remove_file(&link).unwrap();
    // As a copy as well: what is no signature is not handed on.
    folder.write("stick/cosignatures.txt", &secret);
    ends(&folder, 0, &sign);
    assert_eq!(folder.read("stick/cosignatures.txt").lines().count(), 1);
    let note = folder.read("stick/checkpoint.note");
    let path = folder.path().join("stick/checkpoint.note");
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(ends(&folder, 1, &sign).contains("is not a file"));
    assert!(ends(&folder, 1, &["verify", "--known", "stick"]).contains("is not a file"));
    fs::remove_file(&path).unwrap();
    folder.write("stick/checkpoint.note", note);
    let proofs = fs::File::create(folder.path().join("stick/log.vkey")).unwrap();
    proofs.set_len(1 << 40).unwrap();
    run(&folder, &[]);
    assert!(ends(&folder, 1, &sign).contains("is not a file"));
}

/// A signature that another one is written over would be lost, and a head that was read before another one is kept
/// would go back.
#[test]
fn signatures_at_once_wait_for_each_other() {
    let folder = quiet("witnesses");
    run(&folder, &[]);
    ends(&folder, 0, &["checkpoint", "export", "stick"]);
    let names: Vec<String> = (0..8).map(|number| format!("notary{number}")).collect();
    for name in &names {
        ends(&folder, 0, &["witness", "init", name, "--dir", name]);
    }
    let sign = |name: &String| {
        let args = ["witness", "sign", "stick", "--dir", name];
        nightclerk(folder.path(), args).stdout(Stdio::null()).spawn().unwrap()
    };
    for held in ["stick", &names[0]] {
        let lock = fs::File::open(folder.path().join(held)).unwrap();
        lock.lock().unwrap();
        let mut waiting = sign(&names[0]);
        thread::sleep(Duration::from_millis(300));
        assert!(waiting.try_wait().unwrap().is_none(), "{held} was held by another");
        drop(lock);
        assert!(waiting.wait().unwrap().success());
    }
    for mut signing in names.iter().map(sign).collect::<Vec<_>>() {
        assert!(signing.wait().unwrap().success());
    }
    let lines = folder.read("stick/cosignatures.txt");
    for name in &names {
        assert_eq!(lines.matches(&format!("— {name} ")).count(), 1, "{lines}");
    }
}

/// The commands of the page, in order.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

fn check_by_shell(proof: &Path) -> Result<String, String> {
    let mut said = String::new();
    for command in commands(&fs::read_to_string(proof.join("READ-ME.md")).unwrap()) {
        let output =
            Command::new("sh").args(["-ec", &command]).current_dir(proof).output().unwrap();
        said += &String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!("{command}{}", told(&output)));
        }
    }
    Ok(said)
}

#[test]
fn one_record_is_proven_with_openssl_and_a_shell_and_shows_no_other() {
    let folder = office("prove", 2);
    run(&folder, &[]);
    let told = ends(&folder, 0, &["prove", "lease 1.txt"]);
    assert!(told.contains("READ-ME.md"), "{told}");
    let proof = folder.path().join("proof");
    let said = check_by_shell(&proof).unwrap();
    assert!(said.contains("Signature Verified Successfully"), "{said}");
    assert!(said.contains("lease 1.txt.json: OK") && said.ends_with("in the log\n"), "{said}");
    assert!(folder.read("proof/proof.tlog-proof").len() < 1500);
    for name in folder.files().into_iter().filter(|name| name.starts_with("proof/")) {
        let text = folder.read_bytes(&name);
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("lease 0"), "{name} shows another document");
    }
    // Any change is found.
    for (name, from, to) in [
        ("entry.json", "\"attempt", "\"Attempt"),
        ("entry.json", "\"pages\":1", "\"pages\":2"),
        ("files/lease 1.txt.md", "#", "##"),
        ("checkpoint.txt", "example.com", "example.org"),
        ("proof.tlog-proof", "\n\n", "\nAAAA\n\n"),
    ] {
        let path = proof.join(name);
        let was = fs::read_to_string(&path).unwrap();
        if was.contains(from) {
            fs::write(&path, was.replacen(from, to, 1)).unwrap();
            assert!(check_by_shell(&proof).is_err(), "{name}: {from}");
            fs::write(&path, was).unwrap();
        }
    }
    check_by_shell(&proof).unwrap();
    assert!(ends(&folder, 1, &["prove", "lease"]).contains("no document"));
}

/// A document that waits for another night has no files yet.
#[test]
fn an_outcome_without_files_is_proven_too() {
    let folder = quiet("prove-no-files");
    folder.write("jobs.toml", folder.read("jobs.toml").replace("\"0s\"", "\"1h\""));
    folder.write("in/young.txt", "This lease is made on 3 March 2024.\n");
    assert_eq!(run(&folder, &[]).status.code(), Some(75));
    ends(&folder, 0, &["prove", "young.txt"]);
    assert!(folder.read("proof/entry.json").contains("\"outcome\":\"deferred\""));
    assert!(check_by_shell(&folder.path().join("proof")).unwrap().ends_with("in the log\n"));
}

/// A document may be called anything: also what files of a proof are called, or with the end of a line.
#[test]
fn a_documents_name_changes_nothing_in_its_proof() {
    let folder = quiet("prove-names");
    let names = ["entry", "READ-ME", "a\n0000  b\\c"];
    for name in names {
        folder.write(&format!("in/{name}"), "This lease is made on 3 March 2024.\n");
    }
    run(&folder, &[]);
    for name in names {
        let out = format!("proof of {}", name.len());
        ends(&folder, 0, &["prove", name, "--out", &out]);
        let said = check_by_shell(&folder.path().join(out)).unwrap();
        assert_eq!(said.matches(": OK\n").count(), 2, "{said}");
        assert!(said.ends_with("in the log\n"), "{said}");
    }
}
