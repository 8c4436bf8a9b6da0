//! The walls that need no plan, put up before anything is opened or forked: descriptors closed, no new
//! privileges, no network but an empty one of its own, memory that no other process may read.

use std::io;

use super::{sys, walls};

/// That the first walls stand, and which of them this machine gave.
#[derive(Clone, Debug)]
pub struct Begun {
    /// "own", or the error for which the network namespace is the one of whoever started this.
    pub(super) namespace: String,
    /// Network interfaces that are left: "lo" alone in a namespace of its own.
    pub(super) interfaces: Vec<String>,
}

/// Puts up the first walls: the first thing that the program does.
///
/// Every descriptor from 3 on is closed, whoever left it open. The namespace is tried and not insisted
/// on: containers and some distributions refuse it, and the filter of system calls does not need it.
///
/// # Errors
/// When this process has more than one thread (its others would stay outside), or the system refuses
/// what every Linux since 3.5 gives.
pub fn begin() -> io::Result<Begun> {
    let threads = sys::thread_count()?;
    if threads != 1 {
        return Err(io::Error::other(format!(
            "a process can only be isolated before it has threads, and this one has {threads}"
        )));
    }
    sys::close_from(3)?;
    walls::no_new_privileges()?;
    let namespace = match own_network() {
        Ok(()) => "own".to_owned(),
        Err(error) => walls::error_name(error.raw_os_error().unwrap_or(0)),
    };
    // Last: what is not dumpable may not write its own maps in /proc.
    walls::not_dumpable()?;
    Ok(Begun { namespace, interfaces: interfaces() })
}

/// A network namespace with nothing in it. Where only root may have one, it takes a user namespace, in
/// which this user stays who it is and nobody has any capability.
fn own_network() -> io::Result<()> {
    if walls::unshare(libc::CLONE_NEWNET).is_ok() {
        return Ok(());
    }
    let (user, group) = walls::user_and_group();
    walls::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
    // Without the maps the user would be called nobody; files are theirs all the same.
    let _ = std::fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| std::fs::write("/proc/self/uid_map", format!("{user} {user} 1")))
        .and_then(|()| std::fs::write("/proc/self/gid_map", format!("{group} {group} 1")));
    walls::drop_capabilities()
}

/// The names in the table of devices, two lines below its head.
fn interfaces() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names = table.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}
