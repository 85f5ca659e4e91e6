//! The controlling terminal, if there is one. Every error here is harmless, and means that there is
//! no terminal.

use crate::sys::{self, Answer};

/// A descriptor of the controlling terminal, opened for a single operation.
pub struct Tty(i32);

impl Tty {
    /// Opens the controlling terminal. If there is no `/dev`, uses standard input, which may be the
    /// terminal.
    pub fn open() -> Option<Tty> {
        match sys::open(b"/dev/tty\0", sys::O_RDWR) {
            Answer::ENOENT => Some(Tty(0)),
            answer => answer.value().map(Tty),
        }
    }

    /// Returns the foreground process group; 0 if the group is not visible in this PID namespace.
    pub fn foreground(&self) -> Option<i32> {
        sys::foreground(self.0)
    }

    /// Moves a process group to the foreground. A background process may do so too, because signals
    /// are blocked.
    pub fn set_foreground(&self, group: i32) {
        sys::set_foreground(self.0, group);
    }
}

/// Gives the terminal to the process group `to` if `from` has it; returns whether `from` had it.
#[inline(never)]
pub fn hand_over(from: i32, to: i32) -> bool {
    match Tty::open() {
        Some(tty) if tty.foreground() == Some(from) => {
            tty.set_foreground(to);
            true
        }
        _ => false,
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        if self.0 != 0 {
            sys::close(self.0);
        }
    }
}
