//! Whole nights with a tiny model of random weights: what is due, what is proven, what a kill leaves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nightclerk::base::Digest;
use nightclerk::engine::tiny::{self, Family};
use serde_json::Value;

use crate::support::{Folder, nightclerk, repository, told};

const SUMMARY: &str = r#"
kind = "summarize"
system = "You are a clerk."
instruction = "Sum up."
reduce_instruction = "Join."
length = 60
chunk_tokens = 160
answer_tokens_max = 300
"#;

const TERMS: &str = r#"
kind = "extract"
system = "You are a clerk."
instruction = "Answer."
chunk_tokens = 160
answer_tokens_max = 40

[[field]]
name = "agreement_date"
question = "When?"
type = "date"
quote_words_max = 6

[[field]]
name = "parties"
question = "Who?"
type = "party"
many = true
quote_words_max = 6
"#;

/// A folder with a model, tasks, a jobs file and `documents` short contracts.
pub fn office(name: &str, documents: usize) -> Folder {
    let folder = Folder::new(name);
    let model = folder.path().join("tiny.gguf");
    tiny::write(&model, Family::Qwen2, 7).expect("the folder is writable");
    let sha256 = Digest::of(&fs::read(&model).expect("just written"));
    folder.write("prompts/summary.toml", SUMMARY);
    folder.write("prompts/terms.toml", TERMS);
    folder.write(
        "jobs.toml",
        format!(
            r#"
output = "out"
[model]
path = "tiny.gguf"
sha256 = "{sha256}"
[engine]
threads = 2
slots = 8
memory = "256MiB"
context_tokens = 1024
[audit]
origin = "example.com/test"
key_dir = "keys"
[[job]]
name = "contracts"
input = {{ inbox = "in" }}
include = ["**/*"]
tasks = ["prompts/summary.toml", "prompts/terms.toml"]
settle = "0s"
"#
        ),
    );
    for number in 0..documents {
        folder.write(&format!("in/{:02}/lease {number}.txt", number % 3), contract(number));
    }
    folder
}

/// An office whose tasks always end in answers: a model of random weights writes on to the limit of a
/// summary, and a field's answer is short. Its documents are short as well.
pub fn clerical_office(name: &str, documents: usize) -> Folder {
    let folder = office(name, 0);
    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", jobs.replace("\"prompts/summary.toml\", ", ""));
    let terms = TERMS.replace("answer_tokens_max = 40", "answer_tokens_max = 600");
    folder.write("prompts/terms.toml", terms);
    for number in 0..documents {
        folder.write(&format!("in/{number:02}/lease {number}.txt"), contract(4 * number));
    }
    folder
}

pub fn contract(number: usize) -> String {
    format!(
        "LEASE {number}\n\nThis lease is made on {} March 2024 between Harbour Mills Ltd and Tenant {number}.\n\n\
         The rent is {} EUR a month.\n\n{}",
        number % 28 + 1,
        900 + number,
        "The tenant keeps the rooms clean.\n\n".repeat(number % 4 * 3)
    )
}

pub fn run(folder: &Folder, more: &[&str]) -> Output {
    let args = ["run", "-c", "jobs.toml"].iter().chain(more);
    nightclerk(folder.path(), args).output().expect("the program starts")
}

pub fn begin(folder: &Folder, more: &[&str]) -> Child {
    let args = ["run", "-c", "jobs.toml"].iter().chain(more);
    let mut command: Command = nightclerk(folder.path(), args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// The facts that a run with `--format json` ends with.
pub fn facts(output: &Output) -> Value {
    let last = messages(output).pop().unwrap_or_else(|| panic!("no facts: {}", told(output)));
    assert_eq!(last["message_type"], "summary", "{}", told(output));
    last
}

/// The lines that a run with `--format json` prints.
pub fn messages(output: &Output) -> Vec<Value> {
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let message = |line: &[u8]| serde_json::from_slice(line);
    lines
        .map(|line| message(line).unwrap_or_else(|_| panic!("no JSON: {}", told(output))))
        .collect()
}

pub fn outcomes(facts: &Value) -> BTreeMap<String, String> {
    let documents = facts["documents"].as_array().expect("a list");
    let pair = |end: &Value| {
        let word = |key: &str| end[key].as_str().expect("a text").to_owned();
        (word("path"), word("outcome"))
    };
    documents.iter().map(pair).collect()
}

/// Records and pages, by name: what must not depend on anything but documents, tasks and model.
pub fn records(folder: &Folder) -> BTreeMap<String, String> {
    let names = folder.files().into_iter().filter(|name| name.starts_with("out/contracts/"));
    names.map(|name| (name.clone(), folder.read(&name))).collect()
}

pub fn check_verifies(folder: &Folder) {
    let output = nightclerk(folder.path(), ["verify", "-c", "jobs.toml"]).output().expect("starts");
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[test]
fn a_second_night_has_nothing_to_do_and_a_changed_document_is_due_alone() {
    let folder = office("night", 5);
    let first = run(&folder, &["--format", "json"]);
    assert!(matches!(first.status.code(), Some(0 | 3)), "{}", told(&first));
    let ends = outcomes(&facts(&first));
    assert_eq!(ends.len(), 5);
    assert!(ends.values().all(|end| end == "done" || end == "partial"), "{ends:?}");
    check_verifies(&folder);
    let before = records(&folder);
    assert_eq!(before.len(), 10, "a record and a page for each document");

    let second = run(&folder, &[]);
    assert_eq!(second.status.code(), Some(0), "{}", told(&second));
    assert!(told(&second).contains("nothing to do"), "{}", told(&second));
    assert_eq!(records(&folder), before);
    check_verifies(&folder);

    folder.write("in/00/lease 0.txt", contract(11));
    fs::remove_file(folder.path().join("out/contracts/inbox/01/lease 1.txt.json"))
        .expect("it is there");
    let third = run(&folder, &["--format", "json"]);
    let ends = outcomes(&facts(&third));
    let redone: Vec<&String> =
        ends.iter().filter(|(_, end)| *end != "unchanged").map(|(path, _)| path).collect();
    assert_eq!(
        redone,
        ["00/lease 0.txt", "01/lease 1.txt"],
        "the changed one, and the one whose record is gone"
    );
    let after = records(&folder);
    let lost = "out/contracts/inbox/01/lease 1.txt.json";
    assert_eq!(after[lost], before[lost], "a redone document gives the same bytes");
    check_verifies(&folder);
}

#[test]
fn answers_do_not_depend_on_threads_slots_or_company() {
    let folder = office("company", 6);
    assert!(matches!(run(&folder, &[]).status.code(), Some(0 | 3)));
    let together = records(&folder);
    let jobs = folder.read("jobs.toml");
    folder.write(
        "jobs.toml",
        jobs.replace("threads = 2", "threads = 1").replace("slots = 8", "slots = 1"),
    );
    for _ in 0..6 {
        // One document a run: alone in every batch.
        run(&folder, &["--redo", "all", "--limit", "6"]);
    }
    assert_eq!(records(&folder), together);
}

#[test]
fn a_killed_night_ends_in_the_records_of_an_undisturbed_one() {
    let calm = office("calm", 12);
    let began = Instant::now();
    let output = run(&calm, &[]);
    let whole = began.elapsed();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));

    let folder = office("killed", 12);
    let mut killed = 0;
    for nth in 0..20u64 {
        // Twenty moments spread over a run, in no order: multiples of the golden ratio (Weyl).
        let part = (nth as f64 * 0.618_033_988_749_895 + 0.05).fract();
        let mut child = begin(&folder, &["--redo", "all"]);
        std::thread::sleep(whole.mul_f64(part).max(Duration::from_millis(1)));
        child.kill().expect("it can be killed");
        let end = child.wait().expect("it is ours");
        killed += usize::from(end.signal() == Some(9));
    }
    assert!(killed >= 10, "only {killed} of 20 runs were hit");
    let last = run(&folder, &["--format", "json"]);
    assert!(matches!(last.status.code(), Some(0 | 3)), "{}", told(&last));
    assert_eq!(outcomes(&facts(&last)).len(), 12);
    assert_eq!(records(&folder), records(&calm));
    check_verifies(&folder);
    let known = |name: &String| {
        [
            "in/",
            "prompts/",
            "out/contracts/",
            "out/tables/",
            "out/report/",
            "out/.nightclerk/checkpoints/",
            "out/.nightclerk/log/",
            "out/.nightclerk/torn/",
            "out/.nightclerk/tables/",
            "keys/",
        ]
        .iter()
        .any(|folder| name.starts_with(folder))
            || [
                "jobs.toml",
                "tiny.gguf",
                "out/last-run.json",
                "out/report.html",
                "out/.nightclerk/lock",
            ]
            .contains(&name.as_str())
    };
    let strays: Vec<String> = folder.files().into_iter().filter(|name| !known(name)).collect();
    assert_eq!(strays, Vec::<String>::new());
    assert!(!folder.files().iter().any(|name| name.ends_with(".tmp")));
    // Of the runs' keys only the last one's is left; the log's own lies a folder higher.
    let is_runs = |name: &&String| name.ends_with(".key") && name.matches('/').count() == 3;
    assert_eq!(folder.files().iter().filter(is_runs).count(), 1);
}

#[test]
fn a_terminated_night_leaves_work_and_the_next_one_finishes_it() {
    let folder = office("terminated", 12);
    let child = begin(&folder, &["--format", "json"]);
    let log = folder.path().join("out/.nightclerk/log/000001.jsonl");
    let answered = || fs::read_to_string(&log).is_ok_and(|text| text.contains("\"doc_done\""));
    let began = Instant::now();
    while !answered() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there").success());
    let output = child.wait_with_output().expect("it is ours");
    assert!(matches!(output.status.code(), Some(0 | 3 | 75)), "{}", told(&output));
    assert_eq!(outcomes(&facts(&output)).len(), 12, "every input has an outcome");
    check_verifies(&folder);
    let next = run(&folder, &["--format", "json"]);
    assert!(matches!(next.status.code(), Some(0 | 3)), "{}", told(&next));
    check_verifies(&folder);
    let calm = office("calm", 12);
    run(&calm, &[]);
    assert_eq!(records(&folder), records(&calm));
}

#[test]
fn a_second_run_on_the_same_output_names_the_holder() {
    let folder = office("overlap", 12);
    let mut first = begin(&folder, &[]);
    let lock = folder.path().join("out/.nightclerk/lock");
    let began = Instant::now();
    while fs::read_to_string(&lock).unwrap_or_default().is_empty()
        && began.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(2));
    }
    let second = run(&folder, &[]);
    let holder = first.id().to_string();
    first.kill().expect("it can be killed");
    first.wait().expect("it is ours");
    assert_eq!(second.status.code(), Some(75), "{}", told(&second));
    assert!(told(&second).contains(&holder), "{}", told(&second));
    let third = run(&folder, &[]);
    assert!(
        matches!(third.status.code(), Some(0 | 3)),
        "nothing to unlock by hand: {}",
        told(&third)
    );
}

#[test]
fn damaged_documents_are_named_and_harm_no_other() {
    let folder = office("damaged", 1);
    let jobs = folder.read("jobs.toml");
    folder.write(
        "jobs.toml",
        format!(
            "{}\n[limits]\nmemory = \"512MiB\"\ncpu = \"20s\"\n{}",
            &jobs[..jobs.find("[[job]]").expect("there")],
            &jobs[jobs.find("[[job]]").expect("there")..]
        ),
    );
    for entry in fs::read_dir(repository("fixtures/damaged")).expect("the fixtures are there") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        folder.write(&format!("in/{name}"), fs::read(&path).expect("readable"));
    }
    let output = run(&folder, &["--format", "json"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let facts = facts(&output);
    // What a model of random weights answers is nobody's concern here; what was read is.
    let of_answer = |part: &&str| !part.starts_with("summary: chunk") && !part.starts_with("and ");
    let told_of = |end: &Value| {
        let word = |key: &str| end[key].as_str().unwrap_or("").to_owned();
        let outcome = word("outcome").replace("partial", "answered").replace("done", "answered");
        let reason = word("reason");
        let reason: Vec<&str> = reason.split("; ").filter(of_answer).collect();
        format!("{}: {outcome}: {}\n", word("path"), reason.join("; "))
    };
    let told_of_all: String = facts["documents"].as_array().unwrap().iter().map(told_of).collect();
    expect_test::expect_file!["expect/damaged.txt"].assert_eq(&told_of_all);
    check_verifies(&folder);
    // Failed documents are tried again until their attempts are used up, then left alone.
    let status = |more: &[&str]| {
        let args = ["status", "-c", "jobs.toml"].iter().chain(more);
        String::from_utf8(nightclerk(folder.path(), args).output().unwrap().stdout).unwrap()
    };
    assert!(status(&[]).contains("attempt 1 of 3; the next run tries it again"), "{}", status(&[]));
    for _ in 0..2 {
        run(&folder, &[]);
    }
    assert!(status(&[]).contains("attempt 3 of 3; now left alone"), "{}", status(&[]));
    let fourth = run(&folder, &["--format", "json"]);
    let ends = outcomes(&self::facts(&fourth));
    assert!(ends.values().any(|end| end == "quarantined"), "{ends:?}");
    assert!(!ends.values().any(|end| end == "failed"), "{ends:?}");
    assert_eq!(ends["00/lease 0.txt"], "unchanged");
    let waiting: Value = serde_json::from_str(&status(&["--format", "json"])).unwrap();
    let waiting = waiting["waiting"].as_array().unwrap();
    let quarantined = waiting.iter().find(|one| one["outcome"] == "quarantined").unwrap();
    assert_eq!(quarantined["attempts"], serde_json::json!({ "made": 3, "max": 3 }));
    assert!(quarantined["reason"].as_str().unwrap().starts_with("failed 3 times ("));
    let redone = run(&folder, &["--redo", "failed", "--format", "json"]);
    assert!(outcomes(&self::facts(&redone)).values().any(|end| end == "failed"));
    check_verifies(&folder);
}

#[test]
fn a_transcript_holds_every_question_word_for_word_with_its_answer() {
    let folder = office("transcript", 2);
    let output = run(&folder, &["--transcript", "said.jsonl"]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    let said = folder.read("said.jsonl");
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |word: &str| -> BTreeMap<u64, &Value> {
        events.iter().filter_map(|event| Some((event[word].as_u64()?, event))).collect()
    };
    let (asked, answered) = (of("asked"), of("answered"));
    assert!(asked.len() >= 6, "two documents, a summary and two fields each");
    assert!(asked.keys().eq(answered.keys()), "every question has its answer");
    assert_eq!(events.len(), 2 * asked.len(), "once");
    for number in 0..2 {
        let place = format!("Harbour Mills Ltd and Tenant {number}");
        let of_it = |event: &&&Value| event["document"].as_str().unwrap().contains(&place);
        assert!(asked.values().filter(of_it).count() >= 3, "lease {number}");
    }
    assert!(asked.values().all(|event| event["system"] == "You are a clerk."));
    let mode = fs::metadata(folder.path().join("said.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let again = run(&folder, &["--transcript", "said.jsonl"]);
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    assert_eq!(folder.read("said.jsonl"), said, "nothing is written over");
}

/// What is known is said, what is not is not called nothing, and the way out is named.
#[test]
fn a_plan_without_its_model_says_what_it_does_not_know() {
    let folder = office("plan-no-model", 2);
    let model = folder.path().join("tiny.gguf");
    let plan = |more: &[&str]| {
        let output = nightclerk(folder.path(), [&["plan"], more].concat()).output().unwrap();
        (output.status.code(), told(&output), output.stdout)
    };
    // Another file under its name: it would count other tokens, and no run would take it.
    fs::write(&model, "another").unwrap();
    let (code, said, _) = plan(&[]);
    assert!(code == Some(1) && said.contains("its SHA-256 is"), "{said}");
    fs::remove_file(&model).unwrap();
    let (code, said, _) = plan(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("lease 1.txt: 1 page\n") && said.contains(" 2 pages\n"), "{said}");
    let sought = format!("it was sought as {}", model.display());
    assert!(said.contains("tokens and time are not known: the model file is missing"), "{said}");
    assert!(said.contains(&sought) && said.contains("--model and --sha256"), "{said}");
    let (_, _, facts) = plan(&["--format", "json"]);
    let facts: Value = serde_json::from_slice(&facts).unwrap();
    assert!(facts["model_missing"].as_str().unwrap().contains(&sought), "{facts}");
    for unknown in [&facts["chunks"], &facts["tokens"], &facts["documents"][0]["tokens"]] {
        assert!(unknown.is_null(), "{facts}");
    }
}

#[test]
fn a_night_with_a_deadline_leaves_what_would_not_be_finished_and_takes_it_first_the_next_time() {
    let folder = clerical_office("deadline", 2);
    // Longer than the others together: hundreds of chunks.
    folder.write("in/00/a long lease.txt", contract(3).repeat(40));
    let plan = |more: &[&str]| -> Value {
        let all = ["plan", "-c", "jobs.toml", "--format", "json"];
        let output = nightclerk(folder.path(), all.iter().chain(more)).output().expect("starts");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)))
    };
    let sheet = plan(&[]);
    let seconds = |path: &str| {
        let documents = sheet["documents"].as_array().expect("a list");
        let document = documents.iter().find(|document| document["path"] == path).expect("there");
        document["seconds"].as_u64().expect("a pace was measured")
    };
    let long = seconds("00/a long lease.txt");
    assert!(long >= 1, "{sheet}");
    assert_eq!(sheet["late"], 0);
    let night = run(&folder, &["--for", "1ms", "--format", "json"]);
    assert_eq!(night.status.code(), Some(75), "{}", told(&night));
    assert!(outcomes(&facts(&night)).values().all(|end| end == "deferred"), "{}", told(&night));
    check_verifies(&folder);

    // A pace at which the long one takes most of an hour, and the others a minute.
    let mut last = facts(&night);
    last["pace"]["prompt_tokens_per_second"] = 20.0.into();
    last["pace"]["answer_tokens_per_second"] = 20.0.into();
    folder.write("out/last-run.json", last.to_string());
    assert_eq!(plan(&["--for", "10m"])["late"], 1);
    let night = run(&folder, &["--for", "10m", "--format", "json"]);
    assert_eq!(night.status.code(), Some(75), "{}", told(&night));
    let ends = outcomes(&facts(&night));
    let left: Vec<_> = ends.iter().filter(|(_, end)| *end == "deferred").collect();
    assert_eq!(left.len(), 1, "{ends:?}");
    assert_eq!(left[0].0, "00/a long lease.txt");
    assert!(told(&night).contains("longer than the whole night"), "{}", told(&night));
    check_verifies(&folder);
    let logs = folder.files().into_iter().filter(|name| name.starts_with("out/.nightclerk/log/"));
    let log: String = logs.map(|name| folder.read(&name)).collect();
    let begun = |line: &str| line.contains("a long lease.txt") && line.contains("\"doc_start\"");
    assert!(!log.lines().any(begun), "it was never begun");

    // The next night there is time for it alone; the others, new again, wait.
    for number in 0..2 {
        folder.write(&format!("in/{number:02}/lease {number}.txt"), contract(4 * number + 20));
    }
    folder.write("out/last-run.json", last.to_string());
    let documents = plan(&[])["documents"].as_array().expect("a list").clone();
    let long = documents.iter().find(|document| document["path"] == "00/a long lease.txt");
    let long = long.expect("it is due")["seconds"].as_u64().expect("a pace is known");
    let sheet = plan(&["--for", &format!("{}s", long * 12 / 10 + 20)]);
    let late = |document: &&Value| document["late"] == true;
    let late = sheet["documents"].as_array().expect("a list").iter().filter(late);
    let late: Vec<&str> = late.filter_map(|document| document["path"].as_str()).collect();
    assert_eq!(late.len(), 2, "{late:?}");
    assert!(!late.contains(&"00/a long lease.txt"));
}
