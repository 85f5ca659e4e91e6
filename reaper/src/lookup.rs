//! Where a program is looked for, and what it means that it could not be started.

use crate::text::cut;

/// The search path where the environment has none: what container engines set.
pub const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The directories to try for a program, in order; an empty one is the working directory, but an
/// empty path has no directories at all. `None`: the name is tried as it is, for it has a slash (or
/// is empty, and will not be found).
pub fn directories<'a>(name: &[u8], path: Option<&'a [u8]>) -> Option<Directories<'a>> {
    if name.is_empty() || cut(name, b'/').1.is_some() {
        return None;
    }
    Some(Directories(Some(path.unwrap_or(DEFAULT_PATH)).filter(|path| !path.is_empty())))
}

/// The directories of a search path.
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

/// Whether the search goes on in the next directory after this error.
pub const fn search_on(errno: i32) -> bool {
    matches!(errno, ENOENT | ENOTDIR | EACCES)
}

/// The error to report out of two after which the search goes on: that a file may not be executed says more than that another
/// directory does not have it.
pub const fn worse(before: i32, errno: i32) -> i32 {
    if before == EACCES { before } else { errno }
}

/// The exit code of a program that could not be started: 127 not found, 126 not executable.
pub const fn exit_code(errno: i32) -> u8 {
    match errno {
        ENOENT | ENOTDIR => 127,
        _ => 126,
    }
}

/// What to tell the person: `$` is the program, `#` the error's number.
pub const fn explain(errno: i32) -> &'static str {
    match errno {
        ENOENT | ENOTDIR => "$: not found",
        EACCES => "$: permission denied",
        ENOEXEC => "$: bad format",
        _ => "$: error #",
    }
}
