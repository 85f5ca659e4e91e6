//! Reading a process's parent out of `/proc`.

use crate::text::{cut, decimal};

/// The process itself and its parent, out of the text of `/proc/PID/stat` (proc(5)): the name in
/// the middle may hold anything, brackets and blanks too, so the parent stands after the last one.
pub fn identity(stat: &[u8]) -> Option<(u32, u32)> {
    let (pid, mut after_name) = cut(stat, b' ');
    while let (_, Some(rest)) = cut(after_name?, b')') {
        after_name = Some(rest);
    }
    // " S 1 …": nothing, the state, the parent.
    let state = cut(after_name?, b' ').1?;
    let (parent, _) = cut(cut(state, b' ').1?, b' ');
    Some((decimal(pid)?, decimal(parent)?))
}
