//! The meaning of a wait status from wait4(2).

/// A change in the state of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The child exited with this code.
    Exited(u8),
    /// This signal killed the child.
    Killed(u8),
    /// This signal stopped the child.
    Stopped(u8),
    /// The child continued after a stop.
    Continued,
}

impl Change {
    /// Decodes a wait status. Its layout is part of the kernel's ABI and the same on every
    /// platform.
    pub const fn decode(status: u32) -> Change {
        let (low, high) = ((status & 0x7f) as u8, (status >> 8) as u8);
        match low {
            _ if status & 0xffff == 0xffff => Change::Continued,
            0 => Change::Exited(high),
            0x7f => Change::Stopped(high),
            signal => Change::Killed(signal),
        }
    }

    /// Returns the exit code for the end of a process, as shells report it: 128 plus the number if
    /// a signal killed the process. Returns `None` if the process still exists.
    pub const fn exit_code(self) -> Option<u8> {
        match self {
            Change::Exited(code) => Some(code),
            Change::Killed(signal) => Some(128 | signal),
            Change::Stopped(_) | Change::Continued => None,
        }
    }
}
