//! Readers that end in an error where somebody made an input that would fill memory, disk or time.

use std::cell::Cell;
use std::io::{Read, Result, Seek, SeekFrom};
use std::rc::Rc;

/// What stands between two members of a tar: their headers, long names and extended attributes. Go's archive/tar, which
/// engines read layers with, takes no more of them than this.
const MAX_EXTENSION: u64 = 1 << 20;

/// How far a [`Leashed`] reader may be read.
#[derive(Debug, Clone)]
pub struct Leash(Rc<Cell<u64>>);

impl Leash {
    /// A reader on a leash that is loose.
    pub fn on<R>(inner: R) -> (Leash, Leashed<R>) {
        let leash = Leash(Rc::new(Cell::new(u64::MAX)));
        (leash.clone(), Leashed { inner, leash })
    }

    /// Until this is called again only so much is read as there may be before the next member of a tar: a library
    /// that reads names keeps them in memory.
    pub fn before_member(&self) {
        self.0.set(MAX_EXTENSION);
    }

    /// What follows is as long as it likes.
    pub fn within_member(&self) {
        self.0.set(u64::MAX);
    }
}

/// A reader on a leash.
#[derive(Debug)]
pub struct Leashed<R> {
    inner: R,
    leash: Leash,
}

impl<R: Read> Read for Leashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let n = self.inner.read(buffer)?;
        let left = self.leash.0.get().checked_sub(n as u64);
        self.leash.0.set(left.ok_or_else(|| std::io::Error::other("a name in it is longer than 1 MiB"))?);
        Ok(n)
    }
}

impl<R: Seek> Seek for Leashed<R> {
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
