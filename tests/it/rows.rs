//! Tables whose rows are documents of their own: the table with its new columns, whatever happens on the way.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::night::{begin, check_verifies, facts, office, outcomes, run};
use crate::support::{Folder, nightclerk, told};

const TABLE: &str = "out/tickets/inbox/tickets.csv.rows.csv";

/// Two fields that are cheap to ask: one word each, and only of rows that hold a phrase.
const KINDS: &str = r#"
kind = "extract"
unit = "row"
system = "You are a clerk."
instruction = "Answer."
read = "relevant"
chunk_tokens = 160
answer_tokens_max = 8

[[field]]
name = "refund"
question = "Does the customer ask for money back?"
type = "yes_no"
phrases = ["refund", "money back"]
margin_min = -100000

[[field]]
name = "due"
question = "By when?"
type = "date"
quote = "sentence"
phrases = ["until"]
margin_min = -100000
"#;

/// An office with one job on a table.
pub(crate) fn table_office(name: &str, table: &str) -> Folder {
    let folder = office(name, 0);
    let jobs = folder.read("jobs.toml").replace("name = \"contracts\"", "name = \"tickets\"");
    let tasks = "\"prompts/summary.toml\", \"prompts/terms.toml\"";
    folder.write("jobs.toml", jobs.replace(tasks, "\"prompts/kinds.toml\""));
    folder.write("prompts/kinds.toml", KINDS);
    folder.write("in/tickets.csv", table);
    folder
}

pub(crate) fn tickets(rows: usize) -> String {
    let row = |n: usize| {
        let text = match n % 3 {
            0 => "I want a refund for the broken lamp in my order, please.",
            1 => "Please answer me until 03/04/2019, I am waiting for it.",
            _ => "Thanks",
        };
        format!("{n},\"{text}\"\n")
    };
    std::iter::once("id,text\n".to_owned()).chain((0..rows).map(row)).collect()
}

fn cells(table: &str, delimiter: u8) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(table.as_bytes());
    let rows = reader.records().map(|row| row.expect("a row as long as the others"));
    rows.map(|row| row.iter().map(str::to_owned).collect()).collect()
}

#[test]
fn a_table_comes_back_with_a_column_for_each_field_and_its_flags() {
    let table = "\u{FEFF}Nr.;Betreff;Betrag\r\n1;\"Rückgabe; bitte refund the lamp to me\";-12,50\r\n\
                 2;\"He said \"\"no\"\"\nand left until 03/04/2019 or later\";=1+1\r\n3;;\r\n";
    let folder = table_office("rows", table);
    let output = run(&folder, &["--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(outcomes(&facts(&output))["tickets.csv"], "done");
    let written = cells(&folder.read(TABLE), b';');
    assert_eq!(
        written[0],
        ["Nr.", "Betreff", "Betrag", "refund", "refund_flags", "due", "due_flags"]
    );
    assert_eq!(written[1][..3], ["1", "Rückgabe; bitte refund the lamp to me", "-12,50"]);
    assert_eq!(written[1][3], "yes");
    // A sum is a sum, but nothing of the input is computed; a date that nothing decides is flagged.
    assert_eq!(
        written[2][..3],
        ["2", "He said \"no\"\nand left until 03/04/2019 or later", "'=1+1"]
    );
    assert_eq!(written[2][5], "03/04/2019");
    assert!(written[2][6].split(' ').any(|flag| flag == "ambiguous_date"), "{written:?}");
    assert_eq!(written[3], ["3", "", "", "", "", "", ""]);

    let record: Value =
        serde_json::from_str(&folder.read("out/tickets/inbox/tickets.csv.json")).expect("a record");
    assert_eq!(record["rows"]["count"], 3);
    assert_eq!(format!("out/{}", record["rows"]["table"].as_str().expect("a path")), TABLE);
    check_verifies(&folder);
    let replay = ["verify", "-c", "jobs.toml", "--replay", "1"];
    let replay = nightclerk(folder.path(), replay).output().expect("starts");
    assert_eq!(replay.status.code(), Some(0), "{}", told(&replay));

    folder.write(TABLE, folder.read(TABLE).replace("yes", "no"));
    let verify = nightclerk(folder.path(), ["verify", "-c", "jobs.toml"]).output().expect("starts");
    assert_ne!(verify.status.code(), Some(0), "a changed table is found");
    let again = run(&folder, &["--format", "json"]);
    assert_eq!(outcomes(&facts(&again))["tickets.csv"], "done", "and made anew");
    check_verifies(&folder);
    let erase = ["erase", "-c", "jobs.toml", "tickets.csv"];
    let erase = nightclerk(folder.path(), erase).output().expect("starts");
    assert_eq!(erase.status.code(), Some(0), "{}", told(&erase));
    assert!(!folder.files().contains(&TABLE.to_owned()));
    check_verifies(&folder);
}

/// Rows that the log says are durable, in the order of the log.
fn parts(folder: &Folder) -> Vec<u64> {
    let logs = folder.files().into_iter().filter(|name| name.starts_with("out/.nightclerk/log/"));
    let text: String = logs.map(|name| folder.read(&name)).collect();
    let rows = |line: &str| {
        let entry: Value = serde_json::from_str(line).ok()?;
        entry["part"]["rows"].as_u64()
    };
    text.lines().filter_map(rows).collect()
}

/// Begins a run and kills it when a block of rows is logged.
fn run_to_the_first_block(folder: &Folder) {
    let mut child = begin(folder, &[]);
    let began = Instant::now();
    while parts(folder).is_empty() && began.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it is ours");
    assert!(!parts(folder).is_empty(), "no block was logged");
}

#[test]
fn rows_are_scored_against_labels_and_compared_between_nights() {
    let folder = table_office("rows-judged", &tickets(9));
    assert_eq!(run(&folder, &[]).status.code(), Some(0));
    folder.write(
        "labels.csv",
        "document,row,field,value\ntickets.csv,2,refund,yes\ntickets.csv,id=1,refund,\n\
         tickets.csv,3,due,03/04/2019\ntickets.csv,id=3,refund,no\ntickets.csv,99,refund,yes\n",
    );
    let score = ["score", "-c", "jobs.toml", "--labels", "labels.csv", "--format", "json"];
    let output = nightclerk(folder.path(), score).output().expect("starts");
    let sheet: Value = serde_json::from_slice(&output.stdout).expect("facts");
    assert_eq!((&sheet["documents"], &sheet["rows"]), (&1.into(), &4.into()), "{sheet}");
    assert_eq!(sheet["missing"], serde_json::json!(["tickets.csv, row 99"]));
    let of = |field: usize| {
        let score = &sheet["scores"][field];
        ["found", "wrong", "missed"].map(|count| score[count].as_u64().expect("a count"))
    };
    assert_eq!((of(0), of(1)), ([1, 0, 0], [1, 1, 1]), "of the due dates, of the refunds: {sheet}");
    folder.write("labels.csv", "document,row,field,value\ntickets.csv,text=Thanks,refund,\n");
    let output = nightclerk(folder.path(), score).output().expect("starts");
    assert!(told(&output).contains("more than one row text=Thanks"), "{}", told(&output));

    let mut copy = std::process::Command::new("cp");
    let copied = copy.args(["-r", "out", "before"]).current_dir(folder.path()).status();
    assert!(copied.expect("cp starts").success());
    let diff = |more: &[&str]| {
        let args = ["diff", "before", "out"].iter().chain(more);
        let output = nightclerk(folder.path(), args).output().expect("starts");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(diff(&[]), "1 same, 0 changed, 0 only in the first, 0 only in the second\n");
    let before = TABLE.replace("out/", "before/");
    folder.write(
        &before,
        folder.read(&before).replacen("03/04/2019", "04/04/2019", 2).replacen(
            "04/04/2019",
            "03/04/2019",
            1,
        ),
    );
    let changed = diff(&[]);
    let part = "  row 3\n    due value\n      - 04/04/2019\n      + 03/04/2019\n";
    assert!(changed.contains(part) && changed.contains("another due: 1 rows\n"), "{changed}");

    // A row more at the top: the others are still the same rows.
    let more = tickets(9).replacen("id,text\n", "id,text\n77,\"Thanks for the lamp\"\n", 1);
    folder.write("in/tickets.csv", more);
    assert_eq!(run(&folder, &[]).status.code(), Some(0));
    let changed: Value = serde_json::from_str(&diff(&["--format", "json"])).expect("facts");
    let rows = &changed["changed"][0]["rows"];
    assert_eq!((&rows["only_a"], &rows["only_b"]), (&0.into(), &1.into()), "{changed}");
    assert_eq!(rows["changed"].as_array().map(Vec::len), Some(1), "{changed}");
    assert_eq!(rows["changed"][0]["row"], 4);
}

#[test]
fn a_killed_table_goes_on_where_it_was_and_ends_in_the_same_bytes() {
    let table = tickets(900);
    let calm = table_office("rows-calm", &table);
    let output = run(&calm, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(parts(&calm), [256, 512, 768, 900]);

    let folder = table_office("rows-killed", &table);
    run_to_the_first_block(&folder);
    // What the kill may have left of a block that was not logged.
    let part = folder.files().into_iter().find(|name| name.contains(".nightclerk/parts/"));
    if let Some(part) = part {
        let mut bytes = folder.read_bytes(&part);
        bytes.extend_from_slice(b"899,half a ro");
        folder.write(&part, bytes);
    }
    let output = run(&folder, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let rows = parts(&folder);
    assert!(rows.is_sorted_by(|a, b| a < b), "no block was answered twice: {rows:?}");
    for file in ["", ".json", ".md"] {
        let name = TABLE.replace(".rows.csv", if file.is_empty() { ".rows.csv" } else { file });
        assert_eq!(folder.read(&name), calm.read(&name), "{name}");
    }
    assert!(!folder.files().iter().any(|name| name.contains(".nightclerk/parts/")));
    check_verifies(&folder);
}

#[test]
fn a_broken_part_file_is_begun_anew_and_a_changed_input_leaves_none() {
    let folder = table_office("rows-broken", &tickets(600));
    run_to_the_first_block(&folder);
    if let Some(part) = folder.files().into_iter().find(|name| name.contains("/parts/")) {
        folder.write(&part, "id,text\r\n");
    }
    let output = run(&folder, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(cells(&folder.read(TABLE), b',').len(), 601);
    folder.write("in/tickets.csv", tickets(5));
    let output = run(&folder, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(cells(&folder.read(TABLE), b',').len(), 6);
    assert!(!folder.files().iter().any(|name| name.contains("/parts/")));
    check_verifies(&folder);
}

#[test]
fn the_sheets_of_a_workbook_stand_in_one_table() {
    let folder = table_office("rows-sheets", "");
    fs::remove_file(folder.path().join("in/tickets.csv")).expect("it is there");
    let fixture = crate::support::repository("fixtures/inbox/assets.xlsx");
    folder.write("in/tickets.xlsx", fs::read(fixture).expect("a fixture"));
    let output = run(&folder, &[]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    let table = cells(&folder.read("out/tickets/inbox/tickets.xlsx.rows.csv"), b',');
    let record: Value = serde_json::from_str(&folder.read("out/tickets/inbox/tickets.xlsx.json"))
        .expect("a record");
    let sheets = record["coverage"]["pages"].as_array().expect("a list").len();
    let names: std::collections::BTreeSet<&String> = table.iter().map(|row| &row[0]).collect();
    assert!(sheets > 1 && names.len() == sheets, "{sheets} {names:?}");
    check_verifies(&folder);
}

/// By hand: `ROWS=1000000 cargo test --release --test it -- --ignored rows::memory --nocapture`.
#[test]
#[ignore = "minutes: a table of a million rows"]
fn memory_is_flat_over_a_million_rows() {
    let rows: usize = std::env::var("ROWS").map_or(1_000_000, |n| n.parse().expect("a number"));
    let peak = |rows: usize| {
        let table: String = std::iter::once("id,text,note\n".to_owned())
            .chain((0..rows).map(|n| format!("{n},nothing is asked of this row,{}\n", n * 7)))
            .collect();
        let folder = table_office("rows-many", &table);
        drop(table);
        let mut child = begin(&folder, &[]);
        let mut peak = 0;
        while child.try_wait().expect("it is ours").is_none() {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
            let status = status.unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            peak = kib.unwrap_or(0u64).max(peak);
            std::thread::sleep(Duration::from_millis(20));
        }
        let lines = folder.read_bytes(TABLE).iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, rows + 1);
        check_verifies(&folder);
        peak
    };
    let began = Instant::now();
    let (few, many) = (peak(rows / 100), peak(rows));
    println!("{} rows: {few} KiB; {rows} rows: {many} KiB; {:?}", rows / 100, began.elapsed());
    assert!(many < few + 64 * 1024);
}
