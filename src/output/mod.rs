//! Records → files, whole or not at all; tables at the end of a run.
