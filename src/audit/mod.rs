//! Append to and verify the hash chain. Sees digests, never content.
