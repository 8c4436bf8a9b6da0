//! The exit codes of DESIGN.md section 2; the only ones that the program has.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// All done.
    Done,
    /// Could not start or go on: usage, configuration, model, disk, log.
    CouldNot,
    /// The audit chain does not verify, and nothing else.
    ChainBroken,
    /// Finished; some documents are partial, refused, failed or quarantined.
    Incomplete,
    /// Work is left: run again.
    WorkLeft,
}

impl Exit {
    pub(super) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::CouldNot => 1,
            Exit::ChainBroken => 2,
            Exit::Incomplete => 3,
            Exit::WorkLeft => 75,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
