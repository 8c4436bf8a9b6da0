//! Everything that is tested from the outside, as one binary.

mod support;

mod audit;
mod audit_crash;
mod audit_disk;
mod audit_night;
//! The one integration binary: a module per room, and what holds for all of them.

mod intake;
mod jobs;
mod tidy;
mod pdf;
