//! Append to and verify the hash chain. Sees digests, never content.
//!
//! The format is in `FORMAT.md` beside this file. A chain alone shows a stranger's slip, not a
//! forger's work: whoever can write the log can write another one (signatures and witnesses are
//! for that).

mod error;
mod event;
mod ledger;
mod line;
mod log;
mod rules;
mod segments;
mod tree;
mod verify;

pub use error::{BadEntry, LogError};
pub use event::{
    Actor, Binary, ClockStep, Counts, DocDone, DocFail, DocSkip, DocStart, EngineFacts, Event,
    Genesis, Host, Inventory, ModelFile, OutputFile, Recovered, RunEnd, RunStart, Shape, Tables,
};
pub use ledger::{DocState, Done, LastOutcome, Ledger, RunFacts};
pub use line::{Entry, LineError, Random, RunId};
pub use log::Log;
pub use tree::{Tree, leaf, root_of};
pub use verify::{Expectations, FileFindings, Range, Report, Standing, TornTail, Verdict, verify};
