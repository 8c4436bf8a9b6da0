//! What a person writes in `jobs.toml` and task files, and what they are told when it is wrong.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use expect_test::{Expect, expect};
use nightclerk::base::{Digest, Format};
use nightclerk::jobs::{FieldType, ModelOverride, Places, Plan, PlanError, TaskKind, load_in};

const JOBS: &str = r#"output = "out"

[model]
path = "model.gguf"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

[audit]
origin = "example.com/contracts"
key_dir = "keys"

[[job]]
name = "contracts"
input = { inbox = "inbox" }
tasks = ["summary.toml", "terms.toml"]
"#;

const SUMMARY: &str = "kind = \"summarize\"\ninstruction = \"Summarize.\"\n";

const TERMS: &str = r#"kind = "extract"
formats = ["docx", "pdf"]

[[field]]
name = "governing_law"
question = "Which law governs?"

[[field]]
name = "signed_on"
question = "When was it signed?"
type = "date"
"#;

/// A folder with a `jobs.toml`, its task files and an input folder; removed at the end.
struct Office(PathBuf);

impl Office {
    fn new() -> Office {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("nightclerk-jobs-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(folder.join("inbox")).expect("the temporary folder is writable");
        let office = Office(folder);
        for (name, text) in [("jobs.toml", JOBS), ("summary.toml", SUMMARY), ("terms.toml", TERMS)]
        {
            office.write(name, text);
        }
        office
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("the folder is writable");
    }

    /// Puts `new` in the place of `old` in `file`.
    fn edit(&self, file: &str, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.0.join(file)).expect("written before");
        assert!(text.contains(old), "{old:?} is in {file}");
        self.write(file, &text.replace(old, new));
    }

    fn load(&self) -> Result<Plan, PlanError> {
        self.load_with(None)
    }

    fn load_with(&self, model: Option<ModelOverride>) -> Result<Plan, PlanError> {
        load_in(&self.0.join("jobs.toml"), model, &self.places())
    }

    fn places(&self) -> Places {
        let below = |name| Some(self.0.join(name));
        Places { home: below("home"), cache: below("cache"), state: below("state") }
    }

    /// The report of what is wrong, with this folder's name taken out.
    fn report(&self) -> String {
        let error = self.load().expect_err("something is wrong");
        error.report(false).replace(&format!("{}/", self.0.display()), "")
    }

    /// One line for each problem.
    fn check(&self, expected: &Expect) {
        let error = self.load().expect_err("something is wrong");
        let text = error.to_string().replace(&format!("{}/", self.0.display()), "");
        expected.assert_eq(&text.replace(&self.0.display().to_string(), "FOLDER"));
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_shortest_jobs_toml_has_every_default_filled_in() {
    let office = Office::new();
    let plan = office.load().map_err(|error| error.report(false)).expect("nothing is wrong");
    assert_eq!(plan.output, office.0.join("out"));
    assert_eq!(plan.digest, Digest::of(JOBS.as_bytes()));
    assert!(plan.engine.threads >= 1);
    assert_eq!((plan.engine.slots, plan.engine.context_tokens), (64, 8192));
    assert_eq!(plan.audit.key_dir, office.0.join("keys"));
    let job = &plan.jobs[0];
    assert_eq!(job.roots[0].folder, office.0.join("inbox"));
    assert!(job.include.is_match("deep/down/LEASE.PDF") && !job.exclude.is_match("lease.pdf"));
    assert_eq!((job.settle, job.attempts_max), (Duration::from_secs(120), 3));
    let [summary, terms] = &job.tasks[..] else { panic!("two tasks") };
    assert_eq!(summary.digest, Digest::of(SUMMARY.as_bytes()));
    assert_eq!(summary.formats, Format::READ);
    assert!(matches!(summary.kind, TaskKind::Summarize { length: 400, .. }));
    assert_eq!(summary.system, terms.system);
    assert_eq!(terms.formats, [Format::Pdf, Format::Docx]);
    let TaskKind::Extract { fields } = &terms.kind else { panic!("an extraction") };
    assert_eq!(fields[0].name, "governing_law");
    assert_eq!((fields[0].value, fields[1].value), (FieldType::Text, FieldType::Date));
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let office = Office::new();
    std::fs::create_dir(office.0.join("scans")).expect("the folder is writable");
    office.write(
        "jobs.toml",
        r#"output = "~/out"
[model]
path = "/models/a.gguf"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[engine]
threads = 2
slots = 16
memory = "1.5GiB"
context_tokens = 4096
date = "2026-01-31"
[audit]
origin = "example.com/contracts"
[limits]
input_max = "1MiB"
memory = "1GiB"
cpu = "5s"
wall = "10s"
pages = 100
[[job]]
name = "contracts"
input = { scans = "scans", inbox = "./inbox/../inbox" }
include = ["**/*.pdf"]
exclude = ["drafts/**"]
tasks = ["terms.toml"]
settle = "0s"
attempts_max = 1
password = "s3cret"
archives = true
"#,
    );
    let plan = office.load().map_err(|error| error.report(false)).expect("nothing is wrong");
    assert_eq!(plan.output, office.0.join("home/out"));
    assert_eq!(plan.model.sought, [Path::new("/models/a.gguf")]);
    assert_eq!((plan.engine.threads, plan.engine.slots), (2, 16));
    assert_eq!((plan.engine.memory_bytes, plan.engine.date.as_str()), (3 << 29, "2026-01-31"));
    assert_eq!(plan.audit.key_dir, office.0.join("state/nightclerk/keys"));
    assert_eq!((plan.limits.input_bytes_max, plan.limits.pages_max), (1 << 20, 100));
    assert_eq!(plan.limits.cpu_max, Duration::from_secs(5));
    let job = &plan.jobs[0];
    let roots: Vec<_> = job.roots.iter().map(|root| root.name.as_str()).collect();
    assert_eq!(roots, ["inbox", "scans"]);
    assert_eq!(job.roots[0].folder, office.0.join("inbox"));
    assert!(job.exclude.is_match("drafts/old/a.pdf") && !job.include.is_match("a.txt"));
    assert_eq!((job.settle, job.attempts_max), (Duration::ZERO, 1));
    assert_eq!(job.password.as_deref(), Some("s3cret"));
    assert!(job.archives);
}

#[test]
fn an_error_shows_its_line_and_the_way_out() {
    let office = Office::new();
    office.edit("jobs.toml", "tasks =", "task =");
    let expected = [
        "  × unknown key `task`",
        "    ╭─[jobs.toml:14:1]",
        " 13 │ input = { inbox = \"inbox\" }",
        " 14 │ task = [\"summary.toml\", \"terms.toml\"]",
        "    · ────",
        "    ╰────",
        "  help: did you mean `tasks`?",
    ];
    assert_eq!(office.report().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn all_that_is_wrong_in_one_file_is_said_at_once() {
    let office = Office::new();
    office.edit("jobs.toml", "output = \"out\"", "output = 3\nverbose = true\n[engine]\nthreds = 2\nslots = 0\nmemory = \"6 Gigs\"\ndate = \"31.1.2026\"");
    office.edit("jobs.toml", "e3b0", "E3B0");
    office.edit("jobs.toml", "key_dir = \"keys\"", "key_dir = 7");
    office.check(&expect![[r#"
        jobs.toml:1:10: wrong type: integer `3`, expected a string
        jobs.toml:2:1: unknown key `verbose` (known here: output, model, engine, audit, isolation, ocr, limits, job)
        jobs.toml:4:1: unknown key `threds` (did you mean `threads`?)
        jobs.toml:5:9: slots = 0 is outside of 1 to 1024 (64 is the default)
        jobs.toml:6:10: memory = "6 Gigs" is no size (a number and KiB, MiB or GiB, as in "6GiB")
        jobs.toml:7:8: date = "31.1.2026" is no date (as in date = "2026-01-31")
        jobs.toml:11:10: sha256: not a SHA-256 digest: 64 lower-case hexadecimal digits are expected (`sha256sum FILE` prints it)
        jobs.toml:15:11: wrong type: integer `7`, expected a string"#]]);
}

#[test]
fn what_is_missing_is_named() {
    let office = Office::new();
    office.write("jobs.toml", "[[job]]\n");
    office.check(&expect![[r#"
        jobs.toml:1:1: `output` is missing (output = "out")
        jobs.toml:1:1: `model` is missing (add [model] with path = "….gguf" and sha256 = "…")
        jobs.toml:1:1: `origin` is missing ([audit] origin = "example.com/contracts": your own domain and a name, for good)
        jobs.toml:1:1: `name` is missing (name = "contracts")
        jobs.toml:1:1: `input` is missing (input = { inbox = "folder" }: a name for the output, and the folder)
        jobs.toml:1:1: `tasks` is missing (tasks = ["prompts/summary.toml"])"#]]);
}

#[test]
fn text_that_is_no_toml_is_one_error_with_its_place() {
    let office = Office::new();
    office.edit("jobs.toml", "output = \"out\"", "output = out");
    office.check(&expect![
        "jobs.toml:1:10: not valid TOML: string values must be quoted, expected literal string"
    ]);
    std::fs::write(office.0.join("jobs.toml"), b"output = 1\n# caf\xe9").expect("writable");
    office.check(&expect![
        "jobs.toml: line 2 is not UTF-8 (`nightclerk init` writes a starter; -c names another file)"
    ]);
    std::fs::remove_file(office.0.join("jobs.toml")).expect("it was there");
    office.check(&expect!["jobs.toml cannot be read: No such file or directory (os error 2) (`nightclerk init` writes a starter; -c names another file)"]);
}

#[test]
fn jobs_that_would_meet_in_the_output_are_refused() {
    let office = Office::new();
    let more = r#"
[[job]]
name = "Contracts"
input = { inbox = "inbox", Inbox = "inbox" }
tasks = ["summary.toml"]

[[job]]
name = "tables"
input = { "a/b" = "inbox" }
tasks = ["summary.toml"]

[[job]]
name = ".nightclerk"
input = {}
tasks = []
include = []
"#;
    office.write("jobs.toml", &format!("{JOBS}{more}"));
    office.check(&expect![[r#"
        jobs.toml:17:8: two jobs are named `Contracts` (they would share a folder (upper and lower case are one elsewhere))
        jobs.toml:18:11: two roots are named `inbox` (they would share a folder of the output)
        jobs.toml:22:8: `tables` is taken: it stands beside the jobs in the output folder
        jobs.toml:23:11: "a/b" is no name for a root (letters a-z and A-Z, digits, - _ and ., at most 64 of them, no dot first: it becomes a file name)
        jobs.toml:27:8: ".nightclerk" is no job name (letters a-z and A-Z, digits, - _ and ., at most 64 of them, no dot first: it becomes a file name)
        jobs.toml:28:9: `input` names no folder (input = { inbox = "folder" }: a name for the output, and the folder)
        jobs.toml:29:9: `tasks` is empty: nothing would be asked (name at least one task file)
        jobs.toml:30:11: `include` is empty: nothing would be read (leave it out to take every file)"#]]);
}

#[test]
fn two_tasks_of_a_job_never_write_the_same_thing() {
    let office = Office::new();
    std::fs::create_dir(office.0.join("other")).expect("the folder is writable");
    office.write("other/summary.toml", TERMS);
    office.write("short.toml", SUMMARY);
    office.write("sheets.toml", &format!("formats = [\"xlsx\"]\n{SUMMARY}"));
    office.write("again.toml", TERMS);
    office.edit(
        "jobs.toml",
        r#"tasks = ["summary.toml", "terms.toml"]"#,
        r#"tasks = ["summary.toml", "terms.toml", "other/summary.toml", "short.toml", "again.toml"]"#,
    );
    office.check(&expect![[r#"
        jobs.toml:14:40: two tasks of this job are named `summary` (a task is called by its file's name: rename one of the files)
        jobs.toml:14:62: `summary` and `short` would both write a document's summary (give them different formats, or put them into two jobs)
        jobs.toml:14:76: `terms` and `again` both have a field `governing_law` (rename one of the fields, or put the tasks into two jobs)"#]]);
    office.edit(
        "jobs.toml",
        r#"["summary.toml", "terms.toml", "other/summary.toml", "short.toml", "again.toml"]"#,
        r#"["sheets.toml", "terms.toml"]"#,
    );
    office.load().expect("different formats never meet");
}

#[test]
fn inputs_output_and_keys_stay_apart_even_through_links() {
    let office = Office::new();
    std::os::unix::fs::symlink(office.0.join("inbox"), office.0.join("link")).expect("writable");
    office.edit("jobs.toml", "output = \"out\"", "output = \"link/out\"");
    office.edit("jobs.toml", "key_dir = \"keys\"", "key_dir = \"inbox/out/keys\"");
    office.check(&expect![[r#"
        jobs.toml:9:11: key_dir lies in the output folder (who gets the output to check it must not get the keys)
        jobs.toml:13:19: the input inbox and the output inbox/out lie in one another (inputs are only ever read: keep the two folders apart)
        jobs.toml:13:19: key_dir inbox/out/keys lies in this input (inputs are only ever read)"#]]);
    office.edit("jobs.toml", "output = \"link/out\"", "output = \".\"");
    office.check(&expect![[r#"
        jobs.toml:9:11: key_dir lies in the output folder (who gets the output to check it must not get the keys)
        jobs.toml:13:19: the input inbox and the output FOLDER lie in one another (inputs are only ever read: keep the two folders apart)
        jobs.toml:13:19: key_dir inbox/out/keys lies in this input (inputs are only ever read)"#]]);
}

#[test]
fn folders_files_and_patterns_that_cannot_work_are_found_before_the_night() {
    let office = Office::new();
    office.edit(
        "jobs.toml",
        "inbox = \"inbox\" }",
        "inbox = \"inbx\", file = \"summary.toml\" }\ninclude = [\"{a\", \"/b/*\", \"\", 3]\nsettle = \"soon\"\nattempts_max = 0",
    );
    office.edit("jobs.toml", "\"terms.toml\"", "\"trems.toml\"");
    office.check(&expect![[r#"
        jobs.toml:13:19: inbx cannot be read: No such file or directory (os error 2) (paths are relative to jobs.toml; is a share not mounted?)
        jobs.toml:13:34: summary.toml is not a folder (paths are relative to jobs.toml; is a share not mounted?)
        jobs.toml:14:12: include "{a": unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?) (as in "*.pdf" for the root itself, "**/*.pdf" for all folders below)
        jobs.toml:14:18: include "/b/*": a pattern is matched against the path below the root (as in "*.pdf" for the root itself, "**/*.pdf" for all folders below)
        jobs.toml:14:26: include "": the pattern is empty (as in "*.pdf" for the root itself, "**/*.pdf" for all folders below)
        jobs.toml:14:30: wrong type: integer `3`, expected a string
        jobs.toml:15:10: settle = "soon" is no duration (a number and s, m, h or d, as in "2m")
        jobs.toml:16:16: attempts_max = 0 is outside of 1 to 1000 (3 is the default)
        jobs.toml:17:26: trems.toml cannot be read: No such file or directory (os error 2) (paths are relative to jobs.toml)"#]]);
}

#[test]
fn a_task_file_is_checked_as_closely() {
    let office = Office::new();
    office.write(
        "terms.toml",
        r#"kind = "extract"
unit = "rows"
formats = ["pfd", "msg"]
length = 90
chunk_tokens = 8000
answer_tokens_max = 500

[[field]]
name = "Governing Law"
question = " "
type = "dates"
quote_words_max = 100000

[[field]]
name = "law"
question = "Which?"

[[field]]
name = "law"
many = "yes"
"#,
    );
    office.write("summary.toml", "kind = \"summarise\"");
    office.check(&expect![[r#"
        summary.toml:1:8: `summarise` is no kind of task (did you mean `summarize`?)
        terms.toml:2:8: `rows` is no unit (did you mean `row`?)
        terms.toml:3:12: `pfd` is no format that is read (did you mean `pdf`?)
        terms.toml:3:19: `msg` is no format that is read (known: pdf, docx, xlsx, xls, ods, csv, tsv, text, markdown, html, eml, odt, rtf, pptx, xlsb)
        terms.toml:4:10: length belongs to kind = "summarize"
        terms.toml:5:16: a chunk of 8000 tokens and an answer of 500 leave no room for the question in a context of 8192 (lower chunk_tokens or answer_tokens_max here, or raise [engine] context_tokens)
        terms.toml:9:8: "Governing Law" is no field name (letters a-z, digits and _, a letter first: it becomes a column's name)
        terms.toml:10:12: `question` is empty
        terms.toml:11:8: `dates` is no type of field (did you mean `date`?)
        terms.toml:12:19: quote_words_max = 100000 is outside of 1 to 200 (40 is the default)
        terms.toml:18:1: `question` is missing (what is asked)
        terms.toml:19:8: the field `law` stands here twice (give one of them another name)
        terms.toml:20:8: wrong type: string "yes", expected a boolean"#]]);
}

#[test]
fn a_phrase_that_loses_its_meaning_with_its_marks_is_refused() {
    let office = Office::new();
    let field =
        "kind = \"extract\"\n[[field]]\nname = \"share\"\nquestion = \"Which share?\"\nphrases = ";
    office.write(
        "terms.toml",
        &format!("{field}[\n\"net sales\", \"% of\",\n\"assign*ment\", \"*\", \"≥ 5\"]\n"),
    );
    let aspect = "kind = \"summarize\"\ninstruction = \"Sum up.\"\n[[aspect]]\ntitle = \"Money\"\nquestion = \"How much?\"\n";
    office.write("summary.toml", &format!("{aspect}phrases = [\"$\", \"fee*\"]\n"));
    office.check(&expect![[r#"
        summary.toml:6:12: "$" holds no word to look for (take it out)
        terms.toml:6:14: "% of" is read as "of": `%` counts for nothing (name a word beside it, or spell it: percent)
        terms.toml:7:1: in "assign*ment" a `*` does not end a word ("assign*")
        terms.toml:7:16: "*" holds no word to look for (take it out)
        terms.toml:7:21: "≥ 5" is read as "5": `≥` counts for nothing ("5" if that is meant)"#]]);
    // What stands beside a word and says nothing is no error.
    let sound = "[\"non-compete\", \"Tenant's\", \"no. 5\", \"R&D\", \"and/or\", \"renew* for\"]\n";
    office.write("terms.toml", &format!("{field}{sound}"));
    office.write("summary.toml", &format!("{aspect}phrases = [\"fee*\"]\n"));
    office.load().map_err(|error| error.report(false)).expect("nothing is wrong");
}

#[test]
fn a_summary_needs_its_instruction_and_an_extraction_its_fields() {
    let office = Office::new();
    office.write(
        "summary.toml",
        "kind = \"summarize\"\n[[field]]\nname = \"law\"\nquestion = \"?\"\n",
    );
    office.write("terms.toml", "kind = \"extract\"");
    office.check(&expect![[r#"
        summary.toml:1:1: `instruction` is missing (say what the summary is for and what must be in it)
        summary.toml:2:1: fields belong to kind = "extract"
        terms.toml:1:1: `field` is missing (add [[field]] with name, question and type)"#]]);
}

#[test]
fn a_model_is_sought_beside_jobs_toml_and_then_in_the_cache() {
    let office = Office::new();
    let plan = office.load().expect("a plan needs no model to be there");
    let missing = plan.model.locate().expect_err("there is none");
    let text = missing.to_string().replace(&office.0.display().to_string(), "FOLDER");
    expect!["the model file is missing; it was sought as FOLDER/model.gguf, then as FOLDER/cache/nightclerk/models/model.gguf; copy it to one of these, change [model] path, or name another with --model and --sha256"].assert_eq(&text);

    let cache = office.0.join("cache/nightclerk/models");
    std::fs::create_dir_all(&cache).expect("writable");
    std::fs::write(cache.join("model.gguf"), "GGUF").expect("writable");
    assert_eq!(office.load().expect("as before").model.path, cache.join("model.gguf"));
    office.write("model.gguf", "GGUF");
    let plan = office.load().expect("as before");
    assert_eq!(plan.model.locate(), Ok(office.0.join("model.gguf").as_path()));
}

#[test]
fn a_model_named_by_hand_takes_the_place_of_the_table() {
    let office = Office::new();
    let table = &JOBS[JOBS.find("[model]").expect("there")..JOBS.find("[audit]").expect("there")];
    office.edit("jobs.toml", table, "");
    let model = ModelOverride { path: "/elsewhere/b.gguf".into(), sha256: Digest::of(b"b") };
    let plan = office.load_with(Some(model)).expect("[model] may be missing then");
    assert_eq!(plan.model.path, Path::new("/elsewhere/b.gguf"));
    assert_eq!(plan.model.sha256, Digest::of(b"b"));
}

#[test]
fn colour_adds_nothing_but_colour() {
    let office = Office::new();
    office.edit("jobs.toml", "tasks =", "task =");
    let error = office.load().expect_err("an unknown key");
    let coloured = error.report(true);
    assert!(coloured.contains("\u{1b}["));
    let mut plain = String::new();
    let mut letters = coloured.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => while letters.next().is_some_and(|letter| letter != 'm') {},
            _ => plain.push(letter),
        }
    }
    assert_eq!(plain, error.report(false));
}

#[test]
fn the_jobs_toml_of_the_first_night_is_sound() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs.toml");
    let places = Places { home: Some("/home/clerk".into()), ..Places::default() };
    let plan = load_in(&file, None, &places).map_err(|error| error.report(false));
    let plan = plan.unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(plan.jobs.len(), 1);
    assert_eq!(plan.jobs[0].tasks.len(), 2);
    assert_eq!(plan.jobs[0].tasks[0].system, plan.jobs[0].tasks[1].system, "they share a prefix");
}
