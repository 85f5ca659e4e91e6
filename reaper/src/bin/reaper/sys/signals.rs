//! Blocks signals, waits for them and sends them.

use reaper::signal::Signal;

use super::{Answer, call, nr, plain};

/// The size of the kernel's signal set in bytes; the C library's set has a different size.
const SET_BYTES: usize = if cfg!(target_arch = "mips64") { 16 } else { 8 };
const SIG_SETMASK: usize = if cfg!(target_arch = "mips64") { 3 } else { 2 };
const SIG_UNBLOCK: usize = if cfg!(target_arch = "mips64") { 2 } else { 1 };

/// The `si_code` of a signal that kill(2) sent, and of one that tgkill(2) sent.
const SI_USER: i32 = 0;
const SI_TKILL: i32 = -6;
/// The flag of pidfd_send_signal(2) that sends to the whole process group (Linux 6.9).
const PIDFD_SIGNAL_PROCESS_GROUP: usize = 4;

/// A set of signals with one bit each, at least as large as the kernel's.
#[derive(Clone, Copy)]
pub struct Mask([u64; 2]);

const ALL: Mask = Mask([u64::MAX; 2]);

impl Mask {
    pub const NONE: Mask = Mask([0; 2]);
}

/// Blocks all signals, so that they stay pending until they are fetched, and stores the previous
/// mask. Returns false if the call is refused.
pub fn block_signals(before: &mut Mask) -> bool {
    change_mask(SIG_SETMASK, &ALL, Some(before)).is_ok()
}

pub fn set_mask(mask: &Mask) {
    let _ = change_mask(SIG_SETMASK, mask, None);
}

fn change_mask(how: usize, mask: &Mask, before: Option<&mut Mask>) -> Answer {
    let before = before.map_or(0, |mask| &raw mut *mask as usize);
    // SAFETY: each set is at least as large as the kernel's; the second pointer is null if there is
    // no second set.
    unsafe { call(nr::RT_SIGPROCMASK, how, &raw const *mask as usize, before, SET_BYTES) }
}

/// A `struct sigaction` in the architecture's layout, which is no larger than this on any
/// architecture. All zeroes is the default action on each of them. The reaper creates no other
/// actions, so it does not need to know the layout.
pub struct Action([u64; 4]);

impl Action {
    pub const DEFAULT: Action = Action([0; 4]);

    /// Returns whether every program would get this action anyway: the handler, which is in the
    /// first or the second word, is 0. The kernel preserves nothing else across execve(2).
    pub fn is_default(&self) -> bool {
        self.0[0] | self.0[1] == 0
    }
}

/// Sets SIGCHLD to its default action and stores the previous one. Returns false if the call is
/// refused.
pub fn default_on_child(before: &mut Action) -> bool {
    let signal = usize::from(Signal::CHLD.number());
    let default = Action::DEFAULT;
    let (new, old) = (&raw const default as usize, &raw mut *before as usize);
    // SAFETY: both are as large as the kernel's structure; the default action calls no function.
    unsafe { call(nr::RT_SIGACTION, signal, new, old, SET_BYTES) }.is_ok()
}

/// Restores the inherited action of SIGCHLD, which is either to ignore it or the default, because
/// execve(2) preserves no handlers.
pub fn restore_on_child(action: &Action) {
    let signal = usize::from(Signal::CHLD.number());
    // SAFETY: the kernel itself wrote this action.
    let _ = unsafe { call(nr::RT_SIGACTION, signal, &raw const *action as usize, 0, SET_BYTES) };
}

/// The `siginfo_t` of a received signal: the number and the code first, followed by the fields that
/// depend on them. It has 128 bytes on all architectures.
#[repr(C, align(8))]
pub struct Received([i32; 32]);

impl Received {
    const CODE: usize = if cfg!(target_arch = "mips64") { 1 } else { 2 };
    const SENDER: usize = if cfg!(target_pointer_width = "64") { 4 } else { 3 };

    pub const NOTHING: Received = Received([0; 32]);

    /// Returns whether the signal is meant for the main process. `own` is the reaper's process ID:
    /// a SIGPIPE from a write to the reaper's own standard error concerns only the reaper.
    pub fn is_for_main(&self, signal: Signal, own: i32) -> bool {
        let ours = signal == Signal::PIPE && self.0[Self::SENDER] == own;
        !ours && signal.is_message(self.0[Self::CODE])
    }

    /// Returns whether the signal carries a value, or other data that kill(2) would lose.
    fn is_queued(&self) -> bool {
        let code = self.0[Self::CODE];
        code < SI_USER && code != SI_TKILL
    }
}

/// Returns whether [`wait_signal`] works, by waiting for an empty set of signals with a timeout of
/// 0.
pub fn can_wait() -> bool {
    fetch(0, &Mask::NONE, 0) == Answer::EAGAIN
}

/// Sleeps for `duration` microseconds, even if signals arrive.
pub fn sleep(duration: u64) {
    let _ = fetch(0, &Mask::NONE, duration);
}

/// Waits for a signal for up to `limit` microseconds, or without a limit if it is [`u64::MAX`].
/// Waits for SIGCHLD only if `children` is true. Returns the number of the signal, or an error if
/// the time has elapsed or the wait was interrupted.
pub fn wait_signal(received: &mut Received, limit: u64, children: bool) -> Answer {
    let mut set = ALL;
    if !children {
        set.0[0] &= !(1 << (Signal::CHLD.number() - 1));
    }
    fetch(&raw mut *received as usize, &set, limit)
}

#[inline(never)]
fn fetch(info: usize, set: &Mask, limit: u64) -> Answer {
    let time = [(limit / 1_000_000) as isize, (limit % 1_000_000) as isize * 1000];
    let time = if limit == u64::MAX { 0 } else { &raw const time as usize };
    let set = &raw const *set as usize;
    // SAFETY: the set, the siginfo and the timespec (two longs) are as large as the kernel's;
    // without a timespec, the call waits without a limit.
    unsafe { call(nr::RT_SIGTIMEDWAIT, set, info, time, SET_BYTES) }
}

/// Sends a signal to a process, or to a process group if `pid` is negative.
pub fn kill(pid: i32, signal: u8) -> Answer {
    plain(nr::KILL, pid as usize, usize::from(signal), 0)
}

/// Checks whether this process may send signals to `pid`.
pub fn ask(pid: i32) -> Answer {
    kill(pid, 0)
}

/// Sends a signal to every process except this one and PID 1; signal 0 only checks. The kernel
/// reports no error if this process may not signal any of them.
pub fn kill_all(signal: u8) -> Answer {
    kill(-1, signal)
}

/// Forwards a signal to a process or, if `group`, to the process group that it leads, if it still
/// leads one. Passes the value on if the signal has one; only newer kernels can send a value to a
/// group.
pub fn send(pid: i32, group: bool, signal: u8, received: Option<&Received>) -> Answer {
    if let Some(received) = received
        && received.is_queued()
    {
        let number = usize::from(signal);
        let info = &raw const *received as usize;
        // SAFETY: the kernel reads a siginfo, which it wrote itself.
        let sent = unsafe {
            if group {
                let file = plain(nr::PIDFD_OPEN, pid as usize, 0, 0);
                let place = file.0 as usize;
                let flags = PIDFD_SIGNAL_PROCESS_GROUP;
                let sent = call(nr::PIDFD_SEND_SIGNAL, place, number, info, flags);
                super::close(file.0);
                sent
            } else {
                call(nr::RT_SIGQUEUEINFO, pid as usize, number, info, 0)
            }
        };
        if sent.is_ok() {
            return sent;
        }
    }
    let sent = kill(if group { -pid } else { pid }, signal);
    if group && sent == Answer::ESRCH {
        // The process has left the group that it led.
        return send(pid, false, signal, received);
    }
    sent
}

/// Lets the terminal's stop signal stop the reaper's process group. Returns when the group
/// continues, or at once if the kernel does not stop it.
pub fn stop_group() {
    let mut stop = Mask::NONE;
    stop.0[0] = 1 << (Signal::TSTP.number() - 1);
    let _ = kill(0, Signal::TSTP.number());
    let _ = change_mask(SIG_UNBLOCK, &stop, None);
    set_mask(&ALL);
}
