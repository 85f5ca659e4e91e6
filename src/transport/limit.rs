//! Readers that fail on decompression bombs and oversized tar headers.

use std::cell::Cell;
use std::io::{Read, Result, Seek, SeekFrom};
use std::rc::Rc;

/// The maximum size of headers, long names and extended attributes between two members of a tar. Go's archive/tar,
/// with which engines read layers, has the same limit.
const MAX_EXTENSION: u64 = 1 << 20;

/// The maximum growth of a layer by decompression. gzip expands at most about 1000-fold; more is a decompression
/// bomb.
const MAX_GROWTH: u64 = 1100;
/// The size up to which growth is not limited.
const ALWAYS_READ: u64 = 64 << 20;

/// The message about a layer that exceeds [`most_unpacked`].
pub const GROWS: &str = "it grows more than a thousandfold when it is decompressed";

/// Returns the maximum size of a layer of `size` bytes when it is decompressed.
pub fn most_unpacked(size: u64) -> u64 {
    size.saturating_mul(MAX_GROWTH).max(ALWAYS_READ)
}

/// The limit of a [`LimitedReader`].
#[derive(Debug, Clone)]
pub struct ReadLimit(Rc<Cell<u64>>);

impl ReadLimit {
    /// Creates a reader without a limit so far, and the handle that sets one.
    pub fn new<R>(inner: R) -> (ReadLimit, LimitedReader<R>) {
        let limit = ReadLimit(Rc::new(Cell::new(u64::MAX)));
        (limit.clone(), LimitedReader { inner, limit })
    }

    /// Limits what is read before the next member's content, because the tar library keeps names in memory.
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
    /// Returns the inner reader.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for LimitedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let n = self.inner.read(buffer)?;
        let left = self.limit.0.get().checked_sub(n as u64);
        self.limit.0.set(left.ok_or_else(|| std::io::Error::other("it contains a name longer than 1 MiB"))?);
        Ok(n)
    }
}

impl<R: Seek> Seek for LimitedReader<R> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.inner.seek(to)
    }
}

/// A reader that fails beyond a number of bytes.
pub struct Bounded<R> {
    inner: R,
    left: u64,
    complaint: &'static str,
}

impl<R> Bounded<R> {
    /// Creates a reader of at most `limit` bytes; `complaint` is the error for more.
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
