//! System calls that the standard library does not offer: splice(2) and wait4(2).

use std::io::{Error, ErrorKind, PipeReader, PipeWriter, Result};
use std::os::fd::{AsFd, AsRawFd};

/// The capacity of a pipe, and the maximum size of one move.
const PIPE: usize = 1 << 20;
/// fcntl(2), include/uapi/linux/fcntl.h.
const F_SETPIPE_SZ: i32 = 1031;

unsafe extern "C" {
    fn splice(
        from: i32,
        from_offset: *mut i64,
        to: i32,
        to_offset: *mut i64,
        len: usize,
        flags: u32,
    ) -> isize;
    fn fcntl(fd: i32, command: i32, ...) -> i32;
}

/// Moves bytes between sockets inside the kernel, so that the proxy costs little.
pub struct Splicer {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Splicer {
    pub fn new() -> Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        // SAFETY: the descriptor is open, and this command takes one int. If it is refused, the pipe
        // keeps its size.
        unsafe { fcntl(writer.as_raw_fd(), F_SETPIPE_SZ, PIPE as i32) };
        Ok(Splicer { reader, writer })
    }

    /// Moves `n` bytes, and updates `moved`.
    pub fn run(&self, from: &impl AsFd, to: &impl AsFd, mut n: u64, moved: &mut u64) -> Result<()> {
        while n > 0 {
            let mut got = once(from, &self.writer, usize::try_from(n).unwrap_or(PIPE).min(PIPE))?;
            if got == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            n -= got as u64;
            while got > 0 {
                let put = once(&self.reader, to, got)?;
                got -= put;
                *moved += put as u64;
            }
        }
        Ok(())
    }
}

fn once(from: &impl AsFd, to: &impl AsFd, len: usize) -> Result<usize> {
    let (from, to) = (from.as_fd().as_raw_fd(), to.as_fd().as_raw_fd());
    loop {
        // SAFETY: both descriptors are borrowed and therefore open; the offsets are null because these have none.
        let n = unsafe { splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), len, 0) };
        match usize::try_from(n) {
            Ok(n) => return Ok(n),
            Err(_) => {
                let error = Error::last_os_error();
                if error.kind() != ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}
