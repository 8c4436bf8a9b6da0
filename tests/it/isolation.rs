//! That nothing gets out: what a run says of its walls, what it does where one is missing, and that the
//! program does not even know how to connect. Walls are taken away by a filter around the program that
//! refuses the system calls that put them up, so these tests hold on any kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Output};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::Value;

use crate::night::{check_verifies, office, run};
use crate::support::{Folder, nightclerk, repository, told};

/// What the last run says of its isolation.
fn isolation(folder: &Folder) -> Value {
    let starts = |line: &&str| line.contains("\"event\":\"run_start\"");
    let files = folder.files().into_iter().filter(|name| name.starts_with("out/.nightclerk/log/"));
    let log: String = files.map(|name| folder.read(&name)).collect();
    let line = log.lines().rfind(starts).expect("a run has begun");
    serde_json::from_str::<Value>(line).unwrap()["isolation"].clone()
}

/// Ways and results, as tried from `from`.
fn tries(isolation: &Value, from: &str) -> BTreeMap<String, String> {
    let word = |tried: &Value, key: &str| tried[key].as_str().unwrap().to_owned();
    let all = isolation["tries"].as_array().unwrap();
    let of_it = all.iter().filter(|tried| tried["from"] == from);
    of_it.map(|tried| (word(tried, "way"), word(tried, "result"))).collect()
}

const FILES: [&str; 3] = ["read_outside", "write_outside", "write_input"];

/// Runs `command` where the system calls `missing` answer ENOSYS, as they do on a kernel without them.
fn without(missing: &[libc::c_long], mut command: Command) -> Output {
    let rules = missing.iter().map(|&number| (number, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::ENOSYS as u32);
    let here = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, here).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    // A filter holds the thread that installs it and what that starts; the thread ends here.
    std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            seccompiler::apply_filter(&filter).expect("this kernel has filters");
            command.output().expect("the program starts")
        });
        started.join().unwrap()
    })
}

const LANDLOCK: [libc::c_long; 3] = [
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
];

#[test]
fn every_way_out_is_tried_before_a_run_and_found_closed() {
    let folder = office("walls", 1);
    let output = run(&folder, &[]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    let isolation = isolation(&folder);
    assert_eq!(isolation["require"], "network");
    let (main, reader) = (tries(&isolation, "main"), tries(&isolation, "reader"));
    assert!(main.len() >= 20, "{main:?}");
    assert!(main.keys().eq(reader.keys()));
    for (way, result) in &main {
        let closed = ["EPERM", "EACCES", "EROFS"].contains(&result.as_str());
        let by_landlock = FILES.contains(&way.as_str());
        assert!(closed || by_landlock && isolation["landlock"] == 0, "{way} from main: {result}");
    }
    let stopped = |(way, result): (&String, &String)| result == "SIGSYS" || way == "x32_socket";
    assert!(reader.iter().all(stopped), "a reader has no call for any of them: {reader:?}");
    if isolation["namespace"] == "own" {
        assert_eq!(isolation["interfaces"], serde_json::json!(["lo"]));
    }
    check_verifies(&folder);
}

#[test]
fn a_way_to_the_network_stops_every_command_unless_the_jobs_file_allows_it() {
    // Without the call that installs a filter nothing refuses a socket.
    let unfiltered = |folder: &Folder, args: &[&str]| {
        without(&[libc::SYS_seccomp], nightclerk(folder.path(), args))
    };
    let folder = office("open", 1);
    let text = ["text", "in/00/lease 0.txt"];
    folder.write("book.xlsx", "PK");
    let review = ["review", "book.xlsx"];
    let ask = ["ask", "in/00/lease 0.txt", "--prompt", "Who?"];
    let batch = ["run", "--batch", "in/00/lease 0.txt", "--output", "out.jsonl"];
    for args in [&["run"][..], &["plan"], &text, &review, &ask, &batch] {
        let output = unfiltered(&folder, args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", told(&output));
        let told = told(&output);
        assert!(told.contains("tcp4 from main"), "{told}");
        // The one reader of `text` would try for itself, and is not started.
        assert_eq!(told.contains("tcp4 from reader"), args[0] != "text", "{told}");
    }
    assert!(!folder.files().iter().any(|name| name.ends_with(".json")), "nothing was read");

    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", jobs.replace("[audit]", "[isolation]\nrequire = \"none\"\n[audit]"));
    let output = unfiltered(&folder, &["run"]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    let isolation = isolation(&folder);
    assert_eq!(isolation["require"], "none", "it is in the log for ever");
    assert_eq!(tries(&isolation, "main")["tcp4"], "open");
    check_verifies(&folder);
}

#[test]
fn missing_landlock_is_logged_and_refused_where_all_is_required() {
    let folder = office("files", 1);
    let output = without(&LANDLOCK, nightclerk(folder.path(), ["run"]));
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    assert_eq!(isolation(&folder)["landlock"], 0);

    let jobs = folder.read("jobs.toml");
    folder.write("jobs.toml", jobs.replace("[audit]", "[isolation]\nrequire = \"all\"\n[audit]"));
    let output = without(&LANDLOCK, nightclerk(folder.path(), ["run"]));
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("this kernel has no Landlock"), "{}", told(&output));
    // As this kernel is.
    let output = run(&folder, &[]);
    if output.status.code() != Some(1) {
        assert_eq!(isolation(&folder)["require"], "all");
        assert_ne!(isolation(&folder)["landlock"], 0);
    }
}

#[test]
fn where_no_namespace_is_to_be_had_the_filter_holds_alone() {
    let folder = office("shared", 1);
    let output = without(&[libc::SYS_unshare], nightclerk(folder.path(), ["run"]));
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    let isolation = isolation(&folder);
    assert_eq!(isolation["namespace"], "ENOSYS");
    assert_eq!(tries(&isolation, "main")["udp4"], "EPERM");
}

#[test]
fn a_panic_or_a_backtrace_in_a_reader_needs_no_file() {
    let folder = office("backtrace", 0);
    for entry in fs::read_dir(repository("fixtures/damaged")).unwrap() {
        let path = entry.unwrap().path();
        let mut command = nightclerk(folder.path(), ["text".as_ref(), path.as_os_str()]);
        let output = command.env("RUST_BACKTRACE", "full").output().unwrap();
        assert!(!told(&output).contains("SIGSYS"), "{}: {}", path.display(), told(&output));
    }
}

/// The names that an ELF executable (64 bits, little-endian) wants from its libraries: the undefined
/// symbols of its dynamic table (System V ABI, "Symbol Table"), as `nm -D --undefined-only` lists them.
fn imported(elf: &[u8]) -> BTreeSet<String> {
    let number = |at: usize, bytes: usize| {
        elf[at..at + bytes].iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    assert_eq!(elf[..6], *b"\x7fELF\x02\x01");
    let (sections, count) = (number(0x28, 8), number(0x3c, 2));
    let section = |index: usize| sections + 64 * index;
    let dynamic = (0..count).map(section).find(|&at| number(at + 4, 4) == 11).expect("SHT_DYNSYM");
    let (start, bytes) = (number(dynamic + 0x18, 8), number(dynamic + 0x20, 8));
    let names = number(section(number(dynamic + 0x28, 4)) + 0x18, 8);
    let symbols = (start..start + bytes).step_by(24);
    let undefined = symbols.filter(|&at| number(at + 6, 2) == 0);
    undefined
        .map(|at| {
            let name = &elf[names + number(at, 4)..];
            let end = name.iter().position(|&byte| byte == 0).unwrap();
            String::from_utf8_lossy(&name[..end]).into_owned()
        })
        .collect()
}

#[test]
fn the_program_does_not_know_how_to_connect() {
    let imported = imported(&fs::read(env!("CARGO_BIN_EXE_nightclerk")).unwrap());
    assert!(imported.contains("read"), "the table was read: {imported:?}");
    let connects = [
        "socket",
        "connect",
        "bind",
        "listen",
        "accept",
        "accept4",
        "sendto",
        "getaddrinfo",
        "gethostbyname",
        "gethostbyname_r",
        "res_query",
        "res_search",
        "res_ninit",
        "dlopen",
    ];
    let found: Vec<_> = connects.into_iter().filter(|name| imported.contains(*name)).collect();
    assert_eq!(found, Vec::<&str>::new());
}

#[test]
fn a_whole_run_makes_no_network_call_but_its_tries() {
    let folder = office("traced", 2);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-e", "trace=%network", "-o", "trace.txt"]);
    traced.arg(env!("CARGO_BIN_EXE_nightclerk")).arg("run");
    let output = match traced.current_dir(folder.path()).output() {
        Ok(output) if !told(&output).contains("ptrace") => output,
        // No strace here, or no tracing: docs/isolation.md names the command for a person.
        _ => return,
    };
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    let trace = folder.read("trace.txt");
    assert!(trace.contains("sendmsg("), "descriptors are handed over: {trace}");
    for (at, line) in trace.lines().enumerate().filter(|(_, line)| line.contains('(')) {
        let process = line.split(' ').next().unwrap();
        let between_own = ["socketpair(AF_UNIX", "sendmsg(", "recvmsg(", "recvfrom(", "sendto("]
            .iter()
            .any(|call| line.contains(call))
            && !line.contains("sin_addr")
            && !line.contains("sun_path");
        // A reader's call is shown with its own number for a result, and then the signal.
        let stopped = || {
            let mut later = trace.lines().skip(at + 1).filter(|line| line.starts_with(process));
            later.next().is_some_and(|next| next.contains("SIGSYS"))
        };
        let refused = line.contains("socket(") && (line.contains("= -1 EPERM") || stopped());
        assert!(between_own || refused || line.contains("resumed"), "{line}\n{trace}");
    }
}
