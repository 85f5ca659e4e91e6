//! Readers that fail on decompression bombs and oversized tar headers.

use std::cell::Cell;
use std::io::{Read, Result, Seek, SeekFrom};
use std::rc::Rc;

/// The most bytes of headers, long names and extended attributes between two members of a tar. Go's archive/tar, which
/// engines read layers with, has the same limit.
const MAX_EXTENSION: u64 = 1 << 20;

/// How far a [`LimitedReader`] may be read before it fails.
#[derive(Debug, Clone)]
pub struct ReadLimit(Rc<Cell<u64>>);

impl ReadLimit {
    /// A reader without a limit so far, and the handle that sets one.
    pub fn new<R>(inner: R) -> (ReadLimit, LimitedReader<R>) {
        let limit = ReadLimit(Rc::new(Cell::new(u64::MAX)));
        (limit.clone(), LimitedReader { inner, limit })
    }

    /// Limits what is read before the next member's content: the tar library keeps names in memory.
    pub fn before_member(&self) {
        self.0.set(MAX_EXTENSION);
    }

    /// Lifts the limit.
    pub fn within_member(&self) {
        self.0.set(u64::MAX);
    }
}

/// A reader that fails past its [`ReadLimit`].
#[derive(Debug)]
pub struct LimitedReader<R> {
    inner: R,
    limit: ReadLimit,
}

impl<R> LimitedReader<R> {
    /// The reader below.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let n = self.inner.read(buffer)?;
        let left = self.limit.0.get().checked_sub(n as u64);
        self.limit.0.set(left.ok_or_else(|| std::io::Error::other("a name in it is longer than 1 MiB"))?);
        Ok(n)
    }
}

impl<R: Seek> Seek for LimitedReader<R> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.inner.seek(to)
    }
}

/// A reader of at most so many bytes; more are an error.
pub struct Bounded<R> {
    inner: R,
    left: u64,
    complaint: &'static str,
}

impl<R> Bounded<R> {
    /// `complaint` says what is wrong where there are more bytes than `limit`.
    pub fn new(inner: R, limit: u64, complaint: &'static str) -> Self {
        Bounded { inner, left: limit, complaint }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let n = self.inner.read(buffer)?;
        let left = self.left.checked_sub(n as u64);
        self.left = left.ok_or_else(|| std::io::Error::other(self.complaint))?;
        Ok(n)
    }
}
