//! What a run tells while it works: a screen, dated lines, JSON lines, metrics. With a tiny model of random
//! weights.

use std::collections::BTreeSet;
use std::process::Command;

use crate::night::{facts, messages, office, run};
use crate::support::{Folder, nightclerk, told};

/// Runs the arguments after the first with standard error on a terminal of so many columns, and prints
/// what was written to it.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    os.execv(sys.argv[2], sys.argv[2:])
while True:
    try:
        read = os.read(terminal, 65536)
    except OSError:
        break
    if not read:
        break
    sys.stdout.buffer.write(read)
"#;

/// What a night writes to a terminal of `kind` (the variable TERM) with so many columns.
fn on_terminal(folder: &Folder, kind: &str, columns: usize) -> String {
    let mut python = Command::new("python3");
    python.args(["-c", TERMINAL, &columns.to_string(), env!("CARGO_BIN_EXE_nightclerk"), "run"]);
    let output = python.current_dir(folder.path()).env("TERM", kind).output().expect("python3");
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Text without the sequences that move a cursor or clear, each of which must be one of those.
fn without_moves(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic()).expect("a sequence has an end");
        assert!(
            "ABCDGHJK".contains(&after[end..=end]),
            "neither move nor clear: {:?}",
            &after[..=end]
        );
        plain.push('\n');
        rest = &after[end + 1..];
    }
    plain + rest
}

/// A name that clears the screen, writes a line of its own and turns the order of what is read.
#[test]
fn a_documents_name_cannot_write_on_the_terminal() {
    let folder = office("escapes", 1);
    let name = "a\u{1b}[2J\u{9b}H\nVERIFIED: all\r\u{202e}fdp.txt";
    folder.write(&format!("in/00/{name}"), "This lease is made on 3 March 2024.\n");
    folder.write(&format!("in/00/{name}.png"), b"\x89PNG\r\n\x1a\n0000");
    let mut said = Vec::new();
    let mut tell = |args: &[&str]| {
        let output = nightclerk(folder.path(), args).output().unwrap();
        said.push(told(&output));
    };
    tell(&["plan"]);
    tell(&["run"]);
    tell(&["status"]);
    Command::new("cp").args(["-r", "out", "before"]).current_dir(folder.path()).status().unwrap();
    folder.write(&format!("out/{name}"), "");
    folder.write("jobs.toml", folder.read("jobs.toml") + "keep_superseded = true\n");
    tell(&["run", "--redo", "all"]);
    tell(&["verify"]);
    tell(&["prove", name]);
    tell(&["erase", name]);
    tell(&["diff", "before", "out"]);
    assert!(said.iter().filter(|said| said.contains("fdp.txt")).count() > 6, "{said:#?}");
    for said in said {
        let unfit = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.contains(unfit), "{said:?}");
        assert!(!said.lines().any(|line| line.starts_with("VERIFIED: all")), "{said}");
    }
}

#[test]
fn a_terminal_gets_one_screen_without_colours_that_fits_its_columns() {
    let folder = office("screen", 3);
    let name = "a name that is much longer than a narrow terminal is wide.png";
    folder.write(&format!("in/00/{name}"), b"\x89PNG\r\n\x1a\n0000");
    let text = without_moves(&on_terminal(&folder, "xterm-256color", 44));
    for line in text.split(['\r', '\n']) {
        // Lines of a screen are filled up with blanks, so that several may follow one another.
        let columns = line.chars().count();
        assert!(
            columns <= 44 || columns % 44 == 0,
            "{line:?} is {columns} columns wide in:\n{text}"
        );
    }
    let stages = ["loading the model", "reading and answering"];
    for part in
        [" of 3", "batch ", " of 8, ", "tokens a second", "refused "].into_iter().chain(stages)
    {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(text.contains(&name[..20]) && !text.contains(name), "it is cut: {text}");
    // A terminal that cannot move its cursor gets lines.
    let folder = office("dumb", 1);
    let text = on_terminal(&folder, "dumb", 80);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.lines().all(|line| line.starts_with("20")), "each is dated: {text}");
    assert!(
        text.contains("Z done: 00/lease 0.txt") || text.contains("Z partial: 00/lease 0.txt"),
        "{text}"
    );
}

#[test]
fn a_program_reads_a_run_line_by_line_as_it_reads_restic() {
    let folder = office("lines", 3);
    folder.write("in/00/picture.png", b"\x89PNG\r\n\x1a\n0000");
    let output = run(&folder, &["--format", "json"]);
    assert!(output.stderr.is_empty(), "{}", told(&output));
    let messages = messages(&output);
    let of =
        |kind: &str| messages.iter().filter(|one| one["message_type"] == kind).collect::<Vec<_>>();
    assert_eq!(of("summary").len(), 1);
    assert_eq!(facts(&output)["exit_code"], 3);
    let paths: BTreeSet<&str> =
        of("document").iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), 4);
    assert!(of("document").iter().any(|one| one["outcome"] == "refused" && one["reason"] != ""));
    let stages: Vec<&str> = of("status").iter().map(|one| one["stage"].as_str().unwrap()).collect();
    assert!(stages.contains(&"loading the model") && stages.contains(&"writing the tables"));
    let last = of("status").pop().unwrap();
    assert_eq!((&last["documents"], &last["documents_done"]), (&3.into(), &3.into()));
    assert!(last["prompt_tokens"].as_u64().unwrap() > 100, "{last}");
    assert_eq!(last["error_count"].as_u64().unwrap() + done(&facts(&output)), 4);
    // Nothing to do still has a summary; an error is a line as well.
    assert_eq!(facts(&run(&folder, &["--format", "json"]))["counts"]["unchanged"], 3);
    folder.write("jobs.toml", "output = 3");
    let broken = run(&folder, &["--format", "json"]);
    let [error] = &self::messages(&broken)[..] else { panic!("{}", told(&broken)) };
    assert_eq!((&error["message_type"], &error["exit_code"]), (&"error".into(), &1.into()));
    assert!(error["message"].as_str().unwrap().contains("jobs.toml"), "{error}");
}

fn done(facts: &serde_json::Value) -> u64 {
    facts["counts"]["done"].as_u64().unwrap()
}

/// Family, labels and value of each sample; checks the text against the exposition format, version 0.0.4
/// (Prometheus, "Text-based format"), as far as it is used here.
fn samples(text: &str) -> Vec<(String, String, f64)> {
    assert!(text.ends_with('\n'), "the last line must end with a line feed");
    let is_name = |name: &str| {
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (mut helped, mut typed) = (BTreeSet::new(), BTreeSet::new());
    let mut found: Vec<(String, String, f64)> = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (kind, rest) = comment.split_once(' ').unwrap();
            let (name, rest) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !rest.is_empty(), "{line}");
            let is_new = match kind {
                "HELP" => helped.insert(name.to_owned()),
                "TYPE" => {
                    assert!(["gauge", "counter", "untyped"].contains(&rest), "{line}");
                    typed.insert(name.to_owned())
                }
                _ => panic!("{line}"),
            };
            assert!(is_new, "once for each name: {line}");
            assert!(!found.iter().any(|(of, ..)| of == name), "before its samples: {line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.strip_suffix('}').unwrap().split_once('{').unwrap();
        assert!(typed.contains(name) && helped.contains(name), "{line}");
        if let Some((last, ..)) = found.last().filter(|(last, ..)| last != name) {
            assert!(
                !found.iter().any(|(of, ..)| of == name),
                "{name} stands together, not after {last}"
            );
        }
        // No value of a label holds a comma here.
        for label in labels.split(',') {
            let (key, quoted) = label.split_once('=').unwrap();
            let inner = quoted.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            assert!(is_name(key), "{line}");
            assert!(!inner.replace("\\\\", "").replace("\\\"", "").contains('"'), "{line}");
        }
        let value: f64 = value.parse().unwrap();
        assert!(!found.iter().any(|(of, with, _)| of == name && with == labels), "twice: {line}");
        found.push((name.to_owned(), labels.to_owned(), value));
    }
    found
}

#[test]
fn metrics_of_a_run_are_a_whole_file_that_prometheus_reads() {
    use std::os::unix::fs::PermissionsExt;

    let folder = office("metrics", 3);
    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", jobs.replace("example.com/test", "example.com/a-\\\"quote\\\""));
    std::fs::create_dir(folder.path().join("collected")).unwrap();
    let output = run(&folder, &["--metrics", "collected/clerk.prom"]);
    let code = output.status.code().unwrap();
    let text = folder.read("collected/clerk.prom");
    let samples = samples(&text);
    let value = |name: &str, label: &str| {
        let named = format!("nightclerk_{name}");
        let one = samples.iter().find(|(of, with, _)| *of == named && with.contains(label));
        one.unwrap_or_else(|| panic!("{name} {label} in {text}")).2
    };
    assert_eq!(value("running", ""), 0.0);
    assert_eq!(value("exit_code", "origin=\"example.com/a-\\\"quote\\\"\""), f64::from(code));
    let answered =
        value("documents", "outcome=\"done\"") + value("documents", "outcome=\"partial\"");
    assert_eq!((answered, value("documents_due", "")), (3.0, 3.0));
    assert!(value("tokens", "kind=\"prompt\"") > 100.0);
    assert!(value("end_time_seconds", "") >= value("start_time_seconds", ""));
    let names = folder.files().into_iter().filter(|name| name.starts_with("collected/"));
    assert_eq!(names.collect::<Vec<_>>(), ["collected/clerk.prom"], "nothing half written stays");
    let mode = folder.path().join("collected/clerk.prom").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & 0o444, 0o444, "whoever collects may read it");
    // A place that cannot be written stops the run before it begins.
    let output = run(&folder, &["--metrics", "nowhere/clerk.prom"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("nowhere/clerk.prom"), "{}", told(&output));
    let args = ["run", "--format", "json", "--metrics", "nowhere/clerk.prom"];
    let output = nightclerk(folder.path(), args).output().unwrap();
    assert_eq!(messages(&output)[0]["message_type"], "error", "{}", told(&output));
}
