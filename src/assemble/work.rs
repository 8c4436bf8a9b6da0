//! One document on its way through the engine: what was asked, what came back, what is still open.

use crate::base::{Completion, Digest, Format, Outcome, TokenCounter, Warned};
use crate::extract::Document;
use crate::jobs::Job;
use crate::prompt::Request;

use super::record::{MadeWith, Record};

/// Which file the document came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkSource {
    pub job: String,
    pub root: String,
    /// Below the root, with `/`.
    pub path: String,
    pub sha256: Digest,
    pub bytes: u64,
    pub format: Format,
}

/// A document whose questions are being answered.
pub struct Work {}

impl Work {
    /// Cuts the document, and asks every applicable task of `job` about every chunk. `ids` gives an
    /// unused request id at each call. No requests: the work is finished, and its record says why.
    pub fn new(
        job: &Job,
        source: WorkSource,
        document: Warned<Document>,
        shape: MadeWith,
        counter: &dyn TokenCounter,
        ids: &mut dyn FnMut() -> u64,
    ) -> (Work, Vec<Request>) {
        let _ = (job, source, document, shape, counter, ids);
        (Work {}, Vec::new())
    }

    /// Takes the answer to one request of this document and gives the requests that follow from it.
    pub fn accept(
        &mut self,
        completion: Completion,
        counter: &dyn TokenCounter,
        ids: &mut dyn FnMut() -> u64,
    ) -> Vec<Request> {
        let _ = (completion, counter, ids);
        Vec::new()
    }

    /// Whether nothing is open any more.
    pub fn finished(&self) -> bool {
        true
    }

    /// The record of what came back. Call it when `finished`; what is open is missing from it, and
    /// then the outcome is partial and says so.
    pub fn record(&self) -> Record {
        unimplemented!()
    }
}

/// The record of a document that was never read: refused, failed or deferred before any question.
pub fn unread(source: WorkSource, outcome: Outcome, reason: String, shape: MadeWith) -> Record {
    let _ = (source, outcome, reason, shape);
    unimplemented!()
}
