//! A program of the machine's own that is run on bytes of a document, for what this program cannot do
//! itself: one process for each run, one thread, no network, nothing to read but the program's own files,
//! nothing to write but its answer. Its memory can be read by other processes of this user, as any
//! program's can; a reader's cannot.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::Command;

use super::child::{self, EXIT_ERROR, Errand, Rations, Trade};
use super::reach::Reach;
use super::server::{Children, Ended};
use super::ways::{self, Try};
use super::{filter, sys};
use crate::base::{Limits, duration};

/// Its three, and what a program opens to load its libraries and its model.
const DESCRIPTORS_MAX: u64 = 16;

/// All that it is told of the machine: answers must not depend on who runs it. One thread, since others
/// are refused anyway.
const ENVIRONMENT: [(&str, &str); 3] =
    [("LC_ALL", "C.UTF-8"), ("OMP_THREAD_LIMIT", "1"), ("OMP_NUM_THREADS", "1")];

/// A program and the files that it may touch.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub reach: Reach,
}

/// The server whose children become a program.
pub struct ProgramServer {
    children: Children,
}

impl ProgramServer {
    /// Forks the server: before this process is isolated, since what it runs must be startable, and before
    /// its first thread.
    ///
    /// # Errors
    /// As for a `ParseServer`.
    pub fn start(program: Program) -> io::Result<ProgramServer> {
        Ok(ProgramServer { children: Children::of_server(Trade::Run(program))? })
    }

    /// Runs the program on `input` and gives what it writes, within `limits`.
    ///
    /// # Errors
    /// Why there is no whole answer: a sentence without a final dot.
    pub fn run(
        &mut self,
        input: &[u8],
        arguments: &[&str],
        limits: &Limits,
    ) -> Result<Vec<u8>, String> {
        let input = sys::sealed_file(input).map_err(|error| format!("no memory file: {error}"))?;
        self.send(Errand::Read, input, arguments.join("\0").as_bytes(), limits)
    }

    /// Every way out but its own start, tried from where the program is run.
    pub(super) fn try_ways(&mut self, input: &std::path::Path) -> Result<Vec<Try>, String> {
        let nothing = sys::sealed_file(&[]).map_err(|error| format!("no memory file: {error}"))?;
        let limits = Limits::default();
        let told = self.send(Errand::TryWays, nothing, input.as_os_str().as_bytes(), &limits)?;
        Ok(ways::told_by_program(&told))
    }

    fn send(
        &mut self,
        errand: Errand,
        input: File,
        request: &[u8],
        limits: &Limits,
    ) -> Result<Vec<u8>, String> {
        let too_long = format!(
            "it took longer than {} of processor time or {} in all",
            duration(limits.cpu_max.as_secs_f64()),
            duration(limits.wall_max.as_secs_f64())
        );
        match self.children.send(errand, input, request, limits) {
            Ended::Lost(why) => Err(why),
            Ended::Hung => Err(too_long),
            Ended::Over => Err(format!("its answer is over {} bytes", limits.output_bytes_max)),
            Ended::Left { status, answer, .. } if status.success() => Ok(answer),
            Ended::Left { status, stderr, .. } => Err(match status.signal() {
                Some(libc::SIGALRM | libc::SIGXCPU | libc::SIGKILL) => too_long,
                Some(signal) => format!("it was killed by signal {signal}"),
                None => {
                    let line = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
                    format!("it failed ({})", line.trim())
                }
            }),
        }
    }
}

/// Inside the child: limits, the filter, then the program in the place of this one.
pub(super) fn become_it(request: &[u8], rations: Rations, program: &Program) -> ! {
    let shut_in = child::set_limits(rations, DESCRIPTORS_MAX).and_then(|()| {
        match filter::install(&filter::program(sys::own_id())) {
            // As for a reader: the self-test tells of it.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => {
                Ok(())
            }
            other => other,
        }
    });
    let failed = match (shut_in, rations.errand) {
        (Err(error), _) => format!("it cannot be isolated: {error}"),
        (Ok(()), Errand::Read | Errand::TryAndRead) => {
            let arguments = request.split(|&byte| byte == 0).map(std::ffi::OsStr::from_bytes);
            let mut command = Command::new(&program.path);
            let command = command.args(arguments).env_clear().envs(ENVIRONMENT);
            format!("{}: {}", program.path.display(), command.exec())
        }
        (Ok(()), Errand::TryWays) => {
            let (mut input, mut output) = sys::standard_files();
            let told = ways::from_reader(&mut input, request, &mut output);
            match told.and_then(|()| output.flush()) {
                Ok(()) => sys::exit_now(0),
                Err(error) => error.to_string(),
            }
        }
    };
    eprintln!("{failed}");
    sys::exit_now(EXIT_ERROR)
}
