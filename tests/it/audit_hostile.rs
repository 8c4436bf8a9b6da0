//! What somebody who can write the output, or a stick, puts where the program reads and writes: links, pipes, names
//! that are no text, files without end, lines that two readers may take for two things. Both verifiers say the same of
//! it, and nothing is written, read or waited for through it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nightclerk::audit::{
    Checkpoint, Expectations, Known, Ledger, OutputFile, Verdict, export, leaf, verify,
};
use nightclerk::base::{Digest, RealDisk};
use serde_json::{Value, json};

use crate::audit::{
    eventful, in_pythons_words, lines, notes, python, report, sorted, write_signed,
};
use crate::audit_attacks::QuickDisk;
use crate::audit_disk::{Scratch, files_below};
use crate::audit_night::{DOCS, NIGHT, doc_done, doc_start, open_log, run, run_start, state};
use crate::night::{clerical_office, office, run as run_program};
use crate::support::{Folder, nightclerk, told};

fn pipe(path: &Path) {
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Both verifiers on a log of `lines` and one more, which no checkpoint covers.
fn with_line(folder: &Path, whole: &Path, more: &[u8]) -> String {
    write_signed(folder, &[lines(whole), vec![more.to_vec()]].concat(), &notes(whole));
    let ours = in_pythons_words(folder);
    assert_eq!(python(&["--each", folder.to_str().unwrap()]).trim(), ours);
    ours
}

#[test]
fn a_line_that_can_be_read_in_two_ways_is_read_in_one() {
    let scratch = Scratch::new("two-ways");
    let whole = scratch.0.join("whole");
    eventful(&whole);
    let last = String::from_utf8(lines(&whole).pop().unwrap()).unwrap();
    let open = last.trim_end().strip_suffix('}').unwrap();
    let deep = format!("{0}{1}", "[".repeat(127), "]".repeat(127));
    // With the entry itself 127 deep, and one more.
    let bound = format!("{0}{1}", "[".repeat(126), "]".repeat(126));
    for (number, (more, expected)) in [
        // At a key that comes again stands what no reader has to see.
        ("\"zz\":1,\"zz\":1".to_owned(), "canonical"),
        (format!("\"zz\":{deep},\"zz\":1"), "unfinished"),
        (format!("\"zz\":{bound},\"zz\":1"), "canonical"),
        (format!("\"zz\":{{\"y\":{{\"y\":{deep},\"y\":1}}}}"), "unfinished"),
        (r#""zz":"\ud800","zz":"x""#.to_owned(), "unfinished"),
        (r#""zz":"\udc00\ud800""#.to_owned(), "unfinished"),
        (r#""zz":"\ud83d\ude00""#.to_owned(), "canonical"),
        (format!("\"zz\":{},\"zz\":1", "9".repeat(400)), "unfinished"),
        // Numbers that readers round, cut or refuse.
        ("\"zz\":9007199254740992".to_owned(), "canonical"),
        ("\"zz\":18446744073709551616".to_owned(), "canonical"),
        ("\"zz\":1e400".to_owned(), "unfinished"),
        ("\"zz\":-1e400".to_owned(), "unfinished"),
        ("\"zz\":1e-400".to_owned(), "canonical"),
        ("\"zz\":1.7976931348623157e308".to_owned(), "canonical"),
        ("\"zz\":1.8e308".to_owned(), "unfinished"),
        ("\"zz\":1E0".to_owned(), "canonical"),
        ("\"zz\":01".to_owned(), "unfinished"),
        ("\"zz\":+1".to_owned(), "unfinished"),
        ("\"zz\":NaN".to_owned(), "unfinished"),
        ("\"zz\":\u{661}".to_owned(), "unfinished"), // a digit elsewhere
        // Keys and names that look like others.
        ("\"zz\u{200b}\":1".to_owned(), "canonical"),
        ("\"ｓeq\":1".to_owned(), "canonical"),
        ("\"zz\":\"exаmple.com\"".to_owned(), " seq "), // as it is: only the seq is wrong
        ("\"zz\":\"\u{202e}\"".to_owned(), " seq "),
    ]
    .into_iter()
    .enumerate()
    {
        let line = format!("{open},{more}}}\n");
        let ours = with_line(&scratch.0.join(number.to_string()), &whole, line.as_bytes());
        assert!(ours.contains(expected), "{more}: {ours}");
    }
    let text = last.trim_end();
    for (number, (line, expected)) in [
        (format!("{text}\r\n"), "canonical"),
        (format!("\u{feff}{text}\n"), "unfinished"),
        (format!("{text} {text}\n"), "unfinished"),
        (format!("\n{text}\n"), "json"),
        (format!(" {text}\n"), "canonical"),
        (format!("{text}\0\n"), "unfinished"),
    ]
    .into_iter()
    .enumerate()
    {
        let ours = with_line(&scratch.0.join(format!("line{number}")), &whole, line.as_bytes());
        assert!(ours.contains(expected), "{line:?}: {ours}");
    }
    // All lines of a log that went through another system's editor.
    let folder = scratch.0.join("crlf");
    let crlf: Vec<Vec<u8>> = lines(&whole)
        .into_iter()
        .map(|line| [line.strip_suffix(b"\n").unwrap(), b"\r\n"].concat())
        .collect();
    write_signed(&folder, &crlf, &notes(&whole));
    assert_eq!(in_pythons_words(&folder), "broken 0 000001.jsonl 1 canonical 0");
    assert_eq!(python(&["--each", folder.to_str().unwrap()]).trim(), in_pythons_words(&folder));
}

#[test]
fn the_part_of_a_table_has_its_fields_in_both_or_breaks_their_rule() {
    let scratch = Scratch::new("part");
    let whole = scratch.0.join("whole");
    eventful(&whole);
    let start = lines(&whole).into_iter().find(|line| {
        let line: Value = serde_json::from_slice(line).unwrap();
        line["event"] == "doc_start"
    });
    let start: Value = serde_json::from_slice(&start.unwrap()).unwrap();
    let digest = "0".repeat(64);
    let part = json!({
        "rows": 1, "bytes": 2, "sha256": digest, "text_sha256": digest, "transcript_sha256": digest,
        "tokens_read": 3, "tokens_sent": 3, "prompt_tokens": 4, "answer_tokens": 5, "partial": 0, "flagged": 0,
    });
    let changed = |key: &str, value: Value| {
        let mut part = part.clone();
        part[key] = value;
        part
    };
    let fields = part.as_object().unwrap();
    let without = |key: &str| {
        let kept = fields.iter().filter(|(name, _)| *name != key);
        Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    for (number, (part, rule)) in [
        (part.clone(), "seq"),
        (changed("more", "than this version knows".into()), "seq"),
        (without("flagged"), "fields"),
        (changed("rows", (-1).into()), "fields"),
        (changed("rows", "1".into()), "fields"),
        (changed("sha256", "A".repeat(64).into()), "fields"),
        (json!([]), "fields"),
        (fields.values().cloned().collect(), "fields"),
        (json!({}), "fields"),
        (json!("part"), "fields"),
        (json!(0), "fields"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut line = start.clone();
        line["part"] = part;
        let ours = with_line(&scratch.0.join(number.to_string()), &whole, &sorted(&line));
        assert!(ours.contains(&format!(" {rule} ")), "{}: {ours}", line["part"]);
    }
}

/// Lines `changed: …` and `missing: …` of the Python verifier.
fn pythons_findings(output: &Path, what: &str) -> Vec<String> {
    let said = python(&[state(output).to_str().unwrap(), output.to_str().unwrap()]);
    let found = said.lines().filter_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
    found.map(str::to_owned).collect()
}

#[test]
fn whatever_stands_among_what_was_kept_or_set_aside_is_held_against_its_name() {
    let scratch = Scratch::new("kept-names");
    run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    let state = state(&scratch.0);
    let torn = Digest::of(b"{\"torn\":");
    let put = |name: &OsStr, put: &dyn Fn(&Path)| {
        let path = state.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        put(&path);
    };
    let file = |path: &Path| fs::write(path, "x").unwrap();
    let link = |path: &Path| symlink("..", path).unwrap();
    let sparse = |path: &Path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    for (name, change, is_found) in [
        (OsStr::new("superseded/x/3"), &link as &dyn Fn(&Path), true),
        (OsStr::new("superseded/x/99999999999999999999999"), &file, true),
        (OsStr::from_bytes(b"superseded/\xff/3"), &file, true),
        (OsStr::new("superseded/3"), &file, true),
        (OsStr::new("superseded/x/03"), &file, false),
        (OsStr::from_bytes(b"superseded/x/3\xff"), &file, false),
        (OsStr::new(&format!("torn/5-{torn}")), &file, true),
        (OsStr::new(&format!("torn/5-{torn}")), &sparse, true),
        (OsStr::new(&format!("torn/5-{torn}")), &pipe, true),
        (OsStr::new(&format!("torn/5-{torn}")), &link, true),
        (
            OsStr::new(&format!("torn/5-{torn}")),
            &|path| fs::write(path, "{\"torn\":").unwrap(),
            false,
        ),
        (OsStr::new(&format!("torn/05-{torn}")), &file, false),
        (OsStr::new("torn/unfinished"), &file, false),
    ] {
        put(name, change);
        let found = report(&scratch.0).files;
        assert_eq!(found.changed.len(), usize::from(is_found), "{name:?}: {:?}", found.changed);
        assert!(found.missing.is_empty() && found.orphans.is_empty(), "{name:?}");
        assert_eq!(
            pythons_findings(&scratch.0, "changed").len(),
            usize::from(is_found),
            "{name:?}"
        );
        fs::remove_file(state.join(name)).unwrap();
    }
}

/// Bytes that somebody else put where bytes are set aside are none that a run tells of, and do not stop it.
#[test]
fn what_was_not_set_aside_is_not_recorded_as_recovered() {
    let scratch = Scratch::new("not-torn");
    run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    let torn = state(&scratch.0).join("torn");
    fs::create_dir_all(&torn).unwrap();
    let name = torn.join(format!("7-{}", Digest::of(b"x")));
    fs::File::create(name).unwrap().set_len(1 << 40).unwrap();
    pipe(&torn.join(format!("8-{}", Digest::of(b"y"))));
    run(Arc::new(RealDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    let text = lines(&scratch.0).concat();
    assert!(!String::from_utf8_lossy(&text).contains("\"recovered\""));
    assert_eq!(report(&scratch.0).files.changed.len(), 2);
}

/// Whoever has the keys can name any path; a verifier that ends over it says nothing of the log.
#[test]
fn a_path_that_no_file_can_have_is_missing_and_no_error() {
    let scratch = Scratch::new("long-path");
    let mut log = open_log(Arc::new(QuickDisk), &scratch.0, NIGHT).unwrap();
    log.append(&run_start(&DOCS[..1])).unwrap();
    log.append(&doc_start(&log, &DOCS[0])).unwrap();
    let long = |length: usize| OutputFile { path: "x".repeat(length), sha256: Digest([7; 32]) };
    let deep = OutputFile { path: "y/".repeat(3000) + "y", sha256: Digest([7; 32]) };
    let mut done = doc_done(&log, &DOCS[0], Vec::new());
    let nightclerk::audit::Event::DocDone(event) = &mut done else { unreachable!() };
    event.outputs = vec![long(256), long(255), deep];
    log.append(&done).unwrap();
    log.end_run(1, 0).unwrap();
    drop(log);
    let found = report(&scratch.0);
    assert_eq!((found.verdict, found.files.missing.len()), (Verdict::Ok, 3));
    assert_eq!(pythons_findings(&scratch.0, "missing").len(), 3);
}

/// A stick whose checkpoint is of more entries than there ever were, with leaves to match in a file full of holes.
#[test]
fn leaves_without_end_are_not_read() {
    let scratch = Scratch::new("endless-leaves");
    let (output, stick) = (scratch.0.join("out"), scratch.0.join("stick"));
    run(Arc::new(QuickDisk), &output, &DOCS, &mut Vec::new()).unwrap();
    export(&mut open_log(Arc::new(QuickDisk), &output, NIGHT).unwrap(), &stick).unwrap();
    let note = fs::read_to_string(stick.join("checkpoint.note")).unwrap();
    let signatures = note.split_once("\n\n").unwrap().1;
    let lie = |size: u64| {
        let text = Checkpoint { origin: "test/log".into(), size, root: Digest([7; 32]) };
        fs::write(stick.join("checkpoint.note"), format!("{text}\n{signatures}")).unwrap();
        fs::File::create(stick.join("leaves")).unwrap().set_len(size.saturating_mul(32)).unwrap();
    };
    for size in [1 << 38, 1 << 58, u64::MAX] {
        if size < 1 << 58 {
            lie(size);
        } else {
            let text = Checkpoint { origin: "test/log".into(), size, root: Digest([7; 32]) };
            fs::write(stick.join("checkpoint.note"), format!("{text}\n{signatures}")).unwrap();
        }
        let known = vec![Known::read(&stick).unwrap()];
        assert_eq!(known[0].leaves, None);
        let expected = Expectations { known, ..Expectations::default() };
        let found = verify(&state(&output), &output, &expected).unwrap();
        assert_eq!(found.verdict, Verdict::Truncated, "{size}");
    }
    // A few: read, and none of them is a leaf of that root.
    lie(1000);
    let known = vec![Known::read(&stick).unwrap()];
    assert!(known[0].leaves.is_some());
    let expected = Expectations { known, ..Expectations::default() };
    let found = verify(&state(&output), &output, &expected).unwrap();
    assert_eq!((found.verdict, found.known[0].first_different), (Verdict::Truncated, None));
    lie(0);
    assert!(Known::read(&stick).unwrap_err().contains("no entries"));
}

/// The key of the log below the folder.
fn log_key(folder: &Folder) -> PathBuf {
    let keys = files_below(&folder.path().join("keys"));
    keys.into_iter().find(|path| path.ends_with("log.key")).unwrap()
}

/// A folder without documents, after its first night.
fn quiet(name: &str) -> Folder {
    let folder = office(name, 0);
    folder.write("in/.keep", "");
    assert!(matches!(run_program(&folder, &[]).status.code(), Some(0 | 3)));
    folder
}

/// Who can write the output puts a link where the next run writes, to what only the run can write.
#[test]
fn no_link_in_the_output_leads_a_run_to_its_keys() {
    let folder = quiet("links");
    let key = log_key(&folder);
    let secret = fs::read(&key).unwrap();
    let state = folder.path().join("out/.nightclerk");
    let segments = files_below(&state.join("log"));
    let next = state.join(format!("log/{:06}.jsonl", segments.len() + 1));
    let nowhere = folder.path().join("keys/made.through.a.link");
    for (place, to) in [(&next, &key), (&next, &nowhere), (&state.join("lock"), &key)] {
        let before = fs::read(place).ok();
        let _ = fs::remove_file(place);
        symlink(to, place).unwrap();
        let output = run_program(&folder, &[]);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{place:?}: {}", told(&output));
        assert_eq!(fs::read(&key).unwrap(), secret, "{place:?}");
        assert!(!nowhere.exists());
        fs::remove_file(place).unwrap();
        if let Some(before) = before {
            fs::write(place, before).unwrap();
        }
    }
    let secret = String::from_utf8(secret).unwrap();
    for path in files_below(&folder.path().join("out")) {
        let text = fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains(secret.trim()), "{path:?}");
    }
    // A name that is replaced in one step is not written through.
    let temporary = folder.path().join("out/last-run.json");
    fs::remove_file(&temporary).unwrap();
    symlink(&key, &temporary).unwrap();
    assert!(matches!(run_program(&folder, &[]).status.code(), Some(0 | 3)));
    assert!(!temporary.is_symlink());
    assert_eq!(fs::read_to_string(&key).unwrap(), secret);
    let output = nightclerk(folder.path(), ["verify"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

/// The same on a stick: for the machine that exports to it, and for the witness.
#[test]
fn no_link_on_a_stick_leads_to_a_key() {
    let folder = quiet("stick-links");
    let clerk = |args: &[&str]| {
        let output = nightclerk(folder.path(), args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", told(&output));
    };
    let stick = folder.path().join("stick");
    fs::create_dir(&stick).unwrap();
    let key = log_key(&folder);
    let secret = fs::read(&key).unwrap();
    let names = ["checkpoint.note", "log.vkey", "fingerprint.txt", "consistency.txt", "leaves"];
    for name in names {
        symlink(&key, stick.join(name)).unwrap();
    }
    clerk(&["checkpoint", "export", "stick"]);
    assert_eq!(fs::read(&key).unwrap(), secret);
    assert!(names.iter().all(|name| !stick.join(name).is_symlink()));
    clerk(&["witness", "init", "notary.example", "--dir", "notary"]);
    let secret = folder.read("notary/witness.key");
    symlink("../notary/witness.key", stick.join("cosignatures.txt-tmp")).unwrap();
    clerk(&["witness", "sign", "stick", "--dir", "notary"]);
    assert_eq!(folder.read("notary/witness.key"), secret);
    assert_eq!(folder.read("stick/cosignatures.txt").lines().count(), 1);
    // A pipe that nobody reads is waited for by nobody.
    pipe(&stick.join("cosignatures.txt-tmp"));
    clerk(&["witness", "sign", "stick", "--dir", "notary"]);
}

#[test]
fn a_key_that_others_can_read_signs_nothing() {
    let folder = quiet("open-key");
    let keys = files_below(&folder.path().join("keys"));
    let secret = |path: &&PathBuf| path.extension().is_some_and(|end| end == "key");
    for key in keys.iter().filter(secret) {
        for mode in [0o644, 0o640, 0o602] {
            fs::set_permissions(key, fs::Permissions::from_mode(mode)).unwrap();
            for args in [&["run"][..], &["checkpoint", "export", "stick"]] {
                let output = nightclerk(folder.path(), args).output().unwrap();
                assert_eq!(output.status.code(), Some(1), "{}", told(&output));
                assert!(told(&output).contains("chmod 600"), "{}", told(&output));
            }
        }
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert!(matches!(run_program(&folder, &[]).status.code(), Some(0 | 3)));
}

/// In the place of outputs stand pipes: no command waits for one, and a run makes the outputs anew.
#[test]
fn a_pipe_in_the_place_of_an_output_is_waited_for_by_no_command() {
    let folder = clerical_office("pipes", 1);
    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", jobs.replace("settle =", "keep_superseded = true\nsettle ="));
    run_program(&folder, &[]);
    let outputs: Vec<PathBuf> = files_below(&folder.path().join("out"))
        .into_iter()
        .filter(|path| !path.to_string_lossy().contains(".nightclerk"))
        .collect();
    assert!(outputs.len() > 5, "{outputs:?}");
    for path in &outputs {
        pipe(path);
    }
    for args in [
        &["verify"][..],
        &["status"],
        &["plan"],
        &["report"],
        &["prove", "lease 0.txt"],
        &["verify", "--replay", "lease 0.txt"],
        &["diff", "out"],
        &["run"],
        &["verify"],
        &["erase", "lease 0.txt"],
    ] {
        let mut clerk = Command::new("timeout");
        clerk.args(["60", env!("CARGO_BIN_EXE_nightclerk")]).args(args);
        let clerk = clerk.current_dir(folder.path()).env("XDG_CACHE_HOME", folder.path());
        let output = clerk.output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{args:?}: {}", told(&output));
        if args == ["run"] {
            assert!(outputs.iter().all(|path| path.is_file()), "{}", told(&output));
        }
    }
    assert_eq!(Ledger::read(&folder.path().join("out/.nightclerk")).unwrap().outputs().count(), 0);
}

/// Every entry's leaf is what the log is pinned by: a log of a name that looks the same is another one.
#[test]
fn a_log_of_a_name_that_looks_the_same_is_another() {
    let scratch = Scratch::new("look-alike");
    run(Arc::new(QuickDisk), &scratch.0, &DOCS, &mut Vec::new()).unwrap();
    let first = lines(&scratch.0).remove(0);
    let genesis = leaf(first.strip_suffix(b"\n").unwrap());
    for origin in ["tеst/log", "test/l\u{200d}og", "Test/log", "test/log "] {
        let expected = Expectations { origin: Some(origin.into()), ..Expectations::default() };
        let found = verify(&state(&scratch.0), &scratch.0, &expected).unwrap();
        assert_eq!(found.first_bad.unwrap().rule, "pin", "{origin:?}");
        assert_eq!(found.genesis, Some(genesis));
    }
}
