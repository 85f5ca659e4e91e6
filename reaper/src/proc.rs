//! Reading what `/proc` says about a process.

use crate::text::{after, cut, decimal};

/// The number of a field in the text of `/proc/PID/status` (proc(5)), the first if it has several.
/// `name` includes the colon and the tab. The name of the process, which may be anything, stands on
/// one line, for the kernel escapes line ends in it.
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

/// The process id.
pub const PID: &[u8] = b"Pid:\t";
/// The process id of the parent.
pub const PARENT: &[u8] = b"PPid:\t";
/// The real user id. Whoever has it as the effective one may send the process signals (kill(2)).
pub const USER: &[u8] = b"Uid:\t";
