//! The controlling terminal, if there is one. Every error here is harmless: no terminal.

use crate::sys::{self, Answer};

/// A descriptor of the controlling terminal, opened for one exchange.
pub struct Tty(i32);

impl Tty {
    /// The controlling terminal. Where there is no `/dev`, standard input may still be it.
    pub fn open() -> Option<Tty> {
        match sys::open(b"/dev/tty\0", sys::O_RDWR) {
            Answer::ENOENT => Some(Tty(0)),
            answer => answer.value().map(Tty),
        }
    }

    /// The process group in the foreground; 0 if it cannot be seen from this PID namespace.
    pub fn foreground(&self) -> Option<i32> {
        sys::foreground(self.0)
    }

    /// Puts a group into the foreground. Signals are blocked, so a background caller may, too.
    pub fn set_foreground(&self, group: i32) {
        sys::set_foreground(self.0, group);
    }
}

/// Moves the terminal from one process group to another, if the first has it.
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
