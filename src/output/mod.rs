//! Records → files, whole or not at all; tables at the end of a run. Knows nothing of the log: the
//! caller tells it which digests were logged.

mod markdown;
mod paths;
mod table;
mod writer;

pub use paths::record_paths;
pub use table::{Row, TableFiles};
pub use writer::{OutputError, Writer, WrittenFile};
