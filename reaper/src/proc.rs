//! Reads the fields that `/proc` shows of a process.

use crate::text::{after, cut, decimal};

/// Returns the number in a field of the text of `/proc/PID/status` (proc(5)), or the first number
/// if there are several. `name` includes the colon and the tab. The process's own name, which may
/// be any text, is on a single line, because the kernel escapes newlines in it.
pub fn field(status: &[u8], name: &[u8]) -> Option<u32> {
    let mut rest = Some(status);
    while let Some(text) = rest {
        let (line, next) = cut(text, b'\n');
        if let Some(numbers) = after(line, name) {
            return decimal(cut(numbers, b'\t').0);
        }
        rest = next;
    }
    None
}

/// The process ID.
pub const PID: &[u8] = b"Pid:\t";
/// The process ID of the parent.
pub const PARENT: &[u8] = b"PPid:\t";
/// The real user ID. A process that has it as its effective user ID may send signals to this
/// process (kill(2)).
pub const USER: &[u8] = b"Uid:\t";
