//! The few system calls that the standard library does not offer, each behind a safe function.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;
use std::time::Duration;

/// Which side of a fork this is.
pub(super) enum Forked {
    Parent { child: libc::pid_t },
    Child,
}

/// Threads of this process.
pub(super) fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Forks. The caller has made sure that this process has one thread.
pub(super) fn fork() -> io::Result<Forked> {
    // SAFETY: with one thread no lock can be held by a thread that the child lacks; the callers
    // (`ParseServer`, which counts the threads, and its servers, which make none) see to it.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        child => Ok(Forked::Parent { child }),
    }
}

/// Ends the process without running what the parent registered for its own exit.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

fn parent() -> libc::pid_t {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getppid() }
}

/// This process.
pub(super) fn own_id() -> libc::pid_t {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getpid() }
}

/// Asks the kernel to kill this process when the thread that forked it ends.
pub(super) fn die_with_parent() {
    // SAFETY: PR_SET_PDEATHSIG reads one integer argument.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// The same for a process that `forker` has just forked, which may be dead already.
pub(super) fn die_with(forker: libc::pid_t) {
    die_with_parent();
    if parent() != forker {
        exit_now(0);
    }
}

/// Smaller pieces of memory come from the heap, and stay there when they are freed (the C library allows
/// no more than this).
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 32 << 20;

/// How far a reader's heap grows at a time.
#[cfg(target_env = "gnu")]
const HEAP_STEP_BYTES: libc::c_int = 1 << 20;

/// Keeps the standard library and the C library from opening files behind a reader's back: for a
/// backtrace, and to ask whether a thread's own heap may shrink. For a process with one thread.
pub(super) fn need_no_file() {
    for key in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
        // SAFETY: no other thread can be reading the environment.
        unsafe { std::env::remove_var(key) };
    }
    // SAFETY: no other thread is allocating; all of them share the one heap from here on. A reader lives
    // for one document, so that it gives nothing back: a page that is asked for twice costs twice.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_TOP_PAD, HEAP_STEP_BYTES);
    };
}

/// A process group of its own, so that what a child might start can be found, and death with the parent.
pub(super) fn own_group_and_die_with_parent() {
    die_with_parent();
    // SAFETY: both arguments 0 mean this process; failure leaves it in the group it had.
    unsafe { libc::setpgid(0, 0) };
}

/// Ignores the signals that ask the whole program to end: the parent decides when its servers go.
pub(super) fn ignore_requests_to_end() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: SIG_IGN is a valid disposition for these three.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Sets a resource limit of this process.
pub(super) fn limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> io::Result<()> {
    let wanted = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `wanted` is a valid rlimit that outlives the call.
    match unsafe { libc::setrlimit(resource, &wanted) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// SIGALRM after `seconds` of wall clock.
pub(super) fn alarm(seconds: u64) {
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    // SAFETY: `alarm` takes any number.
    unsafe { libc::alarm(seconds) };
}

/// Makes the three descriptors 0, 1 and 2 and closes every other.
pub(super) fn keep_only(descriptors: [OwnedFd; 3]) -> io::Result<()> {
    // Raised above 2 first, so that placing one does not overwrite another.
    let mut raised: [RawFd; 3] = [0; 3];
    for (to, from) in raised.iter_mut().zip(&descriptors) {
        // SAFETY: F_DUPFD reads one integer; `from` is open.
        *to = unsafe { libc::fcntl(from.as_raw_fd(), libc::F_DUPFD, 3) };
        if *to < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    for (target, from) in raised.into_iter().enumerate() {
        // SAFETY: `from` is open; what `target` was is given up on purpose.
        if unsafe { libc::dup2(from, target as RawFd) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // They may be among those closed below; nothing may close them a second time.
    descriptors.into_iter().for_each(mem::forget);
    close_from(3)
}

/// Makes descriptor `target` another name of `fd`.
pub(super) fn place(fd: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    // SAFETY: `fd` is open; what `target` was is given up on purpose.
    match unsafe { libc::dup2(fd.as_raw_fd(), target) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Closes every descriptor from `first` on, except `kept`.
pub(super) fn close_all_but(first: u32, kept: RawFd) -> io::Result<()> {
    let kept = kept as u32;
    if kept > first {
        close_range(first, kept - 1)?;
    }
    close_range(first.max(kept + 1), u32::MAX)
}

/// Closes every descriptor from `first` on.
pub(super) fn close_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: the callers own the whole process (a fresh fork) and give these descriptors up.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
        0 => return Ok(()),
        _ if io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS) => {
            return Err(io::Error::last_os_error());
        }
        _ => {}
    }
    // Kernels before 5.9: what is open stands in /proc.
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&fd: &RawFd| (first..=last).contains(&(fd as u32)))
        .collect();
    for fd in open {
        // SAFETY: as above; closing the listing's own descriptor again is an ignored EBADF.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Whether `fd` is open, by a seek to where it is.
#[cfg(test)]
pub(super) fn is_open(fd: RawFd) -> bool {
    // SAFETY: `lseek` touches no memory; any number may be asked about.
    let sought = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
    sought >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EBADF)
}

/// Descriptors 0 and 1 as files.
pub(super) fn standard_files() -> (File, File) {
    // SAFETY: `keep_only` has made both; the child uses them through these files only, and ends by
    // `_exit`, which closes them once.
    let input = unsafe { File::from_raw_fd(0) };
    // SAFETY: as above.
    let output = unsafe { File::from_raw_fd(1) };
    (input, output)
}

/// Waits until `child` has ended, kills what is left of its group, and reaps it.
pub(super) fn wait_and_sweep(child: libc::pid_t) -> io::Result<i32> {
    has_ended(child, 0)?;
    sweep(child)
}

/// The same for a child that may have ended; none where it has not.
pub(super) fn sweep_if_ended(child: libc::pid_t) -> io::Result<Option<i32>> {
    if has_ended(child, libc::WNOHANG)? { sweep(child).map(Some) } else { Ok(None) }
}

/// Whether `child` has ended; it is not reaped. Without `WNOHANG` it is waited for.
fn has_ended(child: libc::pid_t, hang: libc::c_int) -> io::Result<bool> {
    // SAFETY: an all-zero siginfo_t is a valid value to be written over.
    let mut end: libc::siginfo_t = unsafe { mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOWAIT | hang;
    loop {
        // SAFETY: `end` is writable and outlives the call.
        if unsafe { libc::waitid(libc::P_PID, child as libc::id_t, &mut end, flags) } == 0 {
            // SAFETY: zero as made above, or written by the kernel for a child.
            return Ok(unsafe { end.si_pid() } != 0);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Kills what is left of the group of `child`, which has ended, and reaps it.
fn sweep(child: libc::pid_t) -> io::Result<i32> {
    // The child is a zombie until it is reaped below, so its number means nobody else.
    // SAFETY: `kill` takes any numbers; an empty group is an ignored error.
    unsafe { libc::kill(-child, libc::SIGKILL) };
    let mut status = 0;
    // SAFETY: `status` is writable; the child has ended, so this does not wait.
    if unsafe { libc::waitpid(child, &mut status, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(status)
}

/// The standard library's view of a wait status.
pub(super) fn exit_status(status: i32) -> ExitStatus {
    ExitStatus::from_raw(status)
}

/// Kills `process`, which somebody else reaps.
#[cfg(test)]
pub(super) fn kill(process: libc::pid_t) {
    // SAFETY: `kill` takes any numbers.
    unsafe { libc::kill(process, libc::SIGKILL) };
}

/// Kills and reaps the server `child`.
pub(super) fn kill_and_reap(child: libc::pid_t) {
    // SAFETY: `child` is a child of ours that was not reaped, so the number is still its own.
    unsafe { libc::kill(child, libc::SIGKILL) };
    // SAFETY: a null status pointer is allowed.
    unsafe { libc::waitpid(child, ptr::null_mut(), 0) };
}

/// Makes reads of `fd` return `WouldBlock` instead of waiting.
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: `fd` is open; F_SETFL reads one integer. A fresh pipe end has no other status flag.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits until one of `fds` can be read or is at its end, at most `timeout`. `None` is not waited for.
pub(super) fn wait_readable<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    timeout: Duration,
) -> io::Result<[bool; N]> {
    // A negative descriptor is skipped by poll(2).
    let mut polled = fds.map(|fd| libc::pollfd {
        fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
        events: libc::POLLIN,
        revents: 0,
    });
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `polled` is an array of N pollfd that outlives the call.
    let count = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, millis) };
    if count < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok([false; N]);
    }
    Ok(polled.map(|fd| fd.revents != 0))
}

/// A file in memory that holds `bytes`, is read from its start and can be changed by nobody.
pub(super) fn sealed_file(bytes: &[u8]) -> io::Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string that outlives the call.
    let made = unsafe { libc::memfd_create(c"picture".as_ptr(), flags) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for this process.
    let mut file = unsafe { File::from_raw_fd(made) };
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: F_ADD_SEALS reads one integer; `file` is open.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Room for descriptors in a control message; laid out as cmsg(3) says, on 64-bit Linux.
#[repr(C)]
struct Control<const N: usize> {
    header: libc::cmsghdr,
    fds: [RawFd; N],
}

impl<const N: usize> Control<N> {
    /// Of the header and the descriptors, without what may be left between control messages.
    const LEN: usize = {
        let len = mem::size_of::<libc::cmsghdr>() + N * mem::size_of::<RawFd>();
        assert!(mem::offset_of!(Control<N>, fds) == mem::size_of::<libc::cmsghdr>());
        assert!(len <= mem::size_of::<Control<N>>());
        len
    };

    fn holding(fds: [RawFd; N]) -> Control<N> {
        // SAFETY: all-zero is a valid cmsghdr (integers only).
        Control { header: unsafe { mem::zeroed() }, fds }
    }
}

/// Sends one byte with descriptors.
pub(super) fn send_descriptors<const N: usize>(
    socket: &UnixStream,
    fds: [BorrowedFd<'_>; N],
) -> io::Result<()> {
    let mut control = Control::holding(fds.map(|fd| fd.as_raw_fd()));
    control.header.cmsg_len = Control::<N>::LEN as _;
    control.header.cmsg_level = libc::SOL_SOCKET;
    control.header.cmsg_type = libc::SCM_RIGHTS;
    with_message(&mut control, |message| {
        // SAFETY: `message` points at buffers that outlive the call.
        unsafe { libc::sendmsg(socket.as_raw_fd(), message, libc::MSG_NOSIGNAL) }
    })
    .map(drop)
}

/// Receives what `send_descriptors` sent; none at the end of the stream.
pub(super) fn receive_descriptors<const N: usize>(
    socket: &UnixStream,
) -> io::Result<Option<[OwnedFd; N]>> {
    let mut control = Control::holding([-1; N]);
    let received = with_message(&mut control, |message| {
        // SAFETY: `message` points at buffers that outlive the call.
        unsafe { libc::recvmsg(socket.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC) }
    })?;
    if received == 0 {
        return Ok(None);
    }
    let is_ours = control.header.cmsg_type == libc::SCM_RIGHTS
        && control.header.cmsg_level == libc::SOL_SOCKET
        && control.header.cmsg_len == Control::<N>::LEN;
    if !is_ours {
        return Err(io::Error::other(format!("a message without its {N} descriptors")));
    }
    Ok(Some(control.fds.map(|fd| {
        // SAFETY: the kernel has just made these descriptors for this process.
        unsafe { OwnedFd::from_raw_fd(fd) }
    })))
}

/// Runs `call` with a message of one byte and `control`; repeats it when a signal interrupts.
fn with_message<const N: usize>(
    control: &mut Control<N>,
    mut call: impl FnMut(*mut libc::msghdr) -> isize,
) -> io::Result<usize> {
    let mut byte = 1u8;
    let mut part =
        libc::iovec { iov_base: ptr::from_mut(&mut byte).cast(), iov_len: mem::size_of::<u8>() };
    loop {
        // SAFETY: all-zero is a valid msghdr (integers and null pointers).
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = ptr::from_mut(control).cast();
        message.msg_controllen = mem::size_of::<Control<N>>() as _;
        match call(&mut message) {
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            count => return Ok(count as usize),
        }
    }
}
