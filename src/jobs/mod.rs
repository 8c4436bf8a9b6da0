//! `jobs.toml` and task files → a `Plan` that cannot be wrong later: as written → as understood.

mod plan;

pub use plan::{Audit, Engine, Field, FieldType, Job, Model, Plan, Root, Task, TaskKind, Unit};
