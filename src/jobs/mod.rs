//! `jobs.toml` and task files → a `Plan` that cannot be wrong later: as written → as understood.
//!
//! Opens `jobs.toml` and the task files that it names, asks whether folders are there, and opens no
//! document and no model.

mod job;
mod model;
mod parse;
mod plan;
mod problem;
mod resolve;
mod task;
mod units;
mod written;

pub use model::{ModelMissing, ModelOverride};
pub use plan::{
    Aspect, Audit, DayOrder, Engine, Field, FieldType, Gate, Job, Keep, Model, Ocr, Plan, Position,
    QuoteForm, Read, Require, Root, Task, TaskKind, Unit,
};
pub use problem::{PlanError, Problem};
pub use resolve::{DATE_DEFAULT, Places, load, load_in, load_with};
pub use units::{bytes as parse_bytes, duration as parse_duration};

/// The JSON Schema (draft 7) of `jobs.toml`, for editors.
pub const SCHEMA: &str = include_str!("jobs.schema.json");
