//! What wait4(2) says about a child.

/// What happened to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It exited with this code.
    Exited(u8),
    /// This signal killed it.
    Killed(u8),
    /// This signal stopped it.
    Stopped(u8),
    /// It goes on after a stop.
    Continued,
}

impl Change {
    /// Decodes a wait status (the layout is the kernel's ABI, the same everywhere).
    pub const fn decode(status: u32) -> Change {
        let (low, high) = ((status & 0x7f) as u8, (status >> 8) as u8);
        match low {
            _ if status & 0xffff == 0xffff => Change::Continued,
            0 => Change::Exited(high),
            0x7f => Change::Stopped(high),
            signal => Change::Killed(signal),
        }
    }

    /// The exit code that stands for an end, as shells have it: a signal is 128 and its number.
    /// `None`: the process is still there.
    pub const fn exit_code(self) -> Option<u8> {
        match self {
            Change::Exited(code) => Some(code),
            Change::Killed(signal) => Some(128 | signal),
            Change::Stopped(_) | Change::Continued => None,
        }
    }
}
