//! Runs that end badly: killed at any system call, asked to stop in each stage, a hundred started at once, a
//! disk that runs full. After each the next run ends as if nothing had happened. The sweeps take minutes and
//! are run by hand: `cargo test --test it -- --ignored killed::`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use crate::night::{self, begin, check_verifies, records, run};
use crate::support::{Folder, told};

/// An office whose model has little to say: these nights are about the disk.
fn office(name: &str, documents: usize) -> Folder {
    let folder = night::office(name, documents);
    let summary = folder.read("prompts/summary.toml");
    folder.write(
        "prompts/summary.toml",
        summary.replace("answer_tokens_max = 300", "answer_tokens_max = 12"),
    );
    folder
}

/// What changes something on the disk, or takes the lock.
const CALLS: &str = "write,openat,rename,renameat,renameat2,fsync,fdatasync,ftruncate,unlink,\
                     unlinkat,mkdir,mkdirat,flock";

/// A run whose `number`-th call of each thread meets with `fault`; none where there is no strace.
fn with_fault(folder: &Folder, number: u64, fault: &str) -> Option<Output> {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}")]);
    command.args(["-e", &format!("inject={CALLS}:{fault}:when={number}")]);
    command.arg(env!("CARGO_BIN_EXE_nightclerk")).args(["run", "--redo", "all"]);
    command.current_dir(folder.path()).env("NO_COLOR", "1").output().ok()
}

/// The next run finishes what was left, and nothing tells it from a night without trouble.
fn check_recovers(folder: &Folder, calm: &BTreeMap<String, String>, case: &str) {
    let output = run(folder, &[]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{case}: {}", told(&output));
    assert!(records(folder) == *calm, "{case}: records differ");
    check_verifies(folder);
    let stray = |name: &String| name.contains("tmp") || name.contains("unfinished");
    assert_eq!(folder.files().iter().find(|name| stray(name)), None, "{case}");
}

fn calm(documents: usize) -> BTreeMap<String, String> {
    let folder = office("calm", documents);
    let output = run(&folder, &[]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    records(&folder)
}

#[test]
#[ignore = "minutes: a run for every system call; needs strace"]
fn a_kill_at_any_system_call_is_recovered_from() {
    let calm = calm(2);
    let folder = office("every-call", 2);
    let mut killed = 0;
    for number in 1.. {
        let Some(output) = with_fault(&folder, number, "signal=SIGKILL") else { return };
        if output.status.signal() != Some(9) {
            assert!(matches!(output.status.code(), Some(0 | 3)), "{number}: {}", told(&output));
            break;
        }
        killed += 1;
        // Every fifth time the run that repairs is killed as well, at the same call.
        if number % 5 == 0 {
            with_fault(&folder, number, "signal=SIGKILL");
        }
        check_recovers(&folder, &calm, &format!("killed at call {number}"));
    }
    println!("killed at {killed} system calls");
    assert!(killed > 100, "{killed}");
}

#[test]
#[ignore = "minutes: three runs for every system call; needs strace"]
fn an_error_of_any_system_call_is_recovered_from() {
    let calm = calm(1);
    for error in ["EIO", "ENOSPC", "EINTR"] {
        let folder = office("every-error", 1);
        let mut points = 0;
        for number in 1..120 {
            let Some(output) = with_fault(&folder, number, &format!("error={error}")) else {
                return;
            };
            let ended = matches!(output.status.code(), Some(0 | 1 | 3 | 75));
            // An error before the program's own first line ends the loader.
            assert!(ended || number < 20, "{error} at {number}: {}", told(&output));
            points += 1;
            check_recovers(&folder, &calm, &format!("{error} at call {number}"));
        }
        println!("{error} at {points} calls");
    }
}

/// The stages of a night: each by a call that is made in it, what stands in its line, which of those it is, and
/// whether the night surely ends early.
const STAGES: [(&str, &str, &str, usize, bool); 10] = [
    ("opening the log", "openat", ".nightclerk/lock\"", 1, true),
    ("looking through the inputs", "openat", "/in/00/lease 0.txt\"", 1, true),
    ("checking the model", "openat", "/tiny.gguf\"", 3, true),
    ("loading the model and reading documents", "openat", "/tiny.gguf\"", 4, true),
    ("cutting and answering", "write", "\"{\\\"attempt\\\"", 2, false),
    ("writing a record", "rename", "/out/contracts/inbox/", 1, false),
    ("writing the tables", "rename", "/out/tables/contracts.csv\"", 1, false),
    ("closing the log", "rename", "/checkpoints/8.note\"", 1, false),
    ("writing the last facts", "rename", "/last-run.json\"", 1, false),
    ("writing the report", "rename", "/report.html\"", 1, false),
];

/// A first night under strace, and what that saw; none where there is none.
fn traced(folder: &Folder, more: &[String]) -> Option<(Output, String)> {
    for name in ["out", "keys"] {
        let _ = fs::remove_dir_all(folder.path().join(name));
    }
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "64", "-o", "calls", "-e", "trace=openat,rename,write"]);
    command.args(more).arg(env!("CARGO_BIN_EXE_nightclerk")).arg("run");
    let output = command.current_dir(folder.path()).env("NO_COLOR", "1").output().ok()?;
    Some((output, folder.read("calls")))
}

/// Which of the calls `call` of its thread is the `nth` whose line holds `what`.
fn place(calls: &str, call: &str, what: &str, nth: usize) -> Option<usize> {
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    let of_call = calls.lines().filter_map(|line| {
        let (thread, line) = line.split_once(' ')?;
        line.trim_start().strip_prefix(call)?.strip_prefix('(')?;
        let made = made.entry(thread).or_default();
        *made += 1;
        Some((*made, line))
    });
    let found: Vec<usize> =
        of_call.filter(|(_, line)| line.contains(what)).map(|(at, _)| at).collect();
    found.get(nth - 1).copied()
}

#[test]
fn a_request_to_stop_in_each_stage_is_followed() {
    let folder = office("stopped", 2);
    let Some((output, calls)) = traced(&folder, &[]) else { return };
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    let calm = records(&folder);
    for (stage, call, what, nth, early) in STAGES {
        let at = place(&calls, call, what, nth).unwrap_or_else(|| panic!("{stage}: {calls}"));
        let inject = format!("inject={call}:signal=SIGTERM:when={at}");
        let (output, calls) = traced(&folder, &["-e".into(), inject]).expect("it was there");
        let (before, _) = calls.split_once("--- SIGTERM").unwrap_or_else(|| panic!("{stage}"));
        assert!(before.lines().rev().take(9).any(|line| line.contains(what)), "{stage}: {before}");
        let code = output.status.code();
        let whole = matches!(code, Some(0 | 3));
        assert!(code == Some(75) || (whole && !early), "{stage}: {}", told(&output));
        check_recovers(&folder, &calm, stage);
    }
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn of_a_hundred_starts_at_once_one_runs() {
    let folder = office("hundred", 6);
    let mut started: Vec<Child> = (0..100).map(|_| begin(&folder, &[])).collect();
    let lock = folder.path().join("out/.nightclerk/lock");
    let holder =
        |text: String| started.iter().position(|child| text.contains(&child.id().to_string()));
    let began = Instant::now();
    let winner = loop {
        if let Some(found) = holder(fs::read_to_string(&lock).unwrap_or_default()) {
            break found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nobody holds the lock");
        std::thread::sleep(Duration::from_millis(1));
    };
    // So that it is still at work when the last of the others looks.
    let winner = started.remove(winner);
    signal("STOP", winner.id());
    for child in started {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(75), "{}", told(&output));
        assert!(told(&output).contains(&winner.id().to_string()), "{}", told(&output));
    }
    signal("CONT", winner.id());
    let output = winner.wait_with_output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    check_verifies(&folder);
}

#[test]
fn a_disk_that_runs_full_is_said_and_the_next_run_completes() {
    let calm = calm(6);
    let folder = office("full", 6);
    // A file system of its own, where this user may have one.
    let script = "set -e; mkdir -p out; mount -t tmpfs -o size=64k full out; code=0; \
                  \"$0\" run >first.txt 2>&1 || code=$?; echo $code >first.code; \
                  mount -o remount,size=16m out; code=0; \
                  \"$0\" run >second.txt 2>&1 || code=$?; echo $code >second.code; \
                  \"$0\" verify >verify.txt 2>&1 || echo broken >>verify.txt; cp -r out kept";
    let done = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_nightclerk")])
        .current_dir(folder.path())
        .output();
    if !done.is_ok_and(|done| done.status.success()) {
        return; // No mounts for this user, here.
    }
    assert_eq!(folder.read("first.code").trim(), "1", "{}", folder.read("first.txt"));
    let told = folder.read("first.txt");
    assert!(told.contains("No space left on device") && told.contains("out/"), "{told}");
    assert!(told.contains("run again: what was finished is kept"), "{told}");
    let code = folder.read("second.code");
    assert!(["0", "3"].contains(&code.trim()), "{code}{}", folder.read("second.txt"));
    assert!(!folder.read("verify.txt").contains("broken"), "{}", folder.read("verify.txt"));
    let kept: BTreeMap<String, String> = folder
        .files()
        .into_iter()
        .filter(|name| name.starts_with("kept/contracts/"))
        .map(|name| (name.replacen("kept/", "out/", 1), folder.read(&name)))
        .collect();
    assert!(kept == calm, "records differ");
}
