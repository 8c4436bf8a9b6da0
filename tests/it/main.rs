//! Everything that is tested from the outside, as one binary.

mod csv;
mod docx;
mod layers;
mod sheet;
mod text;
