//! Everything that is tested from the outside, as one binary.

mod support;

mod audit;
mod audit_crash;
mod audit_disk;
mod audit_night;
