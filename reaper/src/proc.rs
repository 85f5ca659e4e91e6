//! Reading a process's parent out of `/proc`.

use crate::signal::decimal;

/// The process itself and its parent, out of the text of `/proc/PID/stat` (proc(5)): the name in
/// the middle may hold anything, brackets and blanks too, so the parent stands after the last one.
pub fn identity(stat: &[u8]) -> Option<(i32, i32)> {
    let pid = stat.split(|&byte| byte == b' ').next()?;
    let after_name = stat.rsplit(|&byte| byte == b')').next()?;
    let parent = after_name.split(|&byte| byte == b' ').nth(2)?;
    Some((decimal(pid)?.try_into().ok()?, decimal(parent)?.try_into().ok()?))
}
