//! Append to and verify the hash chain. Sees digests, never content.
//!
//! The format is in `FORMAT.md` beside this file. The chain shows a stranger's slip; signatures show
//! the work of a forger who has no key; a checkpoint that lies elsewhere, or that a witness has signed,
//! shows that of one who has.

mod disk_map;
mod error;
mod event;
mod export;
mod keys;
mod ledger;
mod line;
mod log;
mod note;
mod proof;
mod prove;
mod rules;
mod segments;
mod signing;
mod tree;
mod verify;
mod witness;

pub use error::{BadEntry, LogError};
pub use event::{
    Actor, Binary, CheckpointExported, ClockStep, Counts, DocDone, DocFail, DocSkip, DocStart,
    EngineFacts, Erase, Event, FieldCount, Genesis, Host, Inventory, Isolation, Judged, ModelFile,
    OutputFile, Part, Recovered, Review, RunEnd, RunStart, Shape, Tables, Try, VerifyResult,
};
pub use export::{Exported, Imported, export, fingerprint, import};
pub use keys::known_log_key;
pub use ledger::{Answer, DocState, Done, Erased, Judgement, LastOutcome, Ledger, RunFacts};
pub use line::{Entry, LineError, Random, RunId};
pub use log::Log;
pub use note::{Checkpoint, Key, KeyKind, NotAKey, Note, Vkey};
pub use proof::{Consistency, Head, Inclusion, includes, is_consistent};
pub use prove::{Proof, prove};
pub use rules::Step;
pub use tree::{Tree, leaf, root_of};
pub use verify::{
    Expectations, FileFindings, Fit, Gap, KeyFinding, Known, KnownFinding, Pin, Range, Report,
    Standing, TornTail, Verdict, Witnessed, verify,
};
pub use witness::{Cosigned, Witness};
