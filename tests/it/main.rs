//! The one integration binary: a module per room, and what holds for all of them.

mod support;

mod audit;
mod audit_crash;
mod audit_disk;
mod audit_night;
mod intake;
mod jobs;
mod pdf;
mod tidy;
