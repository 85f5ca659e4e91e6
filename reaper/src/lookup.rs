//! Where to search for a program, and what an error from execve(2) means.

use crate::text::cut;

/// The search path if the environment has none; container engines set the same path.
pub const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the directories to try for a program, in order. An empty directory is the working
/// directory, but an empty path has no directories. Returns `None` if the name is to be tried as it
/// is, because it contains a slash, or is empty and will not be found.
pub fn directories<'a>(name: &[u8], path: Option<&'a [u8]>) -> Option<Directories<'a>> {
    if name.is_empty() || cut(name, b'/').1.is_some() {
        return None;
    }
    Some(Directories(Some(path.unwrap_or(DEFAULT_PATH)).filter(|path| !path.is_empty())))
}

/// An iterator over the directories of a search path.
pub struct Directories<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Directories<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (directory, rest) = cut(self.0?, b':');
        self.0 = rest;
        Some(directory)
    }
}

/// Error numbers of execve(2) that have the same value on every platform.
const ENOENT: i32 = 2;
const ENOEXEC: i32 = 8;
const EACCES: i32 = 13;
const ENOTDIR: i32 = 20;

/// Returns whether the search continues in the next directory after this error.
pub const fn search_on(errno: i32) -> bool {
    matches!(errno, ENOENT | ENOTDIR | EACCES)
}

/// Returns which of two errors to report if the search continues after both. EACCES takes
/// precedence, because it is more informative than that another directory does not contain the
/// program.
pub const fn worse(before: i32, errno: i32) -> i32 {
    if before == EACCES { before } else { errno }
}

/// Returns the exit code for a program that could not be started: 127 if it was not found, 126 if
/// it could not be executed.
pub const fn exit_code(errno: i32) -> u8 {
    match errno {
        ENOENT | ENOTDIR => 127,
        _ => 126,
    }
}

/// Returns the message for the user, in which `$` stands for the program and `#` for the error
/// number.
pub const fn explain(errno: i32) -> &'static str {
    match errno {
        ENOENT | ENOTDIR => "$: not found",
        EACCES => "$: permission denied",
        ENOEXEC => "$: bad format",
        _ => "$: error #",
    }
}
