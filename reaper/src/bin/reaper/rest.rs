//! The processes that remain after the main process has exited.

use reaper::proc;
use reaper::text::decimal;

use crate::say::Text;
use crate::send::{Parcel, Told};
use crate::sys;

/// Returns whether there are other processes in the PID namespace of PID 1, the caller.
pub fn anyone() -> bool {
    sys::kill_all(0).is_ok()
}

/// Sends signals to all remaining processes: to every other process if the reaper is PID 1,
/// otherwise only to its own descendants. Signal 0 only checks whether a process may be signalled.
pub fn tell(own: i32, signals: &[u8]) -> Told {
    let everybody = own == 1;
    if everybody {
        for &signal in signals {
            let _ = sys::kill_all(signal);
        }
    }
    let mut told = Told::NOBODY;
    let mut tell = |pid| {
        if everybody && sys::ask(pid).is_ok() {
            told.reached = true;
            return;
        }
        for &signal in signals {
            Parcel::new(pid, signal).send(&mut told);
        }
    };
    if !listed(own, everybody, &mut tell) && !everybody {
        children(&mut tell);
    }
    told
}

/// Visits the processes in `/proc`: every other process if `everybody`, otherwise the reaper's
/// descendants in any session. Returns false if `/proc` does not show the reaper.
pub fn listed(own: i32, everybody: bool, visit: &mut dyn FnMut(i32)) -> bool {
    if field(0, proc::PID) != Some(own) {
        return false;
    }
    let Some(directory) = sys::open(b"/proc\0", 0).value() else { return false };
    let mut shown = false;
    let mut buffer = sys::Entries::new();
    while buffer.fill(directory) {
        buffer.each(|name| {
            let Some(pid) = decimal(name) else { return };
            let pid = pid as i32;
            if pid == own {
                shown = true;
            } else if everybody || descends(pid, own) {
                visit(pid);
            }
        });
    }
    sys::close(directory);
    shown
}

/// Returns whether a process is a descendant of the reaper: its chain of parents leads to the
/// reaper, instead of ending at 1 or 0.
fn descends(mut pid: i32, own: i32) -> bool {
    while pid > 1 {
        match field(pid, proc::PARENT) {
            Some(parent) if parent == own => return true,
            Some(parent) => pid = parent,
            None => return false,
        }
    }
    false
}

/// Returns the number in a field of `/proc/PID/status`; `pid` 0 means the calling process.
#[inline(never)]
pub fn field(pid: i32, name: &[u8]) -> Option<i32> {
    let template = if pid == 0 { "/proc/self/status\0" } else { "/proc/#/status\0" };
    let mut text = [0; 192];
    Text::new(&mut text).fill(template, b"", &[pid as u32]);
    let file = sys::open(&text, 0).value()?;
    let read = sys::read(file, &mut text);
    sys::close(file);
    proc::field(text.get(..read.value()? as usize)?, name).map(|number| number as i32)
}

/// The highest process ID that a kernel assigns (PID_MAX_LIMIT).
const PID_LIMIT: i32 = 1 << 22;

/// Visits the reaper's children by trying every possible process ID, for use if `/proc` does not
/// show the reaper.
fn children(visit: &mut dyn FnMut(i32)) {
    for pid in 2..PID_LIMIT {
        if sys::is_child(pid) {
            visit(pid);
        }
    }
}
