//! Killable parsers: the fork server and the limits of its children.
