//! Killable parsers: the fork server and the limits of its children. Not what is parsed: the work is a
//! function that the caller names, and what it answers is bytes that the caller must check.
//!
//! ```text
//! nightclerk ──fork──► server ──fork──► child: limits, one document, exit
//!     ▲  ▲               │ one thread, opens no document       │
//!     │  └─── status ────┘                                     │
//!     └────────────────── answer, framed (pipe) ───────────────┘
//! ```

mod child;
mod frame;
mod parsed;
mod server;
mod sys;

pub use parsed::Parsed;
pub use server::ParseServer;

use std::fs::File;
use std::io::{self, Write};

/// What a child does with its one document: read `input` and the request, write the answer.
///
/// A function and not a closure: nothing of the parent's heap is meant to reach the child.
pub type Work = fn(input: &mut File, request: &[u8], output: &mut dyn Write) -> io::Result<()>;

#[cfg(test)]
mod tests;
