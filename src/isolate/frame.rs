//! The form of an answer on its pipe: the bytes, then their length and digest. An answer that was cut
//! short, or a child that printed into the pipe, is never taken for a whole one.

use std::io::{self, Write};

use crate::base::{Digest, DigestWriter};

const MARK: &[u8; 8] = b"answered";

/// Bytes behind the answer: length, SHA-256, mark.
pub(super) const TRAILER_BYTES: usize = 8 + 32 + MARK.len();

/// Writes an answer and, at the end, its trailer.
pub(super) struct FrameWriter<W: Write> {
    inner: W,
    hasher: DigestWriter,
    len: u64,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn new(inner: W) -> FrameWriter<W> {
        FrameWriter { inner, hasher: DigestWriter::new(), len: 0 }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.inner.write_all(&self.len.to_le_bytes())?;
        self.inner.write_all(&self.hasher.finish().0)?;
        self.inner.write_all(MARK)?;
        self.inner.flush()
    }
}

impl<W: Write> Write for FrameWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.write_all(&bytes[..written])?;
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The answer inside `received`, if it is whole.
pub(super) fn open(mut received: Vec<u8>) -> Option<Vec<u8>> {
    let len = received.len().checked_sub(TRAILER_BYTES)?;
    let (answer, trailer) = received.split_at(len);
    let whole = trailer[..8] == (len as u64).to_le_bytes()
        && trailer[40..] == *MARK
        && trailer[8..40] == Digest::of(answer).0;
    received.truncate(len);
    whole.then_some(received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_cut_or_changed_is_not_opened() {
        let mut sent = Vec::new();
        let mut frame = FrameWriter::new(&mut sent);
        frame.write_all(b"seventeen pages").unwrap();
        frame.finish().unwrap();
        assert_eq!(open(sent.clone()).as_deref(), Some(&b"seventeen pages"[..]));
        for cut in 0..sent.len() {
            assert_eq!(open(sent[..cut].to_vec()), None, "cut to {cut} bytes");
            let mut changed = sent.clone();
            changed[cut] ^= 1;
            assert_eq!(open(changed), None, "byte {cut} changed");
        }
    }
}
