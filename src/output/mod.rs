//! Records → files, whole or not at all; tables and the report at the end of a run. Knows nothing of the log: the
//! caller tells it which digests were logged.

mod answered;
mod markdown;
mod paths;
mod report;
mod review;
mod rows;
mod table;
mod workbook;
mod writer;

pub use answered::{AnsweredRow, AnsweredRows};
pub use paths::{record_paths, rows_path};
pub use report::{NightFacts, PageText, PageTexts, Report, Reported};
pub use review::{Mark, Reviewed, read_review};
pub use rows::{PartFile, RowsForm};
pub use table::{Row, TableFiles};
pub use writer::{LAST_RUN, OutputError, SUPERSEDED, Writer, WrittenFile, rendered};
