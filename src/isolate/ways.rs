//! Ways out of the program, each of which is tried: to other machines, to other processes, to files. A
//! way that turns out to be open costs nothing more: no try sends, starts, writes or changes anything.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::walls;

/// What a way leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To other machines, or to a process that may have a way there.
    Network,
    /// To other processes, to the kernel's inside, past the other walls.
    System,
    /// To files that are none of this command's.
    Files,
}

/// A way out, and how it is tried.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) leads: Leads,
    call: Call,
}

/// What a try calls. The numbers are system calls with arguments that do no harm where they are let
/// through: an error that shows that the kernel looked at them counts as open.
enum Call {
    /// Domain, type and protocol.
    Socket([libc::c_int; 3]),
    Plain(libc::c_long, [usize; 5]),
    /// Copies a byte of this process by its number, as one would of another.
    ReadProcess(libc::c_long),
    /// Opens a folder and lists nothing.
    ReadFolder(&'static str),
    /// Opens a file without a name, which is gone when it is closed.
    WriteFolder(&'static str),
    /// The same in the first folder of inputs.
    WriteInput,
}

const TMPFILE: libc::c_int = libc::O_TMPFILE | libc::O_WRONLY;
const LISTED: libc::c_int = libc::O_DIRECTORY | libc::O_RDONLY;
const NOTHING: [usize; 5] = [0; 5];
const NONE: usize = usize::MAX;
/// Of a queue or memory that nobody has made.
const KEY: usize = 0x6e63_6b79;

const fn network(name: &'static str, socket: [libc::c_int; 3]) -> Way {
    Way { name, leads: Leads::Network, call: Call::Socket(socket) }
}

const fn network_call(name: &'static str, number: libc::c_long, arguments: [usize; 5]) -> Way {
    Way { name, leads: Leads::Network, call: Call::Plain(number, arguments) }
}

const fn system(name: &'static str, number: libc::c_long, arguments: [usize; 5]) -> Way {
    Way { name, leads: Leads::System, call: Call::Plain(number, arguments) }
}

const fn files(name: &'static str, call: Call) -> Way {
    Way { name, leads: Leads::Files, call }
}

pub(super) const WAYS: [Way; 42] = [
    network("tcp4", [libc::AF_INET, libc::SOCK_STREAM, 0]),
    network("tcp6", [libc::AF_INET6, libc::SOCK_STREAM, 0]),
    network("mptcp", [libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP]),
    network("sctp", [libc::AF_INET, libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP]),
    network("udp4", [libc::AF_INET, libc::SOCK_DGRAM, 0]),
    network("udp6", [libc::AF_INET6, libc::SOCK_DGRAM, 0]),
    network("icmp", [libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP]),
    network("raw4", [libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW]),
    network("raw6", [libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW]),
    network("packet", [libc::AF_PACKET, libc::SOCK_RAW, 0]),
    network("netlink", [libc::AF_NETLINK, libc::SOCK_RAW, 0]),
    network("vsock", [libc::AF_VSOCK, libc::SOCK_STREAM, 0]),
    network("bluetooth", [libc::AF_BLUETOOTH, libc::SOCK_RAW, 0]),
    network("xdp", [libc::AF_XDP, libc::SOCK_RAW, 0]),
    network("alg", [libc::AF_ALG, libc::SOCK_SEQPACKET, 0]),
    // By a path in the file system (the bus, a container's daemon) and by an abstract name: the kind of
    // socket is the same for both, the second try is its datagram form.
    network("unix_path", [libc::AF_UNIX, libc::SOCK_STREAM, 0]),
    network("unix_abstract", [libc::AF_UNIX, libc::SOCK_DGRAM, 0]),
    network_call("io_uring", libc::SYS_io_uring_setup, NOTHING),
    // socket() by the second number that x86-64 knows it by.
    network_call(
        "x32_socket",
        0x4000_0000 + libc::SYS_socket,
        [libc::AF_INET as usize, libc::SOCK_STREAM as usize, 0, 0, 0],
    ),
    // Queues and memory that any other process may share, which are not made here. Of the terminal only the second
    // half of the request is the kernel's to read.
    network_call("sysv_queue", libc::SYS_msgget, [KEY, 0, 0, 0, 0]),
    network_call("sysv_memory", libc::SYS_shmget, [KEY, 0, 0, 0, 0]),
    network_call("posix_queue", libc::SYS_mq_open, NOTHING),
    network_call("terminal_input", libc::SYS_ioctl, [NONE, libc::TIOCSTI as usize, 0, 0, 0]),
    network_call(
        "terminal_input_64",
        libc::SYS_ioctl,
        [NONE, (1 << 32) | libc::TIOCSTI as usize, 0, 0, 0],
    ),
    // PTRACE_PEEKUSER of a process that cannot be.
    system(
        "ptrace",
        libc::SYS_ptrace,
        [libc::PTRACE_PEEKUSER as usize, i32::MAX as usize, 0, 0, 0],
    ),
    Way {
        name: "process_vm_readv",
        leads: Leads::System,
        call: Call::ReadProcess(libc::SYS_process_vm_readv),
    },
    Way {
        name: "process_vm_writev",
        leads: Leads::System,
        call: Call::ReadProcess(libc::SYS_process_vm_writev),
    },
    system("pidfd_getfd", libc::SYS_pidfd_getfd, [NONE, 0, 0, 0, 0]),
    system("bpf", libc::SYS_bpf, [NONE, 0, 0, 0, 0]),
    system("perf_event_open", libc::SYS_perf_event_open, [0, 0, NONE, NONE, 0]),
    system("userfaultfd", libc::SYS_userfaultfd, [NONE, 0, 0, 0, 0]),
    // KEYCTL_GET_KEYRING_ID of the session's keyring, without making one.
    system("keyctl", libc::SYS_keyctl, [0, -3isize as usize, 0, 0, 0]),
    system("mount", libc::SYS_mount, NOTHING),
    system("unshare", libc::SYS_unshare, NOTHING),
    system("setns", libc::SYS_setns, [NONE, 0, 0, 0, 0]),
    system("open_by_handle_at", libc::SYS_open_by_handle_at, [NONE, 0, 0, 0, 0]),
    system("kexec", libc::SYS_kexec_file_load, [NONE, NONE, 0, 0, NONE]),
    system("exec", libc::SYS_execve, NOTHING),
    system("execveat", libc::SYS_execveat, [NONE, 0, 0, 0, 0]),
    files("read_outside", Call::ReadFolder("/")),
    files("write_outside", Call::WriteFolder("/tmp")),
    files("write_input", Call::WriteInput),
];

impl Way {
    /// Tries it. `input` is a folder that this command only reads.
    fn attempt(&self, input: &Path) -> String {
        let folder = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        let called = match &self.call {
            Call::Socket(kind) => walls::probe_socket(*kind),
            Call::Plain(number, arguments) => walls::probe(*number, *arguments),
            Call::ReadProcess(number) => walls::probe_memory(*number),
            Call::ReadFolder(path) => walls::probe_open(&folder(Path::new(path)), LISTED),
            Call::WriteFolder(path) => walls::probe_open(&folder(Path::new(path)), TMPFILE),
            Call::WriteInput => walls::probe_open(&folder(input), TMPFILE),
        };
        match called {
            Ok(()) => OPEN.to_owned(),
            Err(_) if walls::take_trapped() => TRAPPED.to_owned(),
            Err(number) => walls::error_name(number),
        }
    }
}

const OPEN: &str = "open";
const TRAPPED: &str = "SIGSYS";

/// The results that say that a way is closed: refused by a filter, by Landlock, by the rights of the
/// user, by the kernel's not having it.
const CLOSED: [&str; 8] = [
    TRAPPED,
    "EPERM",
    "EACCES",
    "EROFS",
    "ENOSYS",
    "EAFNOSUPPORT",
    "EPROTONOSUPPORT",
    "ESOCKTNOSUPPORT",
];

/// Where a way was tried from, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// "main", "reader" or, where a program is run, "program".
    pub from: &'static str,
    pub way: &'static str,
    pub leads: Leads,
    /// "SIGSYS", the name of an error, or "open".
    pub result: String,
}

impl Try {
    pub fn is_open(&self) -> bool {
        is_open(&self.result)
    }
}

/// Anything but a clear refusal counts as open.
fn is_open(result: &str) -> bool {
    !CLOSED.contains(&result)
}

/// Tries every way from this process.
pub(super) fn from_main(input: &Path) -> Vec<Try> {
    let tried = |way: &Way| (way.name, way.attempt(input));
    tries("main", WAYS.iter().map(tried).collect())
}

/// The `Work` of a reader that tries every way: a line each, name and result. The request is the path of
/// a folder that is only read.
pub(super) fn from_reader(_: &mut File, request: &[u8], output: &mut dyn Write) -> io::Result<()> {
    let input = Path::new(OsStr::from_bytes(request));
    for way in &WAYS {
        writeln!(output, "{} {}", way.name, way.attempt(input))?;
    }
    Ok(())
}

/// Of the ways to the network the first that is open to this process, and how.
pub(super) fn open_to_network() -> Option<String> {
    // None of them leads over a folder.
    let ways = WAYS.iter().filter(|way| way.leads == Leads::Network);
    let mut tried = ways.map(|way| (way.name, way.attempt(Path::new(""))));
    tried.find(|(_, result)| is_open(result)).map(|(way, result)| format!("{way} ({result})"))
}

/// What a reader answered.
pub(super) fn told_by_reader(answer: &[u8]) -> Vec<Try> {
    tries("reader", told(answer))
}

/// What was answered from where a program is run. It is there to be started, so `exec` is left out: what can
/// be started is itself.
pub(super) fn told_by_program(answer: &[u8]) -> Vec<Try> {
    let mut tries = tries("program", told(answer));
    tries.retain(|tried| tried.way != "exec");
    tries
}

/// Each way and its result. A way that is not told of is none that is closed.
fn told(answer: &[u8]) -> Vec<(&'static str, String)> {
    let answer = String::from_utf8_lossy(answer);
    let told = |way: &Way| {
        let line = answer.lines().find_map(|line| line.strip_prefix(way.name)?.strip_prefix(' '));
        (way.name, line.unwrap_or("untold").to_owned())
    };
    WAYS.iter().map(told).collect()
}

fn tries(from: &'static str, results: Vec<(&'static str, String)>) -> Vec<Try> {
    let leads = WAYS.iter().map(|way| way.leads);
    results
        .into_iter()
        .zip(leads)
        .map(|((way, result), leads)| Try { from, way, leads, result })
        .collect()
}
