//! `verify --replay`: recorded documents asked again, alone, and compared bit for bit.

use std::fs;
use std::process::Output;
use std::sync::Arc;

use nightclerk::audit::{DocDone, Entry, Event, Log};
use nightclerk::base::{Digest, FixedClock, RealDisk};
use serde_json::Value;

use crate::night::{check_verifies, clerical_office, contract, outcomes, run};
use crate::support::{Folder, nightclerk, told};

/// `verify --replay` with `args`, and its facts.
fn replay(folder: &Folder, args: &[&str]) -> (Output, Value) {
    let all = ["verify", "-c", "jobs.toml", "--format", "json", "--replay"];
    let output = nightclerk(folder.path(), all.iter().chain(args)).output().expect("starts");
    let facts = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output, facts)
}

/// Paths of the documents that were replayed, and how many digests of each differed.
fn replayed(facts: &Value) -> Vec<(String, usize)> {
    let list = facts["replay"]["replayed"].as_array().expect("a list");
    let one = |one: &Value| {
        let path = one["path"].as_str().expect("a text").to_owned();
        (path, one["differences"].as_array().expect("a list").len())
    };
    list.iter().map(one).collect()
}

/// Writes the log anew, as a program would that lies: `lie` may change what each answer is said to be.
fn forge(folder: &Folder, lie: impl Fn(&mut DocDone)) {
    let state = folder.path().join("out/.nightclerk");
    let text = folder.read("out/.nightclerk/log/000001.jsonl");
    // The keys are the liar's own as well.
    let keys = folder.path().join("keys");
    for old in [state.join("log"), state.join("checkpoints"), keys.clone()] {
        fs::remove_dir_all(old).expect("it is there");
    }
    let clock = Arc::new(FixedClock("2026-02-01T06:00:00Z".parse().expect("a time")));
    let log = Log::open(Arc::new(RealDisk), &state, &keys, "example.com/test", clock);
    let mut log = log.expect("a new one");
    for line in text.lines() {
        match Entry::from_line(line.as_bytes()).expect("an entry").event {
            Event::Genesis(_) => continue,
            Event::RunEnd(end) => log.end_run(end.seconds, end.exit_code).map(|_| 0),
            Event::DocDone(mut done) => {
                lie(&mut done);
                log.append(&Event::DocDone(done))
            }
            event => log.append(&event),
        }
        .expect("a lie that follows the rules");
    }
}

#[test]
fn recorded_documents_replay_bit_for_bit_on_any_threads_and_tier() {
    let folder = clerical_office("replay", 4);
    let night = run(&folder, &["--format", "json"]);
    let ends = outcomes(&crate::night::facts(&night));
    let done = ends.values().filter(|end| *end == "done").count();
    assert!(done >= 3, "{ends:?}");
    let mut drawn = Vec::new();
    for conditions in [&["--threads", "1"][..], &["--threads", "3", "--tier", "portable"]] {
        let (output, facts) = replay(&folder, &[&["2", "--seed", "7"], conditions].concat());
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        let found = replayed(&facts);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|(_, differences)| *differences == 0), "{found:?}");
        assert_eq!(facts["replay"]["replayable"], done);
        let not = facts["replay"]["not_replayable"].as_array().expect("a list").len();
        assert_eq!(done + not, 4, "every recorded document is counted");
        drawn.push(found);
    }
    assert_eq!(drawn[0], drawn[1], "a seed draws the same documents");
    let before = folder.files();
    let (output, facts) = replay(&folder, &["100"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(replayed(&facts).len(), done, "no more than there are");
    assert_eq!(folder.files(), before, "nothing is written");

    // Of documents that are named, each has to be replayed, and is once.
    let mut done = ends.iter().filter(|(_, end)| **end == "done").map(|(name, _)| name);
    let (one, other) = (done.next().expect("three are"), done.next().expect("three are"));
    let path = format!("contracts/inbox/{one}");
    let (output, facts) = replay(&folder, &[one, &path]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(replayed(&facts), [(path.clone(), 0)]);
    folder.write(&format!("in/{other}"), contract(77));
    let (output, facts) = replay(&folder, &[one, other]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert_eq!(
        (&facts["replay"]["verdict"], replayed(&facts)),
        (&"in_part".into(), vec![(path, 0)])
    );
    let (output, facts) = replay(&folder, &["100"]);
    assert_eq!(output.status.code(), Some(0), "nobody named it: {}", told(&output));
    assert_eq!(facts["replay"]["verdict"], "identical");
}

#[test]
fn a_log_that_lies_about_an_answer_verifies_and_does_not_replay() {
    let folder = clerical_office("forged", 2);
    let night = run(&folder, &["--format", "json"]);
    let ends = outcomes(&crate::night::facts(&night));
    let (name, _) = ends.iter().find(|(_, end)| *end == "done").expect("one is done");
    let path = format!("contracts/inbox/{name}");
    let (output, _) = replay(&folder, &[&path]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));

    let record = format!("out/{path}.json");
    let honest = folder.read(&record);
    let mut lying: Value = serde_json::from_str(&honest).expect("a record");
    lying["fields"]["agreement_date"]["value"] = "1999-12-31".into();
    let lying = format!("{}\n", serde_json::to_string_pretty(&lying).expect("JSON"));
    folder.write(&record, &lying);
    forge(&folder, |done| {
        if done.path == path {
            done.outputs[0].sha256 = Digest::of(lying.as_bytes());
        }
    });
    check_verifies(&folder);
    let (output, facts) = replay(&folder, &["3"]);
    assert_eq!(output.status.code(), Some(3), "the chain holds: {}", told(&output));
    let list = facts["replay"]["replayed"].as_array().expect("a list");
    let found = list.iter().find(|one| one["path"] == *path).expect("it was drawn");
    assert_eq!(found["differences"].as_array().expect("a list").len(), 1, "{found}");
    assert_eq!(found["differences"][0]["what"], record["out/".len()..]);
    assert_eq!(found["differences"][0]["first"], "/fields/agreement_date/value");

    folder.write(&record, &honest);
    forge(&folder, |done| {
        if done.path == path {
            done.outputs[0].sha256 = Digest::of(honest.as_bytes());
            done.text_sha256 = Digest::of(b"another text");
        }
    });
    check_verifies(&folder);
    let (output, facts) = replay(&folder, &[name]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert_eq!(replayed(&facts), [(path, 1)]);
    assert_eq!(facts["replay"]["replayed"][0]["differences"][0]["what"], "text");
}

#[test]
fn what_proves_nothing_is_not_replayed_and_says_why() {
    let folder = clerical_office("unreplayable", 3);
    run(&folder, &[]);
    folder.write("in/00/lease 0.txt", contract(20));
    fs::remove_file(folder.path().join("in/01/lease 1.txt")).expect("it is there");
    let (output, facts) = replay(&folder, &["lease 0.txt", "lease 1.txt"]);
    assert_eq!(output.status.code(), Some(3), "nothing was proven: {}", told(&output));
    assert_eq!(replayed(&facts), []);
    let reasons: Vec<&str> = facts["replay"]["not_replayable"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["reason"].as_str().expect("a text"))
        .collect();
    let known = |reason: &&str| {
        ["changed", "vanished", "its answer is partial"].iter().any(|word| reason.starts_with(word))
    };
    assert!(reasons.len() == 2 && reasons.iter().all(known), "{reasons:?}");

    let tasks = folder.read("prompts/terms.toml").replace("When?", "On what day?");
    folder.write("prompts/terms.toml", tasks);
    let (_, facts) = replay(&folder, &["lease 2.txt"]);
    let reason = facts["replay"]["not_replayable"][0]["reason"].as_str().expect("a text");
    assert!(reason.starts_with("asked differently") || reason.contains("partial"), "{reason}");
    let (output, _) = replay(&folder, &["no such.txt"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
}
