//! Reads a directory, one buffer at a time.

use reaper::text::cut;

use super::{call, nr};

/// Directory entries as getdents64(2) writes them: the inode and the offset (8 bytes each), the
/// length of the record (2 bytes), the type (1 byte), and the name, which ends in NUL.
#[repr(C, align(8))]
pub struct Entries {
    buffer: [u8; 1024],
    used: usize,
}

impl Entries {
    pub fn new() -> Entries {
        Entries { buffer: [0; 1024], used: 0 }
    }

    /// Reads the next entries; returns false if there are none.
    pub fn fill(&mut self, directory: i32) -> bool {
        let buffer = &raw mut self.buffer as usize;
        // SAFETY: the kernel writes at most as many bytes as the buffer holds.
        let read =
            unsafe { call(nr::GETDENTS64, directory as usize, buffer, self.buffer.len(), 0) };
        self.used = read.value().unwrap_or(0) as usize;
        self.used > 0
    }

    /// Calls `visit` with each name.
    pub fn each(&self, mut visit: impl FnMut(&[u8])) {
        let mut rest = self.buffer.get(..self.used).unwrap_or_default();
        while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, low, high, _, name @ ..] = rest {
            visit(cut(name, 0).0);
            let length = u16::from_ne_bytes([*low, *high]);
            rest = rest.get(usize::from(length).max(1)..).unwrap_or_default();
        }
    }
}
