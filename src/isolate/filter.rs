//! The filters of system calls (seccomp): one of what no process of this program may ever do, one of the
//! little that a reader needs, one of what a program needs that is run on a page's picture. All check the
//! architecture; the x32 numbers are refused.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// Name and number.
pub(super) type Call = (&'static str, libc::c_long);

macro_rules! calls {
    ($($call:ident: $number:ident),* $(,)?) => { [$((stringify!($call), libc::$number)),*] };
}

/// Ways to another machine, to another process and past the other walls. `sendmsg` and `recvmsg` stay:
/// descriptors go to the parse server over a pair of sockets that was made before.
pub(super) const WAYS_OUT: &[Call] = &calls![
    socket: SYS_socket, connect: SYS_connect, bind: SYS_bind, listen: SYS_listen,
    accept: SYS_accept, accept4: SYS_accept4, sendmmsg: SYS_sendmmsg,
    io_uring_setup: SYS_io_uring_setup, io_uring_enter: SYS_io_uring_enter,
    io_uring_register: SYS_io_uring_register,
    ptrace: SYS_ptrace, process_vm_readv: SYS_process_vm_readv,
    process_vm_writev: SYS_process_vm_writev, process_madvise: SYS_process_madvise,
    pidfd_getfd: SYS_pidfd_getfd, kcmp: SYS_kcmp,
    bpf: SYS_bpf, perf_event_open: SYS_perf_event_open, userfaultfd: SYS_userfaultfd,
    keyctl: SYS_keyctl, add_key: SYS_add_key, request_key: SYS_request_key,
    mount: SYS_mount, umount2: SYS_umount2, mount_setattr: SYS_mount_setattr,
    move_mount: SYS_move_mount, open_tree: SYS_open_tree, fsopen: SYS_fsopen,
    fsconfig: SYS_fsconfig, fsmount: SYS_fsmount, fspick: SYS_fspick,
    pivot_root: SYS_pivot_root, chroot: SYS_chroot, unshare: SYS_unshare, setns: SYS_setns,
    name_to_handle_at: SYS_name_to_handle_at, open_by_handle_at: SYS_open_by_handle_at,
    swapon: SYS_swapon, swapoff: SYS_swapoff, quotactl: SYS_quotactl, acct: SYS_acct,
    reboot: SYS_reboot, kexec_load: SYS_kexec_load, init_module: SYS_init_module,
    finit_module: SYS_finit_module, delete_module: SYS_delete_module, personality: SYS_personality,
    settimeofday: SYS_settimeofday, clock_settime: SYS_clock_settime, adjtimex: SYS_adjtimex,
    clock_adjtime: SYS_clock_adjtime, sethostname: SYS_sethostname,
    setdomainname: SYS_setdomainname, syslog: SYS_syslog, vhangup: SYS_vhangup,
    mknodat: SYS_mknodat, fanotify_init: SYS_fanotify_init,
    kexec_file_load: SYS_kexec_file_load, quotactl_fd: SYS_quotactl_fd,
    // What all processes of a machine share by a number or a name.
    msgget: SYS_msgget, msgsnd: SYS_msgsnd, msgrcv: SYS_msgrcv, msgctl: SYS_msgctl,
    shmget: SYS_shmget, shmat: SYS_shmat, shmctl: SYS_shmctl,
    semget: SYS_semget, semop: SYS_semop, semtimedop: SYS_semtimedop, semctl: SYS_semctl,
    mq_open: SYS_mq_open, mq_unlink: SYS_mq_unlink,
];

/// Calls of the same kind that only x86-64 has.
#[cfg(target_arch = "x86_64")]
pub(super) const WAYS_OUT_X86: &[Call] =
    &calls![mknod: SYS_mknod, iopl: SYS_iopl, ioperm: SYS_ioperm];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const WAYS_OUT_X86: &[Call] = &[];

/// Refused besides where no program is to be started any more.
pub(super) const EXEC: &[Call] = &calls![execve: SYS_execve, execveat: SYS_execveat];

/// Refused besides where no further server is to be forked.
pub(super) const PAIR: &[Call] = &calls![socketpair: SYS_socketpair];

/// All that a reader needs: its descriptors, memory, time, randomness, its own end. What opens, names or
/// starts anything is not among them.
const READER: &[Call] = &calls![
    read: SYS_read, readv: SYS_readv, pread64: SYS_pread64, write: SYS_write, writev: SYS_writev,
    lseek: SYS_lseek, fstat: SYS_fstat, close: SYS_close,
    munmap: SYS_munmap, mremap: SYS_mremap, brk: SYS_brk, madvise: SYS_madvise,
    futex: SYS_futex, sched_yield: SYS_sched_yield, sched_getaffinity: SYS_sched_getaffinity,
    restart_syscall: SYS_restart_syscall, set_robust_list: SYS_set_robust_list, rseq: SYS_rseq,
    clock_gettime: SYS_clock_gettime, clock_nanosleep: SYS_clock_nanosleep,
    nanosleep: SYS_nanosleep, getrandom: SYS_getrandom,
    rt_sigaction: SYS_rt_sigaction, rt_sigprocmask: SYS_rt_sigprocmask,
    rt_sigreturn: SYS_rt_sigreturn, sigaltstack: SYS_sigaltstack,
    getpid: SYS_getpid, gettid: SYS_gettid, exit: SYS_exit, exit_group: SYS_exit_group,
];

/// What a program needs besides to be started, to load its libraries and to read its own files; which files
/// those are is Landlock's. Nothing here makes a process, a thread or a socket.
const PROGRAM: &[Call] = &calls![
    execve: SYS_execve, openat: SYS_openat, newfstatat: SYS_newfstatat, statx: SYS_statx,
    faccessat: SYS_faccessat, readlinkat: SYS_readlinkat, getcwd: SYS_getcwd,
    getdents64: SYS_getdents64, fadvise64: SYS_fadvise64, fcntl: SYS_fcntl, dup: SYS_dup,
    mmap: SYS_mmap, mprotect: SYS_mprotect, set_tid_address: SYS_set_tid_address,
    prlimit64: SYS_prlimit64, getuid: SYS_getuid, geteuid: SYS_geteuid, getgid: SYS_getgid,
    getegid: SYS_getegid, uname: SYS_uname, sysinfo: SYS_sysinfo, getrusage: SYS_getrusage,
    gettimeofday: SYS_gettimeofday, clock_getres: SYS_clock_getres,
];

/// As `WAYS_OUT_X86`.
#[cfg(target_arch = "x86_64")]
const PROGRAM_X86: &[Call] = &calls![
    open: SYS_open, stat: SYS_stat, lstat: SYS_lstat, access: SYS_access, readlink: SYS_readlink,
    arch_prctl: SYS_arch_prctl, getrlimit: SYS_getrlimit, time: SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const PROGRAM_X86: &[Call] = &[];

/// Names for what a reader is caught at, beside the refused ones.
const OTHERS: &[Call] = &calls![
    openat: SYS_openat, openat2: SYS_openat2, clone: SYS_clone, clone3: SYS_clone3,
    newfstatat: SYS_newfstatat, statx: SYS_statx, ioctl: SYS_ioctl, fcntl: SYS_fcntl,
    prctl: SYS_prctl, prlimit64: SYS_prlimit64, kill: SYS_kill, tgkill: SYS_tgkill,
    mmap: SYS_mmap, mprotect: SYS_mprotect, getdents64: SYS_getdents64,
    sendmsg: SYS_sendmsg,
];

/// The name of a system call, or its number.
pub(super) fn call_name(number: i64) -> String {
    let mut known = [WAYS_OUT, EXEC, PAIR, READER, OTHERS].into_iter().flatten();
    known
        .find(|(_, call)| *call == number)
        .map_or_else(|| format!("number {number}"), |(name, _)| (*name).to_owned())
}

/// Refuses `lists` to this process and all that it starts: calls fail with EPERM. New namespaces are refused
/// with them, and so are words put into a terminal's input, which its shell would obey; `clone3`, whose flags
/// no filter can read, fails with ENOSYS: the C library then takes `clone`.
///
/// # Errors
/// Where the kernel has no seccomp.
pub(super) fn forbid(lists: &[&[Call]]) -> io::Result<()> {
    let calls = lists.iter().copied().chain([WAYS_OUT_X86]).flatten();
    let mut refused: Rules = calls.map(|(_, number)| (*number, Vec::new())).collect();
    let namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    let with_flag = |flag: libc::c_int| rule(0, SeccompCmpOp::MaskedEq(flag as u64), flag as u64);
    refused.insert(libc::SYS_clone, namespaces.map(with_flag).to_vec());
    // The kernel looks at 32 bits of the request.
    let request = |request: u64| rule(1, SeccompCmpOp::MaskedEq(u32::MAX.into()), request);
    let input = [libc::TIOCSTI, libc::TIOCLINUX].map(request);
    refused.insert(libc::SYS_ioctl, input.to_vec());
    // To an address; without one it is a write to what is connected.
    refused.insert(libc::SYS_sendto, vec![rule(4, SeccompCmpOp::Ne, 0)]);
    let filter = compiled(refused, SeccompAction::Allow, errno(libc::EPERM));
    install(&refuse_clone3().into_iter().chain(filter).collect())
}

/// The filter of the reader `process`. Anything but what is allowed raises SIGSYS in it.
pub(super) fn reader(process: libc::pid_t) -> BpfProgram {
    let mut allowed: Rules = READER.iter().map(|(_, number)| (*number, Vec::new())).collect();
    // Memory is never made executable.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let executable = libc::PROT_EXEC as u64;
        allowed.insert(call, vec![rule(2, SeccompCmpOp::MaskedEq(executable), 0)]);
    }
    // A signal to itself is how a process aborts.
    allowed.insert(libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Eq, process as u64)]);
    // With debug assertions the standard library asks whether a descriptor that it closes is open.
    allowed.insert(libc::SYS_fcntl, vec![rule(1, SeccompCmpOp::Eq, libc::F_GETFD as u64)]);
    compiled(allowed, SeccompAction::Trap, SeccompAction::Allow)
}

/// The filter of the program that `process` is about to become. Other calls answer that the kernel does not
/// have them, which the C library takes as it would on an old one.
pub(super) fn program(process: libc::pid_t) -> BpfProgram {
    let lists = [READER, PROGRAM, PROGRAM_X86];
    let calls = lists.into_iter().flatten();
    let mut allowed: Rules = calls.map(|(_, number)| (*number, Vec::new())).collect();
    allowed.insert(libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Eq, process as u64)]);
    compiled(allowed, errno(libc::ENOSYS), SeccompAction::Allow)
}

/// Installs `program` in every thread of this process.
///
/// # Errors
/// Where the kernel has no seccomp.
pub(super) fn install(program: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter_all_threads(program).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        other => io::Error::other(other),
    })
}

/// By number; a call without rules always matches.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rule(argument: u8, compared: SeccompCmpOp, with: u64) -> SeccompRule {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, compared, with)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .expect("a call has six arguments, and this is one of them")
}

fn errno(number: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(number as u32)
}

/// `rules` get `matched`, all else `otherwise`; another architecture kills the process.
fn compiled(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> BpfProgram {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).expect("x86-64, or as good");
    let filter = SeccompFilter::new(rules, otherwise, matched.clone(), architecture);
    let filter = filter.and_then(BpfProgram::try_from).expect("the rules are ours, and few");
    refuse_x32().into_iter().chain(filter).collect()
}

/// The second set of numbers for the calls of x86-64, which a list of numbers would miss.
fn refuse_x32() -> [sock_filter; 3] {
    const X32_BIT: u32 = 0x4000_0000;
    refuse(libc::BPF_JGE, X32_BIT, libc::EPERM)
}

/// A list of rules gives all of them one error, and this call needs its own.
fn refuse_clone3() -> [sock_filter; 3] {
    refuse(libc::BPF_JEQ, libc::SYS_clone3 as u32, libc::ENOSYS)
}

/// A call whose number compares so gets `error`; every other goes on to the next instruction.
fn refuse(compared: u32, number: u32, error: libc::c_int) -> [sock_filter; 3] {
    let [load, jump, give] = [
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | compared | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    ]
    .map(|code| code as u16);
    [
        // The number is the first word of seccomp_data.
        sock_filter { code: load, jt: 0, jf: 0, k: 0 },
        sock_filter { code: jump, jt: 0, jf: 1, k: number },
        sock_filter { code: give, jt: 0, jf: 0, k: u32::from(errno(error)) },
    ]
}
