//! The fork server, seen from both sides: the parent's handle and the loop of the server itself. A command
//! that reads one document forks its child without one.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::begin::Begun;
use super::child::{self, Errand, Rations, Trade};
use super::forker::Forker;
use super::sys::{self, Forked};
use super::{Parsed, Reach, Work, filter, frame};
use crate::base::Limits;

/// A request is a few options and what text recognition found on pages, not a document.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// Of a child's standard error only the start says what happened.
const STDERR_BYTES_MAX: usize = 4 << 10;

/// How long past a child's own alarm the parent waits before it kills the server with the child.
const GRACE: Duration = Duration::from_secs(5);

/// What is thrown away at a time of what a child complains of at length.
const DISCARD_BYTES: usize = 64 << 10;

/// How long a child of this process is waited for at a time when its pipes are closed: it is ending.
const ENDING: Duration = Duration::from_millis(1);

/// A process with one thread that forks a child for each document and opens none itself.
///
/// One for each thread that extracts: `parse` takes `&mut self`. All must be started before the
/// program makes its first thread and from the thread that lives as long as the program, because
/// the kernel kills a server when the thread that forked it ends.
pub struct ParseServer {
    pub(super) begun: Begun,
    children: Children,
}

/// Processes that are forked one after the other, each for one errand.
pub(super) struct Children {
    forks: Forks,
    /// Why there is no server any more.
    lost: Option<String>,
}

/// How an errand ended.
pub(super) enum Ended {
    /// The child left with this status.
    Left { status: ExitStatus, answer: Vec<u8>, stderr: String },
    /// It ran past its own alarm, and was killed.
    Hung,
    /// Its answer was longer than allowed.
    Over,
    /// There was no child, or no server; why.
    Lost(String),
}

/// Who forks the children.
enum Forks {
    Server(Server),
    /// This process, which has one thread as long as it reads.
    Here(Work),
}

struct Server {
    forker: Forker,
    socket: UnixStream,
    id: libc::pid_t,
}

impl ParseServer {
    /// Forks the server, whose children will do `work`.
    ///
    /// # Errors
    /// When this process has more than one thread (a fork would copy locks that nobody releases), or
    /// when the system refuses a process.
    pub fn start(begun: Begun, work: Work) -> io::Result<ParseServer> {
        Ok(ParseServer { begun, children: Children::of_server(Trade::Read(work))? })
    }

    /// For a command that reads one document and makes no thread: its child is forked from this process, and
    /// tries itself, before it reads, whether a way to the network is open.
    pub fn for_one(begun: Begun, work: Work) -> ParseServer {
        ParseServer { begun, children: Children { forks: Forks::Here(work), lost: None } }
    }

    /// Has one child read `input` (opened read-only by the caller) and waits for its answer, at most
    /// `limits.wall_max` and a few seconds.
    pub fn parse(&mut self, input: File, request: &[u8], limits: &Limits) -> Parsed {
        let errand = match self.children.forks {
            Forks::Server(_) => Errand::Read,
            Forks::Here(_) => Errand::TryAndRead,
        };
        self.send(errand, input, request, limits)
    }

    /// Whether every child tries the ways out itself.
    pub(super) fn is_for_one(&self) -> bool {
        self.children.is_here()
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> libc::pid_t {
        match &self.children.forks {
            Forks::Server(server) => server.id,
            Forks::Here(_) => sys::own_id(),
        }
    }

    /// Has one child do `errand`.
    pub(super) fn send(
        &mut self,
        errand: Errand,
        input: File,
        request: &[u8],
        limits: &Limits,
    ) -> Parsed {
        match self.children.send(errand, input, request, limits) {
            Ended::Lost(why) => Parsed::Failed(why),
            Ended::Hung => Parsed::Timeout,
            Ended::Over => Parsed::OutputCap,
            Ended::Left { status, answer, stderr } => match frame::open(answer) {
                Some(answer) if status.success() => Parsed::Ok(answer),
                _ => Parsed::from_end(status, &stderr),
            },
        }
    }
}

impl Children {
    /// Forks a server, whose children will follow `trade`.
    ///
    /// # Errors
    /// As `ParseServer::start`.
    pub(super) fn of_server(trade: Trade) -> io::Result<Children> {
        one_thread()?;
        let mut forker = Forker::start(trade)?;
        let (socket, id) = forker.server()?;
        Ok(Children { forks: Forks::Server(Server { forker, socket, id }), lost: None })
    }

    fn is_here(&self) -> bool {
        matches!(self.forks, Forks::Here(_))
    }

    /// Has one child do `errand` and waits for its end.
    pub(super) fn send(
        &mut self,
        errand: Errand,
        input: File,
        request: &[u8],
        limits: &Limits,
    ) -> Ended {
        if let Some(why) = &self.lost {
            return Ended::Lost(why.clone());
        }
        if request.len() > REQUEST_BYTES_MAX {
            return Ended::Lost(format!(
                "a request of {} bytes; {REQUEST_BYTES_MAX} are allowed",
                request.len()
            ));
        }
        match self.try_send(errand, input, request, limits) {
            Ok(ended) => ended,
            Err(error) if self.is_here() => {
                Ended::Lost(format!("no process for the reader: {error}"))
            }
            Err(error) => {
                self.replace();
                Ended::Lost(format!("the parse server was lost ({error}); run again"))
            }
        }
    }

    fn try_send(
        &mut self,
        errand: Errand,
        input: File,
        request: &[u8],
        limits: &Limits,
    ) -> io::Result<Ended> {
        let (answer, answer_end) = io::pipe()?;
        let (complaint, complaint_end) = io::pipe()?;
        sys::set_nonblocking(answer.as_fd())?;
        sys::set_nonblocking(complaint.as_fd())?;
        let descriptors = [input.into(), answer_end.into(), complaint_end.into()];
        let rations = Rations {
            errand,
            memory_bytes: limits.memory_bytes_max,
            cpu_seconds: limits.cpu_max.as_secs().max(1),
            wall_seconds: limits.wall_max.as_secs().max(1),
            stack_bytes: limits.stack_bytes_max,
        };
        let reader = match &self.forks {
            Forks::Server(server) => {
                server.order(descriptors, request, rations)?;
                Reader::Servers(&server.socket)
            }
            Forks::Here(work) => Reader::Own(fork_here(descriptors, request, rations, *work)?),
        };
        let cap = usize::try_from(limits.output_bytes_max).unwrap_or(usize::MAX);
        let cap = cap.saturating_add(frame::TRAILER_BYTES);
        let mut answer = Intake { pipe: Some(answer), bytes: Vec::new(), cap, over: false };
        let mut complaint =
            Intake { pipe: Some(complaint), bytes: Vec::new(), cap: STDERR_BYTES_MAX, over: false };
        let deadline = Instant::now() + limits.wall_max + GRACE;
        loop {
            let mut left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                match reader {
                    Reader::Servers(_) => self.replace(),
                    Reader::Own(child) => sys::kill_and_reap(child),
                }
                return Ok(Ended::Hung);
            }
            let closed = answer.pipe.is_none() && complaint.pipe.is_none();
            if closed && let Reader::Own(_) = reader {
                left = left.min(ENDING);
            }
            let watched = [answer.as_fd(), complaint.as_fd(), reader.as_fd()];
            let [answered, complained, ended] = sys::wait_readable(watched, left)?;
            if answered {
                answer.take(false)?;
            }
            if complained {
                complaint.take(true)?;
            }
            let status = match reader {
                Reader::Servers(mut socket) if ended => {
                    let mut status = [0; 4];
                    socket.read_exact(&mut status)?;
                    Some(i32::from_le_bytes(status))
                }
                Reader::Own(child) if closed => sys::sweep_if_ended(child)?,
                _ => None,
            };
            if let Some(status) = status {
                // The child has ended: what it wrote is in the pipes, and no more will come.
                answer.take(false)?;
                complaint.take(true)?;
                return Ok(outcome(status, answer, &complaint.bytes));
            }
        }
    }

    /// A new server in the place of one that is gone or has a reader that will not end.
    fn replace(&mut self) {
        let Forks::Server(server) = &mut self.forks else { return };
        match server.forker.server() {
            Ok((socket, id)) => (server.socket, server.id) = (socket, id),
            Err(error) => self.lost = Some(format!("no parse server: {error}; run again")),
        }
    }
}

impl Server {
    /// Hands over the descriptors of a child, its rations and what it is to do.
    fn order(&self, descriptors: [OwnedFd; 3], request: &[u8], rations: Rations) -> io::Result<()> {
        sys::send_descriptors(&self.socket, descriptors.each_ref().map(OwnedFd::as_fd))?;
        let mut message = (request.len() as u32).to_le_bytes().to_vec();
        message.extend_from_slice(&rations.to_bytes());
        message.extend_from_slice(request);
        (&self.socket).write_all(&message)
    }
}

/// The process that reads, as its end is learned of.
#[derive(Clone, Copy)]
enum Reader<'a> {
    /// A child of the server, which will tell its status.
    Servers(&'a UnixStream),
    Own(libc::pid_t),
}

impl<'a> Reader<'a> {
    fn as_fd(self) -> Option<BorrowedFd<'a>> {
        match self {
            Reader::Servers(socket) => Some(socket.as_fd()),
            Reader::Own(_) => None,
        }
    }
}

/// Forks a reader from this process, which is isolated and has one thread.
fn fork_here(
    descriptors: [OwnedFd; 3],
    request: &[u8],
    rations: Rations,
    work: Work,
) -> io::Result<libc::pid_t> {
    one_thread()?;
    match sys::fork()? {
        Forked::Parent { child } => Ok(child),
        Forked::Child => {
            sys::need_no_file();
            // As for the servers' children, which can open nothing either.
            let _ = Reach::default().restrict();
            child::run(descriptors, request, rations, &Trade::Read(work))
        }
    }
}

/// A fork would copy locks that nobody releases.
fn one_thread() -> io::Result<()> {
    match sys::thread_count()? {
        1 => Ok(()),
        threads => Err(io::Error::other(format!(
            "a parser must be forked before any thread is made, and this process has {threads}"
        ))),
    }
}

fn outcome(status: i32, answer: Intake, stderr: &[u8]) -> Ended {
    if answer.over {
        return Ended::Over;
    }
    if let Some(error) = fork_error(status) {
        return Ended::Lost(format!("no process for the reader: {error}"));
    }
    let stderr = String::from_utf8_lossy(stderr).into_owned();
    Ended::Left { status: sys::exit_status(status), answer: answer.bytes, stderr }
}

/// Bytes taken from a pipe, up to a cap.
struct Intake {
    pipe: Option<PipeReader>,
    bytes: Vec<u8>,
    cap: usize,
    over: bool,
}

impl Intake {
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(|pipe| pipe.as_fd())
    }

    /// Takes what is there. Past the cap a pipe is closed, so that its writer stops, or, with
    /// `discard`, read on and thrown away.
    fn take(&mut self, discard: bool) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        loop {
            // One byte more than is kept tells that there is more.
            let room = if discard { DISCARD_BYTES } else { self.cap - self.bytes.len() + 1 };
            let read = pipe.take(room as u64).read_to_end(&mut self.bytes);
            let is_over = self.bytes.len() > self.cap;
            if is_over {
                self.over = true;
                self.bytes.truncate(self.cap);
            }
            match read {
                _ if is_over && !discard => {
                    self.pipe = None;
                    return Ok(());
                }
                Ok(0) => {
                    self.pipe = None;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The server: waits for a document's descriptors, forks, waits for the child, reports its status.
pub(super) fn serve(socket: UnixStream, trade: &Trade) -> ! {
    sys::need_no_file();
    if sys::close_all_but(3, socket.as_raw_fd()).is_ok() {
        let _ = filter::forbid(&[filter::PAIR]);
        while let Ok(true) = serve_one(&socket, trade) {}
    }
    sys::exit_now(0)
}

/// Standard input and output belong to the parent.
pub(super) fn silence() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    sys::place(null.as_fd(), 0)?;
    sys::place(null.as_fd(), 1)
}

/// One document; false when the parent is gone.
fn serve_one(mut socket: &UnixStream, trade: &Trade) -> io::Result<bool> {
    let Some(descriptors) = sys::receive_descriptors(socket)? else { return Ok(false) };
    let mut len = [0; 4];
    socket.read_exact(&mut len)?;
    let mut rations = [0; Rations::BYTES];
    socket.read_exact(&mut rations)?;
    let rations = Rations::from_bytes(rations);
    let mut request = vec![0; (u32::from_le_bytes(len) as usize).min(REQUEST_BYTES_MAX)];
    socket.read_exact(&mut request)?;
    let status = match sys::fork() {
        Ok(Forked::Child) => child::run(descriptors, &request, rations, trade),
        Ok(Forked::Parent { child }) => {
            close(descriptors);
            sys::wait_and_sweep(child)?
        }
        Err(error) => fork_failed(&error),
    };
    socket.write_all(&status.to_le_bytes())?;
    Ok(true)
}

fn close(descriptors: [OwnedFd; 3]) {
    drop(descriptors);
}

/// A failed fork in place of a wait status, which is never negative.
fn fork_failed(error: &io::Error) -> i32 {
    -error.raw_os_error().unwrap_or(libc::EAGAIN)
}

fn fork_error(status: i32) -> Option<io::Error> {
    (status < 0).then(|| io::Error::from_raw_os_error(-status))
}
