//! Who is left once the main process has exited.

use reaper::proc::identity;
use reaper::signal::Signal;
use reaper::text::decimal;

use crate::say::Text;
use crate::sys;

/// Whether PID 1 is not alone in its namespace.
pub fn anyone() -> bool {
    sys::kill_all(0).is_ok()
}

/// Sends signals to all that is left: everybody if we are PID 1, else only our own descendants.
pub fn signal(own: i32, signals: &[Signal]) {
    let send = |pid| {
        for &signal in signals {
            let _ = sys::kill(pid, signal);
        }
    };
    if own == 1 {
        for &signal in signals {
            let _ = sys::kill_all(signal.number());
        }
    } else if ids(b"/proc/self/stat\0").is_some_and(|(pid, _)| pid == own as u32) {
        descendants(own, send);
    } else {
        children(send);
    }
}

/// Process id and parent, out of a `stat` file.
fn ids(path: &[u8]) -> Option<(u32, u32)> {
    let mut text = [0; 256];
    let file = sys::open(path, 0).ok()?;
    let read = sys::read(file, &mut text);
    sys::close(file);
    identity(text.get(..read.ok()? as usize)?)
}

/// Every descendant, whatever its session. It is only asked for where processes are shared with
/// others, that is where `/proc` shows them.
fn descendants(own: i32, send: impl Fn(i32)) {
    let Ok(directory) = sys::open(b"/proc\0", 0) else { return };
    let mut buffer = sys::Entries::new();
    while buffer.fill(directory) {
        buffer.each(|name| {
            if let Some(pid) = decimal(name)
                && descends(pid as i32, own)
            {
                send(pid as i32);
            }
        });
    }
    sys::close(directory);
}

/// Whether a process is a descendant of ours: the chain of parents ends at 0, or leads to us.
fn descends(mut pid: i32, own: i32) -> bool {
    while pid > 1 {
        match parent(pid) {
            Some(parent) if parent == own => return true,
            Some(parent) => pid = parent,
            None => return false,
        }
    }
    false
}

fn parent(pid: i32) -> Option<i32> {
    let path = Text::new("/proc/#/stat\0", &[pid as u32]);
    ids(path.as_bytes()).map(|(_, parent)| parent as i32)
}

/// The highest process id that a kernel gives (PID_MAX_LIMIT).
const PID_LIMIT: i32 = 1 << 22;

/// Without a `/proc` that shows us, ask for every possible process id whether it is a child of ours.
fn children(send: impl Fn(i32)) {
    for pid in 2..PID_LIMIT {
        if sys::is_child(pid) {
            send(pid);
        }
    }
}
