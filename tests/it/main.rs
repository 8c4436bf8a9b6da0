//! The one integration binary: a module per room, and what holds for all of them.

mod intake;
mod jobs;
mod tidy;
