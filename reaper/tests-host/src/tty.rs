//! A terminal with a simulated user.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use crate::process::Output;

pub const CTRL_C: &[u8] = b"\x03";
pub const CTRL_Z: &[u8] = b"\x1a";

/// The user's side of a terminal.
pub struct Person {
    keyboard: File,
    pub screen: Output,
}

/// Opens a new terminal; returns the user's side, and the side for [`crate::Start::terminal`].
pub fn open() -> (Person, OwnedFd) {
    let (mut master, mut slave) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: the library writes two descriptors, which this process then owns.
    let (master, slave) = unsafe {
        assert_eq!(libc::openpty(&mut master, &mut slave, null, null.cast(), null.cast()), 0);
        for file in [master, slave] {
            libc::fcntl(file, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
    };
    let screen = Output::collect(master.as_fd().try_clone_to_owned().expect("a copy"));
    (Person { keyboard: File::from(master), screen }, slave)
}

impl Person {
    #[track_caller]
    pub fn types(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("the terminal takes keys");
    }

    #[track_caller]
    pub fn sees(&self, text: &str) {
        crate::until(&format!("{text:?} on the screen"), || self.screen.text().contains(text));
    }
}
