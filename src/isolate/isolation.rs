//! The last walls, and the proof that they stand: files, system calls, and every way out tried from the
//! main process and from a reader.

use std::fs::File;
use std::io;
use std::path::Path;

use super::child::Errand;
use super::ways::{self, Leads, Try};
use super::{ParseServer, Parsed, ProgramServer, Reach, filter, sys};
use crate::base::Limits;

/// What shuts this process in.
#[derive(Clone, Debug)]
pub struct Isolation {
    /// "own", or the error for which there is no network namespace of its own.
    pub namespace: String,
    /// The network interfaces that this process can see.
    pub interfaces: Vec<String>,
    /// The version of Landlock that holds it; 0 for none.
    pub landlock: u64,
    /// Every way, first from the main process, then from a reader, unless the one reader tries them itself, then
    /// from where a program is run.
    pub tries: Vec<Try>,
}

impl Isolation {
    /// The ways to `leads` that are open.
    pub fn open(&self, leads: Leads) -> impl Iterator<Item = &Try> {
        self.tries.iter().filter(move |tried| tried.leads == leads && tried.is_open())
    }
}

/// Isolates this process for good, all but `reach`, and tries every way out of it. `input` is a folder that is
/// only read. Call it when everything else that must be opened is open, and before the first thread.
///
/// # Errors
/// When this process has more than one thread, or the kernel refuses a wall that it has.
pub fn isolate(
    server: &mut ParseServer,
    program: Option<&mut ProgramServer>,
    reach: &Reach,
    input: &Path,
) -> io::Result<Isolation> {
    if sys::thread_count()? != 1 {
        return Err(io::Error::other("a process with threads cannot be isolated"));
    }
    let landlock = reach.with_machine().restrict()?;
    // Where there is no seccomp, the tries say so.
    match filter::forbid(&[filter::WAYS_OUT, filter::EXEC, filter::PAIR]) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => {}
        other => other?,
    }
    let mut tries = ways::from_main(input);
    if !server.is_for_one() {
        tries.extend(from_reader(server, input)?);
    }
    if let Some(program) = program {
        tries.extend(program.try_ways(input).map_err(|why| {
            io::Error::other(format!("the ways out of a program could not be tried: {why}"))
        })?);
    }
    let (namespace, interfaces) = (server.begun.namespace.clone(), server.begun.interfaces.clone());
    Ok(Isolation { namespace, interfaces, landlock, tries })
}

fn from_reader(server: &mut ParseServer, input: &Path) -> io::Result<Vec<Try>> {
    use std::os::unix::ffi::OsStrExt;
    // Any open file: the try does not read it.
    let (nothing, _) = io::pipe()?;
    let document = File::from(std::os::fd::OwnedFd::from(nothing));
    let limits = Limits::default();
    match server.send(Errand::TryWays, document, input.as_os_str().as_bytes(), &limits) {
        Parsed::Ok(answer) => Ok(ways::told_by_reader(&answer)),
        other => Err(io::Error::other(format!(
            "the ways out of a reader could not be tried: {}",
            other.why(&limits).unwrap_or_default()
        ))),
    }
}
