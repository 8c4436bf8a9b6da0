//! What people touch: the first folder, the report, the workbook and its review, the comparison of two
//! nights, the manual. With a tiny model of random weights.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Output};

use calamine::{Data, Reader, Xlsx};
use rust_xlsxwriter::Workbook;
use serde_json::Value;

use crate::night::{office, run};
use crate::rows::{table_office, tickets};
use crate::support::{Folder, nightclerk, python_verifies, told};

fn ask(folder: &Folder, args: &[&str]) -> Output {
    nightclerk(folder.path(), args).output().expect("the program starts")
}

fn said(folder: &Folder, args: &[&str]) -> String {
    let output = ask(folder, args);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The JSON of the page's block `id`.
fn block(page: &str, id: &str) -> Value {
    let start = format!("<script type=\"application/json\" id=\"{id}\">");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no block {id}"));
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn the_report_of_a_night_shows_every_document_and_lets_nothing_in() {
    let folder = office("report", 3);
    let hostile = "</script><script>alert(1)</script> <img src=x onerror=alert(1)> \u{202e}";
    folder.write("in/00/<b>.txt", format!("LEASE\n\n{hostile} between A Ltd and B Ltd.\n"));
    folder.write("in/00/picture.png", b"\x89PNG\r\n\x1a\n0000");
    assert_eq!(run(&folder, &[]).status.code(), Some(3));
    let page = folder.read("out/report.html");
    let policy = page.split_once("Content-Security-Policy\" content=\"").unwrap().1;
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy:.80}");
    assert!(!page.contains("alert(1)</") && !page.contains("<img") && !page.contains("<b>"));
    let rows = block(&page, "row-facts");
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 5);
    let refused = rows.iter().find(|row| row["outcome"] == "refused").unwrap();
    assert!(!refused["reason"].as_str().unwrap().is_empty());
    let hostile_row = rows.iter().find(|row| row["path"] == "inbox/00/<b>.txt").unwrap();
    let id = hostile_row["id"].as_str().unwrap();
    let texts = folder.read(&format!("out/report/{id}.js"));
    assert!(texts.starts_with("nightclerkPages({") && texts.ends_with("});\n"));
    // The text is that which was read: every passage is a part of it, and no quote is astray.
    for row in rows {
        let doc = block(&page, &format!("doc-{}", row["id"].as_str().unwrap()));
        assert!(!doc.to_string().contains("\"gone\":true"), "{doc}");
    }
    let night = block(&page, "night-facts");
    assert_eq!(night["answers"].as_array().unwrap().len(), 4);
    assert!(night["made"].to_string().contains("chain head"));
    // Made again it is the same, but for an input that has changed since.
    assert_eq!(said(&folder, &["report"]).trim(), "out/report.html".replace("out", &out(&folder)));
    assert_eq!(folder.read("out/report.html"), page);
    folder.write("in/00/<b>.txt", "another text");
    said(&folder, &["report"]);
    let page = folder.read("out/report.html");
    let doc = block(&page, &format!("doc-{id}"));
    assert!(doc["notes"].to_string().contains("the input has changed"), "{}", doc["notes"]);
    assert_eq!(folder.read(&format!("out/report/{id}.js")), texts, "the text that was read stays");
    // Without the kept text it cannot be had from the changed input.
    fs::remove_file(folder.path().join(format!("out/report/{id}.js"))).unwrap();
    said(&folder, &["report"]);
    let page = folder.read("out/report.html");
    let notes = block(&page, &format!("doc-{id}"))["notes"].to_string();
    assert!(notes.contains("cannot be had"), "{notes}");
    assert!(!folder.path().join(format!("out/report/{id}.js")).exists());
}

fn out(folder: &Folder) -> String {
    folder.path().canonicalize().unwrap().join("out").display().to_string()
}

/// The sheet `Review` of a workbook as text.
fn review_sheet(book: &Path) -> Vec<Vec<String>> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(fs::read(book).unwrap())).unwrap();
    assert_eq!(book.sheet_names(), ["Documents", "Review"]);
    let sheet = book.worksheet_range("Review").unwrap();
    sheet.rows().map(|row| row.iter().map(Data::to_string).collect()).collect()
}

/// A workbook as a spreadsheet program saves it: the same cells, other bytes.
fn save(rows: &[Vec<String>], path: &Path) {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("Review").unwrap();
    for (line, row) in (0..).zip(rows) {
        for (column, text) in (0..).zip(row) {
            sheet.write_string(line, column, text).unwrap();
        }
    }
    book.save(path).unwrap();
}

/// A workbook of two cells as far from one another as a sheet has places: a few KB that stand for half a TB.
fn bomb(path: &Path) {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("Review").unwrap();
    sheet.write_string(0, 0, "document").unwrap();
    sheet.write_string(1_048_575, 16_383, "boom").unwrap();
    book.save(path).unwrap();
}

#[test]
fn a_reviewed_workbook_goes_into_the_log_and_edited_evidence_does_not() {
    let folder = office("review", 2);
    assert!(matches!(run(&folder, &[]).status.code(), Some(0 | 3)));
    let book = folder.path().join("out/tables/contracts.xlsx");
    let mut rows = review_sheet(&book);
    assert_eq!(rows.len(), 1 + 4, "a heading, two fields of two documents");
    assert_eq!(&rows[0][..3], ["document", "field", "value"]);
    let flagged: Vec<bool> = rows[1..].iter().map(|row| !row[3].is_empty()).collect();
    assert!(flagged.is_sorted_by(|a, b| a >= b), "flagged rows come first: {flagged:?}");

    let mine = folder.path().join("mine.xlsx");
    rows[1][6] = "signed-off".into();
    rows[2][6] = "Corrected".into();
    rows[2][7] = "the right one".into();
    rows[2][8] = "Beate".into();
    save(&rows, &mine);
    let nobody = ask(&folder, &["review", "mine.xlsx"]);
    assert_eq!(nobody.status.code(), Some(1), "{}", told(&nobody));
    assert!(told(&nobody).contains("row 2: no reviewer"), "{}", told(&nobody));
    let taken = said(&folder, &["review", "mine.xlsx", "--reviewer", "Anna"]);
    assert!(taken.starts_with("1 signed off, 1 corrected, 0 rejected"), "{taken}");
    let again = said(&folder, &["review", "mine.xlsx", "--reviewer", "Anna"]);
    assert!(again.starts_with("0 signed off, 0 corrected, 0 rejected; 2 known"), "{again}");
    let verified = ask(&folder, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", told(&verified));
    let log = folder.files().into_iter().filter(|name| name.contains("/log/"));
    let log: String = log.map(|name| folder.read(&name)).collect();
    assert_eq!(log.matches("\"event\":\"review\"").count(), 2);
    assert!(!log.contains("the right one"), "the log holds no content");
    said(&folder, &["report"]);
    let page = folder.read("out/report.html");
    assert!(page.contains("\"reviewer\":\"Beate\"") && page.contains("the right one"));

    // What the person wrote is held against the log, by both verifiers.
    let is_words = |name: &String| name.starts_with("out/.nightclerk/reviews/");
    let words = folder.files().into_iter().find(is_words).unwrap();
    let wrote = folder.read(&words);
    for forged in [Some(wrote.replace("the right one", "the wrong one") + " "), None] {
        match &forged {
            Some(text) => drop(folder.write(&words, text)),
            None => fs::remove_file(folder.path().join(&words)).unwrap(),
        }
        let theirs = python_verifies(&folder);
        for (code, told) in [(3, ask(&folder, &["verify"])), (1, theirs)] {
            assert_eq!(told.status.code(), Some(code), "{}", self::told(&told));
            assert!(self::told(&told).contains(&words["out/".len()..]), "{}", self::told(&told));
        }
    }
    folder.write(&words, &wrote);
    assert!(said(&folder, &["verify"]).contains("what reviewers wrote, as logged: 2"));
    assert!(python_verifies(&folder).status.success());

    // What was given to be judged must stand there as it was.
    for (column, name) in [(2, "value"), (5, "quote")] {
        let mut edited = rows.clone();
        edited[1][column] = "something else".into();
        save(&edited, &mine);
        let refused = ask(&folder, &["review", "mine.xlsx", "--reviewer", "Anna"]);
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
        let expected = format!("the column \"{name}\" was changed");
        assert!(told(&refused).contains(&expected), "{}", told(&refused));
    }
    let mut unknown = rows.clone();
    unknown[3][6] = "fine".into();
    save(&unknown, &mine);
    let refused = ask(&folder, &["review", "mine.xlsx", "--reviewer", "Anna"]);
    assert!(told(&refused).contains("row 4: \"fine\" is none of signed-off"), "{}", told(&refused));

    // A workbook is read like every document: a bomb costs its reader, not the command.
    bomb(&mine);
    let refused = ask(&folder, &["review", "mine.xlsx", "--reviewer", "Anna"]);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(told(&refused).contains("reading needed more than"), "{}", told(&refused));

    // What was written about an output goes with it.
    let words = |folder: &Folder| {
        let files = folder.files().into_iter();
        files.filter(|name| name.contains("/reviews/")).count()
    };
    assert_eq!(words(&folder), 2);
    said(&folder, &["erase", "lease 0.txt", "lease 1.txt"]);
    assert_eq!(words(&folder), 0);
    let verified = ask(&folder, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", told(&verified));
}

#[test]
fn answers_to_the_rows_of_a_table_are_judged_one_by_one() {
    let folder = table_office("review-rows", &tickets(7));
    assert_eq!(run(&folder, &[]).status.code(), Some(0));
    let book = folder.path().join("out/tables/tickets.xlsx");
    let mut rows = review_sheet(&book);
    let shown: Vec<[&str; 3]> =
        rows[1..].iter().map(|row| [&*row[1], &*row[2], &*row[5]]).collect();
    assert_eq!(shown.len(), 5, "rows that say nothing are not to be judged: {shown:?}");
    assert_eq!(shown[0][..2], ["row 3: due", "03/04/2019"], "what is flagged comes first");
    assert!(rows[1][3].contains("ambiguous_date"), "{:?}", rows[1]);
    let asked =
        ["row 2: refund", "yes", "0 | I want a refund for the broken lamp in my order, please."];
    let at = 1 + shown.iter().position(|row| *row == asked).expect("the first row's answer");
    let mine = folder.path().join("mine.xlsx");
    rows[1][6] = "corrected".into();
    rows[1][7] = "2019-04-03".into();
    rows[at][6] = "signed-off".into();
    save(&rows, &mine);
    let review = ["review", "mine.xlsx", "--reviewer", "Anna"];
    let taken = said(&folder, &review);
    assert!(taken.starts_with("1 signed off, 1 corrected, 0 rejected"), "{taken}");
    let again = said(&folder, &review);
    assert!(again.starts_with("0 signed off, 0 corrected, 0 rejected; 2 known"), "{again}");
    assert_eq!(ask(&folder, &["verify"]).status.code(), Some(0));
    said(&folder, &["report"]);
    let page = folder.read("out/report.html");
    assert!(page.contains("\"judged\":{\"row 2: refund\""), "the report shows who judged a row");
    assert!(page.contains("\"corrected\":\"2019-04-03\""), "and what is right");

    let refused = |rows: &[Vec<String>], why: &str| {
        save(rows, &mine);
        let refused = ask(&folder, &review);
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
        assert!(told(&refused).contains(why), "{}", told(&refused));
    };
    let mut edited = rows.clone();
    edited[at][5] = "something else".into();
    refused(&edited, "the column \"quote\" was changed");
    edited = rows.clone();
    edited[at][1] = "row 900: refund".into();
    refused(&edited, "its table has no row 900");
    let table = "out/tickets/inbox/tickets.csv.rows.csv";
    folder.write(table, folder.read(table).replace("yes", "no"));
    refused(&rows, "its table of rows is not as the log has it");
}

#[test]
fn two_nights_are_compared_field_by_field() {
    let folder = office("diff", 2);
    assert!(matches!(run(&folder, &[]).status.code(), Some(0 | 3)));
    let copy = Command::new("cp").args(["-r", "out", "before"]).current_dir(folder.path()).status();
    assert!(copy.unwrap().success());
    let same = said(&folder, &["diff", "before", "out"]);
    assert_eq!(same, "2 same, 0 changed, 0 only in the first, 0 only in the second\n");
    let name = "before/contracts/inbox/00/lease 0.txt.json";
    let mut record: Value = serde_json::from_str(&folder.read(name)).unwrap();
    record["fields"]["agreement_date"]["value"] = "1999-12-31".into();
    record["made_with"]["text_rules"] = 0.into();
    folder.write(name, record.to_string());
    fs::remove_file(folder.path().join("before/contracts/inbox/01/lease 1.txt.json")).unwrap();
    let changed = said(&folder, &["diff", "before", "out"]);
    for part in [
        "+ contracts/inbox/01/lease 1.txt\n",
        "contracts/inbox/00/lease 0.txt\n    agreement_date value\n      - 1999-12-31\n",
        "made with another text_rules: 1 documents\n",
        "0 same, 1 changed, 0 only in the first, 1 only in the second\n",
    ] {
        assert!(changed.contains(part), "{part:?} in {changed}");
    }
    let facts: Value =
        serde_json::from_str(&said(&folder, &["diff", "before", "out", "--format", "json"]))
            .unwrap();
    assert_eq!(facts["fields"]["agreement_date"], 1);
}

#[test]
fn an_answer_is_compared_with_the_one_that_it_took_the_place_of() {
    let folder = office("diff-superseded", 2);
    folder.write("jobs.toml", folder.read("jobs.toml") + "keep_superseded = true\n");
    run(&folder, &[]);
    let none = ask(&folder, &["diff", "out"]);
    assert_eq!(none.status.code(), Some(1), "{}", told(&none));
    assert!(told(&none).contains("keep_superseded = true"), "{}", told(&none));
    let name = "in/01/lease 1.txt";
    for day in ["7", "8"] {
        folder.write(name, folder.read(name).replace(" March 2024", &format!("{day} March 2024")));
        run(&folder, &[]);
    }
    let changed = said(&folder, &["diff", "out"]);
    assert!(
        changed.starts_with("contracts/inbox/01/lease 1.txt (the input changed)\n"),
        "{changed}"
    );
    let last = "0 same, 1 changed, 0 only in the first, 0 only in the second\n";
    assert!(changed.ends_with(last), "{changed}");
    // By path: the first answer against the second, and against itself.
    let record = "contracts/inbox/01/lease 1.txt.json";
    let kept = folder.files();
    let kept = kept.iter().filter(|name| name.contains(&format!("superseded/{record}/")));
    let kept: Vec<&str> = kept.map(String::as_str).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(said(&folder, &["diff", kept[0], kept[1]]).contains("(the input changed)"));
    assert!(said(&folder, &["diff", kept[0], kept[0]]).starts_with("1 same, 0 changed"));
    assert!(said(&folder, &["diff", kept[0], &format!("out/{record}")]).contains("1 changed"));
}

#[test]
fn a_new_folder_teaches_and_is_never_written_over() {
    let folder = Folder::new("init");
    let made = said(&folder, &["init", "clerk"]);
    assert_eq!(made.matches("made ").count(), 8, "{made}");
    folder.write("clerk/inbox/note.txt", "This is an agreement.");
    let clerk = folder.path().join("clerk");
    let plan = nightclerk(&clerk, ["plan"]).output().unwrap();
    assert_eq!(plan.status.code(), Some(0), "{}", told(&plan));
    folder.write("clerk/jobs.toml", "mine");
    let again = said(&folder, &["init", "clerk"]);
    assert_eq!(again.matches("left ").count(), 8, "{again}");
    assert_eq!(folder.read("clerk/jobs.toml"), "mine");
    let schema: Value = serde_json::from_str(&said(&folder, &["init", "--schema"])).unwrap();
    assert_eq!(schema["properties"]["job"]["type"], "array");
    assert_eq!(folder.read("clerk/jobs.schema.json"), said(&folder, &["init", "--schema"]));
    let units = said(&folder, &["init", "--systemd"]);
    assert!(units.contains("[Service]") && units.contains("[Timer]"), "{units}");
    assert!(said(&folder, &["init", "--cron"]).ends_with("&& nightclerk run\n"));
}

#[test]
fn version_completions_and_manual_are_printed() {
    let folder = Folder::new("manual");
    let version = said(&folder, &["--version"]);
    assert_eq!(version, concat!("nightclerk ", env!("CARGO_PKG_VERSION"), "\n"));
    let verbose = said(&folder, &["--version", "--verbose"]);
    assert!(verbose.contains("\ncommit: ") && verbose.contains("portable"), "{verbose}");
    assert!(said(&folder, &["completions", "bash"]).contains("_nightclerk()"));
    said(&folder, &["man", "new/man"]);
    let pages = folder.files();
    assert!(pages.contains(&"new/man/nightclerk-run.1".to_owned()), "{pages:?}");
    let words = ask(&folder, &[]);
    assert_eq!(words.status.code(), Some(1), "nothing asked is a usage error: {}", told(&words));
}

/// What a tired person types wrong is answered with what is meant, in one line, and nothing is made or written.
#[test]
fn a_slip_is_answered_with_what_is_meant() {
    let folder = office("slips", 0);
    fs::create_dir(folder.path().join("in")).unwrap();
    let before = folder.files();
    let a_time = "a time of day from 00:00 to 23:59";
    let a_length = "a length of time like 6h";
    for (args, meant) in [
        (&["run", "--until", "25:00"][..], a_time),
        (&["run", "--until", "6am"], a_time),
        (&["plan", "--until", "6"], a_time),
        (&["run", "--for", "6"], a_length),
        (&["run", "--for", "-3h"], a_length),
        (&["run", "--for", "0s"], a_length),
        (&["verify", "--expect-every", "day"], a_length),
        (&["verify", "--expect-every", "0h"], a_length),
        (&["verify"], "made by the first run"),
        (&["erase", "a.pdf"], "made by the first run"),
        (&["prove", "a.pdf"], "made by the first run"),
        (&["checkpoint", "export", "stick"], "made by the first run"),
        (&["diff", "outt"], "outt: there is nothing here"),
        (&["ask", "in", "--prompt", "Why?"], "in: not a file that can be read"),
        (&["run", "night"], "no job named \"night\""),
        (&["model", "jobs.toml"], "not a whole GGUF file"),
    ] {
        let mut clerk = nightclerk(folder.path(), args);
        let output = clerk.env("RUST_BACKTRACE", "1").output().expect("the program starts");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", told(&output));
        assert!(told(&output).contains(meant), "{args:?}: {}", told(&output));
        assert!(!told(&output).contains(" at /"), "calls are for programmers: {}", told(&output));
        assert_eq!(folder.files(), before, "{args:?}");
    }
    for args in [&["plan", "--until", "6:00"][..], &["plan", "--for", "90m"]] {
        assert!(said(&folder, args).starts_with("no document is in the folders"), "{args:?}");
    }
    let output = run(&folder, &[]);
    assert!(told(&output).contains("no document is in the folders"), "{}", told(&output));
    let known = ask(&folder, &["verify", "--known", "nowhere"]);
    assert!(told(&known).contains("--known nowhere: it is not there"), "{}", told(&known));
}
