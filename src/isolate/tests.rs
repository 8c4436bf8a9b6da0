//! Every way a reader can end. A parse server can only be forked by a process with one thread, and
//! libtest runs every test on a thread of its own. So each test runs this binary again with one
//! ignored test, whose thread (the only one at work there) forks a process for the case.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::sys::{self, Forked};
use super::{
    Leads, ParseServer, Parsed, Program, ProgramServer, Reach, begin, isolate, walls, ways,
};
use crate::base::Limits;

/// Names the case that the ignored test below is to run.
const CASE: &str = "NIGHTCLERK_ISOLATE_CASE";

fn again(case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "isolate::tests::one_threaded", "--ignored"])
        .args(["--test-threads=1", "--nocapture"])
        .env(CASE, case)
        .env("RUST_BACKTRACE", "full"); // for which a reader may open no file
    command
}

/// The same with a reader of a server, and with one that the process itself forks.
fn ends(case: &str) {
    holds(case);
    holds(&format!("{FOR_ONE}{case}"));
}

/// Before the name of a case: without a server.
const FOR_ONE: &str = "for one: ";

/// Runs `case` in a process of its own and expects it to hold.
fn holds(case: &str) {
    let Output { status, stdout, stderr } = again(case).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && out.contains("case held"), "{case}\n{out}\n{err}");
}

fn limits() -> Limits {
    Limits {
        memory_bytes_max: 512 << 20,
        cpu_max: Duration::from_secs(20),
        wall_max: Duration::from_secs(20),
        output_bytes_max: 1 << 20,
        stack_bytes_max: 4 << 20,
        ..Limits::default()
    }
}

/// A reader that does what the request says.
fn work(input: &mut File, request: &[u8], output: &mut dyn Write) -> io::Result<()> {
    match request {
        b"read" => {
            let mut text = String::new();
            // `File` itself asks for the file's size first, which is no call of a reader's.
            input.take(1 << 20).read_to_string(&mut text)?;
            write!(output, "{} bytes, starting {:?}", text.len(), &text[..5])
        }
        b"error" => Err(io::Error::other("page 7: not a page")),
        b"panic" => panic!("page 7 is not there"),
        b"abort" => std::process::abort(),
        b"spin" => loop {
            std::hint::black_box(0);
        },
        b"sleep" => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        b"bomb" => {
            let mut heap = Vec::new();
            loop {
                heap.push(vec![1u8; 64 << 20]);
            }
        }
        b"recurse" => {
            fn down(depth: u64) -> u64 {
                let frame = std::hint::black_box([depth; 64]);
                if depth == u64::MAX { 0 } else { down(depth + 1) + frame[3] }
            }
            write!(output, "{}", down(0))
        }
        b"heap" => {
            // Enough, freed, that the C library would give some back, and ask the system how.
            let pieces: Vec<_> = (0..200_000).map(|size| vec![1u8; size % 500]).collect();
            drop(pieces);
            write!(output, "done")
        }
        b"flood" => loop {
            output.write_all(&[b'x'; 4096])?;
        },
        b"leave" => {
            output.write_all(b"half an ans")?;
            std::process::exit(0)
        }
        b"complain" => {
            for _ in 0..100_000 {
                eprintln!("a warning of a library, many times over");
            }
            write!(output, "done")
        }
        b"open" => File::open("/dev/null").map(drop),
        b"write" => File::create("/tmp/nightclerk-isolate-test").map(drop),
        b"grandchild" => sys::fork().map(drop),
        b"descriptors" => {
            let open = (0..64).filter(|&fd| sys::is_open(fd)).map(|fd| fd.to_string());
            write!(output, "{}", open.collect::<Vec<_>>().join(" "))
        }
        b"connect" => walls::probe_socket([libc::AF_INET, libc::SOCK_STREAM, 0])
            .map_err(io::Error::from_raw_os_error),
        b"exec" => walls::probe(libc::SYS_execve, [0; 5]).map_err(io::Error::from_raw_os_error),
        b"executable" => {
            let with = [0, 4096, (libc::PROT_READ | libc::PROT_EXEC) as usize, 0, 0];
            walls::probe(libc::SYS_mprotect, with).map_err(io::Error::from_raw_os_error)
        }
        b"signal" => {
            let with = [1, 1, 0, 0, 0];
            walls::probe(libc::SYS_tgkill, with).map_err(io::Error::from_raw_os_error)
        }
        other => panic!("no such case: {other:?}"),
    }
}

/// The body of every case; without the variable (run by hand) it does nothing.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn one_threaded() {
    let Ok(case) = std::env::var(CASE) else { return };
    match sys::fork().unwrap() {
        Forked::Child => {
            sys::die_with_parent();
            let held = std::panic::catch_unwind(|| run_case(&case));
            sys::exit_now(i32::from(held.is_err()));
        }
        Forked::Parent { child } => assert_eq!(sys::wait_and_sweep(child).unwrap(), 0),
    }
}

fn run_case(case: &str) {
    let begun = begin().unwrap();
    if let Some(case) = case.strip_prefix(FOR_ONE) {
        let mut server = ParseServer::for_one(begun, work);
        match case {
            "isolated" => isolated_for_one(&mut server),
            "two threads" => {
                let parsed =
                    std::thread::spawn(move || server.parse(document(), b"read", &limits()));
                let parsed = parsed.join().unwrap();
                assert!(matches!(&parsed, Parsed::Failed(why) if why.contains("has 2")));
            }
            _ => one_case(&mut server, case),
        }
        return println!("case held");
    }
    let mut server = ParseServer::start(begun.clone(), work).unwrap();
    if case == "orphan" {
        println!("server {}", server.id());
        server.parse(document(), b"sleep", &limits());
    } else if case == "two threads" {
        let started = move || ParseServer::start(begun, work).err();
        let refused = std::thread::spawn(started).join().unwrap();
        assert!(refused.unwrap().to_string().contains("this process has 2"));
    } else if case == "lost" {
        sys::kill(server.id());
        let parsed = server.parse(document(), b"read", &limits());
        assert!(matches!(&parsed, Parsed::Failed(why) if why.contains("server was lost")));
        let next = server.parse(document(), b"read", &limits());
        assert!(matches!(next, Parsed::Ok(_)), "{next:?}");
    } else if case == "program" {
        program();
    } else if case == "isolated" {
        isolated(&mut server);
    } else {
        one_case(&mut server, case);
        // Whatever a reader did, the server serves the next document.
        let next = server.parse(document(), b"read", &limits());
        assert!(matches!(next, Parsed::Ok(_)), "{next:?}");
    }
    println!("case held");
}

/// Programs that every Debian has, run as text recognition is.
fn program() {
    let started = |name: &str| {
        let path = std::path::Path::new("/bin").join(name);
        let run = ["/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache"].map(Into::into);
        let run = run.into_iter().chain([path.clone()]).collect();
        let reach = Reach { run, ..Reach::default() };
        ProgramServer::start(Program { path, reach }).unwrap()
    };
    let mut cat = started("cat");
    assert_eq!(cat.run(b"a picture", &["-"], &limits()), Ok(b"a picture".to_vec()));
    let second = Limits { wall_max: Duration::from_secs(1), ..limits() };
    let why = started("sleep").run(b"", &["60"], &second).unwrap_err();
    assert!(why.contains("longer than"), "{why}");
    let why = started("no such program").run(b"", &["x"], &limits()).unwrap_err();
    assert!(why.contains("No such file"), "{why}");
    // What a shell starts besides itself is not started.
    let forked = started("sh").run(b"", &["-c", "(echo child); echo parent"], &limits());
    assert!(!forked.unwrap_or_default().starts_with(b"child"));
    // Whether this kernel has Landlock is told by restricting this process, which needs nothing more.
    if Reach::default().restrict().unwrap() > 0 {
        let why = cat.run(b"", &["/etc/passwd"], &limits()).unwrap_err();
        assert!(why.contains("Permission denied"), "{why}");
    }
}

fn isolated(server: &mut ParseServer) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let kept = document();
    let reach = Reach { read: vec![folder.clone()], ..Reach::default() };
    let isolation = isolate(server, None, &reach, &folder).unwrap();
    for leads in [Leads::Network, Leads::System] {
        let open: Vec<_> = isolation.open(leads).collect();
        assert!(open.is_empty(), "{open:?}");
    }
    let names: std::collections::BTreeSet<_> =
        isolation.tries.iter().map(|tried| (tried.from, tried.way)).collect();
    assert_eq!(names.len(), 2 * ways::WAYS.len(), "each once, from two places");
    if isolation.landlock > 0 {
        assert_eq!(isolation.open(Leads::Files).count(), 0, "{:?}", isolation.tries);
        assert!(File::open("/etc/passwd").is_err());
    }
    assert!(File::open(folder.join("lib.rs")).is_ok());
    // What isolation leaves: threads, documents that are open, a new server for one that is lost.
    assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
    sys::kill(server.id());
    assert!(matches!(server.parse(kept, b"read", &limits()), Parsed::Failed(_)));
    let input = || File::open(folder.join("lib.rs")).unwrap();
    let error = Parsed::Failed("page 7: not a page".to_owned());
    assert_eq!(server.parse(input(), b"error", &limits()), error);
    assert!(std::thread::spawn(|| begin().is_err()).join().unwrap(), "with threads it is too late");
}

fn isolated_for_one(server: &mut ParseServer) {
    let (kept, folder) = (document(), std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let isolation = isolate(server, None, &Reach::default(), &folder).unwrap();
    assert_eq!(isolation.tries.len(), ways::WAYS.len(), "the reader tries before it reads");
    assert_eq!(isolation.open(Leads::Network).count(), 0, "{:?}", isolation.tries);
    let parsed = server.parse(kept, b"read", &limits());
    assert!(matches!(parsed, Parsed::Ok(_)), "{parsed:?}");
}

/// Any file that is there will do.
fn document() -> File {
    File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap()
}

fn one_case(server: &mut ParseServer, case: &str) {
    let mut limits = limits();
    match case {
        "spin" => limits.cpu_max = Duration::from_secs(1),
        "sleep" => limits.wall_max = Duration::from_secs(1),
        _ => {}
    }
    let start = Instant::now();
    let parsed = server.parse(document(), case.as_bytes(), &limits);
    let failed = |part: &str| matches!(&parsed, Parsed::Failed(why) if why.contains(part));
    let answered = |text: &str| parsed == Parsed::Ok(text.as_bytes().to_vec());
    let violated = |call: &str| parsed == Parsed::Violation(call.to_owned());
    let held = match case {
        "read" => matches!(&parsed, Parsed::Ok(text) if text.ends_with(b"starting \"[pack\"")),
        "error" => parsed == Parsed::Failed("page 7: not a page".to_owned()),
        "panic" => failed("the reader panicked: page 7 is not there (src/isolate/tests.rs:"),
        "abort" => matches!(parsed, Parsed::Crashed { signal: libc::SIGABRT, .. }),
        "spin" | "sleep" => parsed == Parsed::Timeout,
        "bomb" => parsed == Parsed::Memory,
        "recurse" => {
            matches!(&parsed, Parsed::Crashed { message, .. } if message == "stack overflow")
        }
        "flood" => parsed == Parsed::OutputCap,
        "leave" => failed("without a whole answer (exit code 0)"),
        "complain" | "heap" => answered("done"),
        "open" | "write" => violated("openat"),
        "grandchild" => violated("clone"),
        "connect" => violated("socket"),
        "exec" => violated("execve"),
        "executable" => violated("mprotect"),
        "signal" => violated("tgkill"),
        "descriptors" => answered("0 1 2"),
        _ => false,
    };
    assert!(held, "{case}: {parsed:?}");
    assert!(start.elapsed() < Duration::from_secs(15), "{case} took {:?}", start.elapsed());
}

/// Whether process `id` ends within two seconds (or is a zombie of somebody else's).
fn is_gone(id: &str) -> bool {
    (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        std::fs::read_to_string(format!("/proc/{id}/stat"))
            .map_or(true, |stat| stat.contains(") Z "))
    })
}

#[test]
fn a_document_is_read_and_its_answer_comes_back_whole() {
    ends("read");
}

#[test]
fn an_error_of_the_reader_reaches_the_parent_in_its_words() {
    ends("error");
}

#[test]
fn a_panic_costs_one_document_and_says_where() {
    ends("panic");
}

#[test]
fn an_abort_costs_one_document() {
    ends("abort");
}

#[test]
fn a_reader_that_computes_for_ever_is_stopped() {
    ends("spin");
}

#[test]
fn a_reader_that_waits_for_ever_is_stopped() {
    ends("sleep");
}

#[test]
fn a_memory_bomb_is_told_from_a_crash() {
    ends("bomb");
}

#[test]
fn a_stack_overflow_is_named() {
    ends("recurse");
}

#[test]
fn an_answer_over_the_cap_is_cut_off() {
    ends("flood");
}

#[test]
fn half_an_answer_is_no_answer() {
    ends("leave");
}

#[test]
fn a_flood_on_standard_error_does_not_block() {
    ends("complain");
}

#[test]
fn a_reader_can_open_no_file() {
    ends("open");
    ends("write");
}

#[test]
fn a_reader_can_start_nothing() {
    ends("grandchild");
    ends("exec");
}

#[test]
fn a_reader_can_make_no_socket() {
    ends("connect");
}

#[test]
fn a_reader_can_make_no_memory_executable() {
    ends("executable");
}

#[test]
fn a_reader_can_signal_nobody() {
    ends("signal");
}

#[test]
fn a_reader_uses_and_frees_its_memory() {
    ends("heap");
}

#[test]
fn a_reader_has_its_three_descriptors_and_no_other() {
    ends("descriptors");
}

#[test]
fn a_server_is_not_forked_from_a_process_with_threads() {
    ends("two threads");
}

#[test]
fn an_isolated_process_has_no_way_out_and_still_reads() {
    ends("isolated");
}

#[test]
fn a_program_has_its_own_files_one_process_and_a_second() {
    holds("program");
}

#[test]
fn a_lost_server_costs_one_document() {
    holds("lost");
}

#[test]
fn server_and_reader_die_with_the_parent() {
    let mut parent = again("orphan").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = io::BufReader::new(parent.stdout.take().unwrap());
    while !line.contains("server ") {
        line.clear();
        assert_ne!(io::BufRead::read_line(&mut out, &mut line).unwrap(), 0);
    }
    let server = line.split("server ").nth(1).unwrap().trim().to_owned();
    std::thread::sleep(Duration::from_millis(200));
    let readers = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(is_gone(&server));
    // The list is absent on kernels built without checkpoint support.
    for reader in readers.unwrap_or_default().split_whitespace() {
        assert!(is_gone(reader), "reader {reader} outlived its parent");
    }
}
