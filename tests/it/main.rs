//! The one integration binary: a module per room, and what holds for all of them.

#![expect(clippy::unwrap_used, reason = "a test tells by panicking")]

mod answers;
mod archives;
mod asking;
mod audit;
mod audit_attacks;
mod audit_crash;
mod audit_disk;
mod audit_hostile;
mod audit_large;
mod audit_night;
mod audit_witness;
mod bench;
mod browser;
mod csv;
mod docx;
mod eml;
mod engine;
mod erase;
mod flow;
mod gate;
mod html;
mod injections;
mod intake;
mod isolation;
mod jobs;
mod killed;
mod layers;
mod night;
mod ocr;
mod odt;
mod output;
mod pdf;
mod pdf_made;
mod people;
mod pptx;
mod replay;
mod rows;
mod rtf;
mod sheet;
mod support;
mod telling;
mod text;
mod tidy;
