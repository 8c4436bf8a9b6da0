//! How a child ended, told from its wait status, its answer and the start of its standard error.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::{child, filter, walls};
use crate::base::{Limits, duration};

/// What came back for one document. Only `Ok` holds an answer, and that is untrusted bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The whole answer, as framed by the child.
    Ok(Vec<u8>),
    /// The child died of a signal, for instance by a stack overflow.
    Crashed { signal: i32, message: String },
    /// Processor time or wall clock ran out.
    Timeout,
    /// The address space was used up.
    Memory,
    /// The answer was longer than allowed.
    OutputCap,
    /// The reader made a system call that it may not; its name.
    Violation(String),
    /// The reader panicked or returned an error, or the child left without an answer.
    Failed(String),
}

impl Parsed {
    /// Why there is no answer: a sentence without a final dot; none for `Ok`.
    pub fn why(&self, limits: &Limits) -> Option<String> {
        Some(match self {
            Parsed::Ok(_) => return None,
            Parsed::Crashed { signal, message } if message.is_empty() => {
                format!("the reader was killed by signal {signal}")
            }
            Parsed::Crashed { signal, message } => {
                format!("the reader crashed (signal {signal}): {message}")
            }
            Parsed::Timeout => format!(
                "reading took longer than {} of processor time or {} in all",
                duration(limits.cpu_max.as_secs_f64()),
                duration(limits.wall_max.as_secs_f64())
            ),
            Parsed::Memory => {
                format!("reading needed more than {} MiB of memory", limits.memory_bytes_max >> 20)
            }
            Parsed::OutputCap => {
                format!("what was read is longer than {} MiB", limits.output_bytes_max >> 20)
            }
            Parsed::Violation(call) => {
                format!("the reader was stopped at a forbidden system call (SIGSYS: {call})")
            }
            Parsed::Failed(message) => message.clone(),
        })
    }

    /// The outcome of a child that has been waited for and gave no whole answer.
    pub(super) fn from_end(status: ExitStatus, stderr: &str) -> Parsed {
        let line = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
        if let Some(signal) = status.signal() {
            return match signal {
                libc::SIGALRM | libc::SIGXCPU => Parsed::Timeout,
                // Of another architecture's call.
                libc::SIGSYS => Parsed::Violation("unknown".to_owned()),
                // The standard library prints this and aborts when an allocation fails.
                libc::SIGABRT if stderr.contains("memory allocation of ") => Parsed::Memory,
                libc::SIGABRT if stderr.contains("has overflowed its stack") => {
                    Parsed::Crashed { signal, message: "stack overflow".to_owned() }
                }
                _ => Parsed::Crashed { signal, message: line.to_owned() },
            };
        }
        if status.code() == Some(walls::EXIT_VIOLATION) {
            let number = stderr.lines().find_map(|line| line.strip_prefix(walls::VIOLATION));
            let name = number.and_then(|number| number.parse().ok()).map(filter::call_name);
            return Parsed::Violation(name.unwrap_or_else(|| "unknown".to_owned()));
        }
        Parsed::Failed(match status.code() {
            Some(child::EXIT_PANIC) => {
                format!("the reader panicked: {}", panic_message(stderr))
            }
            Some(child::EXIT_ERROR) if !line.is_empty() => line.to_owned(),
            Some(code) => format!("the reader left without a whole answer (exit code {code})"),
            None => "the reader left without a whole answer".to_owned(),
        })
    }
}

/// "index out of bounds … (src/x.rs:1:2)" from what the panic hook prints:
/// `thread 'reader' (12) panicked at src/x.rs:1:2:` and the message on the next lines.
fn panic_message(stderr: &str) -> String {
    let mut lines = stderr.lines().skip_while(|line| !line.contains(" panicked at "));
    let place = lines
        .next()
        .and_then(|line| line.split_once(" panicked at "))
        .map_or("", |(_, place)| place.trim_end_matches(':'));
    match lines.next() {
        Some(message) if !place.is_empty() => format!("{} ({place})", message.trim()),
        _ => stderr.lines().next().unwrap_or("").to_owned(),
    }
}
