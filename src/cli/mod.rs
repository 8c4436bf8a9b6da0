//! Argv in, words and exit codes out.
