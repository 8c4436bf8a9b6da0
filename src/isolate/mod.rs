//! No network, no stray files, killable parsers: the walls around this process, the fork servers, the limits
//! of their children. Not what is parsed: the work is a function that the caller names, and what it answers
//! is bytes that the caller must check.
//!
//! ```text
//! nightclerk ──fork──► forker ──fork──► server ──fork──► child: limits, filter, one document, exit
//!     ▲  ▲               │ a new server    │ one thread, opens no document     │
//!     │  │               ▼ when one is lost│                                   │
//!     │  └────────────── status ───────────┘                                   │
//!     └───────────────────────── answer, framed (pipe) ────────────────────────┘
//! ```
//!
//! A command that reads one document (`ParseServer::for_one`) is itself what forks the child.
//!
//! A second such family runs a program of the machine (text recognition) on the picture of a page; its
//! children become that program behind a filter and files of their own.
//!
//! The order: `begin` (nothing is open yet), the parse server, what the command opens for good, a program's
//! server, `isolate`, threads. Every wall is inherited and none can be taken down again.

mod begin;
mod child;
mod filter;
mod forker;
mod frame;
mod isolation;
mod parsed;
mod program;
mod reach;
mod server;
mod sys;
mod walls;
mod ways;

pub use begin::{Begun, begin};
pub use isolation::{Isolation, isolate};
pub use parsed::Parsed;
pub use program::{Program, ProgramServer};
pub use reach::Reach;
pub use server::ParseServer;
pub use ways::{Leads, Try};

use std::fs::File;
use std::io::{self, Write};

/// What a child does with its one document: read `input` and the request, write the answer.
///
/// A function and not a closure: nothing of the parent's heap is meant to reach the child.
pub type Work = fn(input: &mut File, request: &[u8], output: &mut dyn Write) -> io::Result<()>;

#[cfg(test)]
mod tests;
