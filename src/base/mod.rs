//! The shared words: what every room may say and none owns. No I/O but behind `Disk` and `Clock`.

pub mod base64;
mod clock;
mod completion;
mod digest;
mod disk;
mod format;
pub mod limits;
mod outcome;
mod plain;
mod span;
mod warned;

pub use clock::{Clock, FixedClock, SystemClock};
pub use completion::{Completion, PartText, Stop};
pub use digest::{Digest, DigestWriter, DocId};
pub use disk::{Appender, Disk, RealDisk, digest_file, open_file, read_file, replace_file};
pub use format::Format;
pub use limits::Limits;
pub use outcome::Outcome;
pub use plain::{counted, duration, one_line, plain};
pub use span::Span;
pub use warned::{Warned, Warning};

/// Counts tokens as the model that will read the text does.
///
/// `chunk` cuts by this and never sees a tokenizer.
pub trait TokenCounter: Send + Sync {
    /// Tokens of `text` on its own, with no special tokens added or recognized.
    fn count(&self, text: &str) -> usize;
}
