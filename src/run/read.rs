//! One document read in a process of its own: what goes to the child, and what is believed of its answer.

use std::fs::File;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::base::{Digest, Format, Limits, Warned};
use crate::extract::{self, Document, Options, Refusal, RefusalKind};
use crate::isolate::{self, ParseServer, Parsed};

/// What the child is told.
#[derive(Serialize, Deserialize)]
struct Order {
    format: Format,
    options: Options,
    limits: Limits,
}

/// How reading a document ended.
#[derive(Debug)]
pub enum Reading {
    Read(Warned<Document>),
    /// It is not one that can be read; trying again changes nothing.
    Refused(Refusal),
    /// The child came to grief; `class` is the audit log's word for how.
    Failed {
        class: &'static str,
        message: String,
    },
}

/// Puts up the first walls and starts the parse server: what a command that opens documents does before
/// anything else. Whatever was opened before is closed.
pub fn start() -> io::Result<ParseServer> {
    ParseServer::start(isolate::begin()?, answer)
}

/// Reads the open file `input` as `format` in a child of `server`.
pub fn read(
    server: &mut ParseServer,
    input: File,
    format: Format,
    options: &Options,
    limits: &Limits,
) -> Reading {
    let order = Order { format, options: options.clone(), limits: limits.clone() };
    let request = serde_json::to_vec(&order).expect("an order has only string keys");
    let parsed = server.parse(input, &request, limits);
    let class = match &parsed {
        Parsed::Ok(bytes) => return understand(bytes, limits),
        Parsed::Crashed { .. } => "crashed",
        Parsed::Timeout => "timeout",
        Parsed::Memory => "oom",
        Parsed::OutputCap => "output_cap",
        Parsed::Violation(_) => "sandbox_violation",
        Parsed::Failed(_) => "parse_error",
    };
    Reading::Failed { class, message: parsed.why(limits).expect("only an answer needs no reason") }
}

/// Of both layers of every page: the log's `text_sha256`.
pub(super) fn text_digest(document: &Document) -> Digest {
    let pages = document.pages.iter();
    Digest::of_parts(pages.flat_map(|page| [page.verbatim.as_bytes(), page.model.as_bytes()]))
}

/// The child's side: reads the whole input, answers with JSON.
fn answer(input: &mut File, request: &[u8], output: &mut dyn Write) -> io::Result<()> {
    let order: Order = serde_json::from_slice(request)?;
    let mut bytes = Vec::new();
    input.take(order.limits.input_bytes_max + 1).read_to_end(&mut bytes)?;
    let result = if bytes.len() as u64 > order.limits.input_bytes_max {
        Err(Refusal {
            kind: RefusalKind::Limit,
            message: format!(
                "larger than {} MiB (limits.input)",
                order.limits.input_bytes_max >> 20
            ),
        })
    } else {
        extract::extract(&bytes, order.format, &order.options, &order.limits)
    };
    serde_json::to_writer(output, &result).map_err(io::Error::from)
}

/// The parent's side: nothing that the child sent is believed before it is checked.
fn understand(bytes: &[u8], limits: &Limits) -> Reading {
    let failed = |message: String| Reading::Failed { class: "parse_error", message };
    match serde_json::from_slice::<Result<Warned<Document>, Refusal>>(bytes) {
        Ok(Ok(document)) => match document.output.unsound(limits) {
            None => Reading::Read(document),
            Some(fault) => failed(format!("the reader's answer is unsound: {fault}")),
        },
        Ok(Err(refusal)) => Reading::Refused(refusal),
        Err(error) => failed(format!("the reader's answer cannot be understood: {error}")),
    }
}
