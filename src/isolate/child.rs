//! Inside the child: everything closed but its three descriptors, limits set, one document, exit.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::thread;

use super::frame::FrameWriter;
use super::program::{self, Program};
use super::reach::Reach;
use super::{Work, filter, sys, walls, ways};

/// The exit code of a child whose work returned an error; the message is on standard error.
pub(super) const EXIT_ERROR: i32 = 1;
/// What Rust programs exit with after a panic.
pub(super) const EXIT_PANIC: i32 = 101;

/// Enough for input, output and standard error, and for one file that a library may want.
const DESCRIPTORS_MAX: u64 = 4;

/// What the children of a server do.
#[derive(Clone, Debug)]
pub(super) enum Trade {
    /// They read documents.
    Read(Work),
    /// They become a program.
    Run(Program),
}

impl Trade {
    /// The files that they may touch.
    pub(super) fn reach(&self) -> Reach {
        match self {
            Trade::Read(_) => Reach::default(),
            Trade::Run(program) => program.reach.clone(),
        }
    }
}

/// What a child is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// To read a document, or to run the program.
    Read,
    /// To try every way out, from where that is done.
    TryWays,
    /// To read a document if no way to the network is open.
    TryAndRead,
}

/// The limits of one child and its errand, as they travel to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rations {
    pub(super) errand: Errand,
    pub(super) memory_bytes: u64,
    pub(super) cpu_seconds: u64,
    pub(super) wall_seconds: u64,
    pub(super) stack_bytes: u64,
}

impl Rations {
    pub(super) const BYTES: usize = 40;

    pub(super) fn to_bytes(self) -> [u8; Rations::BYTES] {
        let errand = match self.errand {
            Errand::Read => 0,
            Errand::TryWays => 1,
            Errand::TryAndRead => 2,
        };
        let limits = [self.memory_bytes, self.cpu_seconds, self.wall_seconds, self.stack_bytes];
        let words = limits.into_iter().chain([errand]);
        let mut bytes = [0; Rations::BYTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Rations::BYTES]) -> Rations {
        let word = |at: usize| {
            u64::from_le_bytes(bytes[8 * at..8 * at + 8].try_into().expect("eight bytes"))
        };
        Rations {
            memory_bytes: word(0),
            cpu_seconds: word(1),
            wall_seconds: word(2),
            stack_bytes: word(3),
            errand: match word(4) {
                0 => Errand::Read,
                1 => Errand::TryWays,
                _ => Errand::TryAndRead,
            },
        }
    }
}

/// Runs one errand and exits; never returns to the server's loop.
pub(super) fn run(descriptors: [OwnedFd; 3], request: &[u8], rations: Rations, trade: &Trade) -> ! {
    sys::own_group_and_die_with_parent();
    if sys::keep_only(descriptors).is_err() {
        sys::exit_now(EXIT_ERROR);
    }
    match trade {
        Trade::Read(work) => read_on_a_thread(request, rations, *work),
        Trade::Run(program) => program::become_it(request, rations, program),
    }
}

/// The work runs on a thread of its own because only a thread's stack can be given a size and a guard
/// page that Rust knows, which is what tells a stack overflow from any other crash.
fn read_on_a_thread(request: &[u8], rations: Rations, work: Work) -> ! {
    let code = thread::scope(|scope| {
        let reader = thread::Builder::new()
            .name("reader".to_owned())
            .stack_size(rations.stack_bytes as usize)
            .spawn_scoped(scope, || read_one(request, rations, work));
        match reader {
            Ok(reader) => reader.join().unwrap_or(EXIT_PANIC),
            Err(error) => {
                eprintln!("no thread for the reader: {error}");
                EXIT_ERROR
            }
        }
    });
    sys::exit_now(code)
}

fn read_one(request: &[u8], rations: Rations, work: Work) -> i32 {
    // From here on no thread can be made, and no file opened.
    if let Err(error) = set_limits(rations, DESCRIPTORS_MAX).and_then(|()| shut_in(rations.errand))
    {
        eprintln!("the reader cannot be isolated: {error}");
        return EXIT_ERROR;
    }
    if rations.errand == Errand::TryAndRead
        && let Err(error) = no_way_to_the_network()
    {
        eprintln!("not isolated as required: {error}");
        return EXIT_ERROR;
    }
    let (mut input, output) = sys::standard_files();
    let mut output = BufWriter::with_capacity(64 << 10, FrameWriter::new(output));
    let work = match rations.errand {
        Errand::Read | Errand::TryAndRead => work,
        Errand::TryWays => ways::from_reader,
    };
    let done = work(&mut input, request, &mut output as &mut dyn Write);
    // Dropped by the exit: nobody else may close descriptors 0 and 1.
    std::mem::forget::<File>(input);
    let framed = done.and_then(|()| output.into_inner().map_err(|unsent| unsent.into_error()));
    match framed.and_then(FrameWriter::finish) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            EXIT_ERROR
        }
    }
}

/// Tries the ways to the network; from here on every forbidden call is answered by the end.
fn no_way_to_the_network() -> io::Result<()> {
    let open = ways::open_to_network();
    walls::answer_violations(false)?;
    match open {
        None => Ok(()),
        Some(way) => Err(io::Error::other(format!("{way} from reader"))),
    }
}

/// Both threads of this process may from here on make a reader's system calls only.
fn shut_in(errand: Errand) -> io::Result<()> {
    walls::answer_violations(errand != Errand::Read)?;
    match filter::install(&filter::reader(sys::own_id())) {
        // A kernel that cannot filter is told of by the self-test, before any document is read.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(()),
        other => other,
    }
}

/// Nothing is written but to what is open, and nothing started.
pub(super) fn set_limits(rations: Rations, descriptors: u64) -> io::Result<()> {
    sys::limit(libc::RLIMIT_AS, rations.memory_bytes, rations.memory_bytes)?;
    // At the soft limit comes SIGXCPU, a second later SIGKILL.
    sys::limit(libc::RLIMIT_CPU, rations.cpu_seconds, rations.cpu_seconds + 1)?;
    sys::limit(libc::RLIMIT_FSIZE, 0, 0)?;
    sys::limit(libc::RLIMIT_NOFILE, descriptors, descriptors)?;
    sys::limit(libc::RLIMIT_CORE, 0, 0)?;
    sys::limit(libc::RLIMIT_NPROC, 0, 0)?;
    sys::alarm(rations.wall_seconds);
    Ok(())
}
