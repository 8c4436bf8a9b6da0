//! The system calls that shut a process in, and those that try the walls, each behind a safe function.

use std::ffi::CStr;
use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a reader that made a system call that it may not.
pub(super) const EXIT_VIOLATION: i32 = 102;

/// What stands before the number of that system call on standard error.
pub(super) const VIOLATION: &str = "forbidden system call ";

fn done(returned: libc::c_int) -> io::Result<()> {
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// No program that this process starts gets more rights than it has.
pub(super) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: PR_SET_NO_NEW_PRIVS reads integers.
    done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// No core dump, and no other process of this user may read this one's memory.
pub(super) fn not_dumpable() -> io::Result<()> {
    // SAFETY: PR_SET_DUMPABLE reads integers.
    done(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

/// New namespaces for this process, which has one thread.
pub(super) fn unshare(namespaces: libc::c_int) -> io::Result<()> {
    // SAFETY: `unshare` takes any flags and touches no memory of ours.
    done(unsafe { libc::unshare(namespaces) })
}

/// The effective user and group.
pub(super) fn user_and_group() -> (libc::uid_t, libc::gid_t) {
    // SAFETY: no arguments, cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// `struct __user_cap_header_struct` and `__user_cap_data_struct` of linux/capability.h, version 3.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Gives up every capability.
pub(super) fn drop_capabilities() -> io::Result<()> {
    let header: [u32; 2] = [CAPABILITY_VERSION_3, 0];
    let none: [u32; 6] = [0; 6];
    // SAFETY: version 3 reads a header of two words (0: this process) and two sets of three words.
    match unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a trapped call is only noted, so that the next way can be tried.
static TRYING: AtomicBool = AtomicBool::new(false);
/// A call was trapped since this was last asked.
static TRAPPED: AtomicBool = AtomicBool::new(false);

/// What a filter's SIGSYS does in a reader: the call is named on standard error and the process ends; or,
/// while ways are tried, the call fails with EPERM and is noted. It is not made either way.
pub(super) fn answer_violations(trying: bool) -> io::Result<()> {
    TRYING.store(trying, Ordering::Relaxed);
    // SAFETY: all-zero is a valid sigaction (no flags, empty mask).
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_violation as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `action` outlives the call; the handler does only what signal-safety(7) allows.
    done(unsafe { libc::sigaction(libc::SIGSYS, &action, ptr::null_mut()) })
}

/// Where siginfo_t holds the number of a trapped call: after the three words of every signal, padded to
/// eight bytes, and the address of the call.
const SYSCALL_OFFSET: usize = 24;

extern "C" fn on_violation(_: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if TRYING.load(Ordering::Relaxed) {
        TRAPPED.store(true, Ordering::Relaxed);
        give_back_eperm(context);
        return;
    }
    // SAFETY: the kernel gives a whole siginfo_t, whose `_sigsys` part holds the number there.
    let mut number = unsafe { info.byte_add(SYSCALL_OFFSET).cast::<libc::c_int>().read() }.max(0);
    // No allocation and no lock in a signal handler: the line is built from its end.
    let mut line = [0u8; VIOLATION.len() + 11];
    let mut at = line.len() - 1;
    line[at] = b'\n';
    loop {
        at -= 1;
        line[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    at -= VIOLATION.len();
    line[at..at + VIOLATION.len()].copy_from_slice(VIOLATION.as_bytes());
    // SAFETY: the bytes are there; where standard error is full or closed only the name is lost.
    unsafe { libc::write(2, line[at..].as_ptr().cast(), line.len() - at) };
    super::sys::exit_now(EXIT_VIOLATION)
}

/// Makes the trapped call return EPERM.
#[cfg(target_arch = "x86_64")]
fn give_back_eperm(context: *mut libc::c_void) {
    // SAFETY: the third argument of a handler with SA_SIGINFO is the ucontext_t that it returns to.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    context.uc_mcontext.gregs[libc::REG_RAX as usize] = -i64::from(libc::EPERM);
}

#[cfg(not(target_arch = "x86_64"))]
fn give_back_eperm(_: *mut libc::c_void) {}

/// Whether a call was trapped since the last time.
pub(super) fn take_trapped() -> bool {
    TRAPPED.swap(false, Ordering::Relaxed)
}

fn errno() -> libc::c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Calls `number`; the error is errno. Only for calls that harm nothing with these arguments; a
/// descriptor that comes back is closed.
pub(super) fn probe(number: libc::c_long, with: [usize; 5]) -> Result<(), libc::c_int> {
    // SAFETY: the caller's arguments are numbers and null pointers, which the kernel checks.
    let returned = unsafe { libc::syscall(number, with[0], with[1], with[2], with[3], with[4]) };
    if returned < 0 { Err(errno()) } else { Ok(()) }
}

/// Makes a socket and closes it.
pub(super) fn probe_socket(kind: [libc::c_int; 3]) -> Result<(), libc::c_int> {
    let [domain, kind, protocol] = kind;
    // By number, so that the program need not even know the name of the C library's function.
    // SAFETY: `socket` takes any numbers.
    let made =
        unsafe { libc::syscall(libc::SYS_socket, domain, kind | libc::SOCK_CLOEXEC, protocol) };
    close_probed(made as libc::c_int)
}

/// Opens `path` and closes it.
pub(super) fn probe_open(path: &CStr, flags: libc::c_int) -> Result<(), libc::c_int> {
    // SAFETY: `path` is a C string that outlives the call; the mode is read with O_TMPFILE.
    close_probed(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) })
}

fn close_probed(descriptor: libc::c_int) -> Result<(), libc::c_int> {
    if descriptor < 0 {
        return Err(errno());
    }
    // SAFETY: the descriptor was made for this try, and nobody else knows it.
    unsafe { libc::close(descriptor) };
    Ok(())
}

/// Has `number` (process_vm_readv or process_vm_writev) copy a byte of this process onto another.
pub(super) fn probe_memory(number: libc::c_long) -> Result<(), libc::c_int> {
    let (mut here, mut there) = ([1u8], [1u8]);
    let part = |byte: &mut [u8; 1]| libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let (local, remote) = (part(&mut here), part(&mut there));
    let own = super::sys::own_id();
    // SAFETY: both parts are one byte of this function, which no reference is used to meanwhile.
    let copied = unsafe { libc::syscall(number, own, &local, 1, &remote, 1, 0) };
    if copied < 0 { Err(errno()) } else { Ok(()) }
}

/// The name that C gives an error number, for those that walls answer with; the number for others.
pub(super) fn error_name(number: libc::c_int) -> String {
    let named = match number {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EBADF => "EBADF",
        libc::EACCES => "EACCES",
        libc::EFAULT => "EFAULT",
        libc::EINVAL => "EINVAL",
        libc::ENOSPC => "ENOSPC",
        libc::EROFS => "EROFS",
        libc::ENOSYS => "ENOSYS",
        libc::EUSERS => "EUSERS",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EPROTONOSUPPORT => "EPROTONOSUPPORT",
        libc::ESOCKTNOSUPPORT => "ESOCKTNOSUPPORT",
        other => return format!("error {other}"),
    };
    named.to_owned()
}
