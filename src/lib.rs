#![doc = include_str!("README.md")]

pub mod assemble;
pub mod audit;
pub mod base;
pub mod chunk;
pub mod cli;
pub mod engine;
pub mod extract;
pub mod intake;
#[expect(unsafe_code, reason = "system calls; tests/it/tidy.rs holds the address")]
pub mod isolate;
pub mod jobs;
pub mod output;
pub mod prompt;
pub mod run;
