//! Blocking, waiting for and sending signals.

use reaper::signal::Signal;

use super::{Answer, call, nr, plain};

/// Bytes of the kernel's signal set: not the C library's.
const SET_BYTES: usize = if cfg!(target_arch = "mips64") { 16 } else { 8 };
const SIG_SETMASK: usize = if cfg!(target_arch = "mips64") { 3 } else { 2 };
const SIG_UNBLOCK: usize = if cfg!(target_arch = "mips64") { 2 } else { 1 };

/// `si_code` of a signal that kill(2) sent, and of one that tgkill(2) sent.
const SI_USER: i32 = 0;
const SI_TKILL: i32 = -6;
/// pidfd_send_signal(2): to the whole process group (Linux 6.9).
const PIDFD_SIGNAL_PROCESS_GROUP: usize = 4;

/// A set of signals, a bit for each, in the kernel's size or larger.
#[derive(Clone, Copy)]
pub struct Mask([u64; 2]);

const ALL: Mask = Mask([u64::MAX; 2]);

impl Mask {
    pub const NONE: Mask = Mask([0; 2]);
}

/// Blocks every signal, so that each waits to be fetched; stores the mask before. False if that is
/// refused.
pub fn block_signals(before: &mut Mask) -> bool {
    change_mask(SIG_SETMASK, &ALL, Some(before)).is_ok()
}

pub fn set_mask(mask: &Mask) {
    let _ = change_mask(SIG_SETMASK, mask, None);
}

fn change_mask(how: usize, mask: &Mask, before: Option<&mut Mask>) -> Answer {
    let before = before.map_or(0, |mask| &raw mut *mask as usize);
    // SAFETY: both sets are at least as large as the kernel's, or there is no second one.
    unsafe { call(nr::RT_SIGPROCMASK, how, &raw const *mask as usize, before, SET_BYTES) }
}

/// A `struct sigaction` as this architecture lays it out. All zero is the default everywhere, and
/// nothing else is ever made up here, so its inside need not be known; none is larger.
pub struct Action([u64; 4]);

impl Action {
    pub const DEFAULT: Action = Action([0; 4]);

    /// Whether this is what every program would get anyway: the handler, which is in the first or
    /// the second word, is 0. The kernel keeps nothing else across execve(2).
    pub fn is_default(&self) -> bool {
        self.0[0] | self.0[1] == 0
    }
}

/// Gives SIGCHLD its default action; stores the one before. False if that is refused.
pub fn default_on_child(before: &mut Action) -> bool {
    let signal = usize::from(Signal::CHLD.number());
    let default = Action::DEFAULT;
    let (new, old) = (&raw const default as usize, &raw mut *before as usize);
    // SAFETY: both are as large as the kernel's structure; the default action calls nothing.
    unsafe { call(nr::RT_SIGACTION, signal, new, old, SET_BYTES) }.is_ok()
}

/// Puts an action of SIGCHLD's back that was inherited: default or ignored, for execve(2) leaves
/// no handlers.
pub fn restore_on_child(action: &Action) {
    let signal = usize::from(Signal::CHLD.number());
    // SAFETY: the kernel itself wrote this action.
    let _ = unsafe { call(nr::RT_SIGACTION, signal, &raw const *action as usize, 0, SET_BYTES) };
}

/// The `siginfo_t` of a signal that was received: number and code first, then what they call for; 128
/// bytes everywhere.
#[repr(C, align(8))]
pub struct Received([i32; 32]);

impl Received {
    const CODE: usize = if cfg!(target_arch = "mips64") { 1 } else { 2 };
    const SENDER: usize = if cfg!(target_pointer_width = "64") { 4 } else { 3 };

    pub const NOTHING: Received = Received([0; 32]);

    /// Whether this signal is one for the main process. `own` is our process id: a broken pipe of
    /// our standard error is nobody else's business.
    pub fn is_for_main(&self, signal: Signal, own: i32) -> bool {
        let ours = signal == Signal::PIPE && self.0[Self::SENDER] == own;
        !ours && signal.is_message(self.0[Self::CODE])
    }

    /// Whether it carries a value, or another thing that kill(2) would lose.
    fn is_queued(&self) -> bool {
        let code = self.0[Self::CODE];
        code < SI_USER && code != SI_TKILL
    }
}

/// Whether [`wait_signal`] works: it waits for no signal and for no time.
pub fn can_wait() -> bool {
    fetch(0, &Mask::NONE, 0) == Answer::EAGAIN
}

/// Sleeps for so many microseconds, whatever arrives.
pub fn sleep(duration: u64) {
    let _ = fetch(0, &Mask::NONE, duration);
}

/// Waits for a signal for so many microseconds, or for ever ([`u64::MAX`]); for SIGCHLD only if told
/// to. Returns the signal's number, or an error when the time is over or the wait interrupted.
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
    // SAFETY: set, siginfo and timespec (two longs) are as large as the kernel's; no timespec is
    // waiting for ever.
    unsafe { call(nr::RT_SIGTIMEDWAIT, set, info, time, SET_BYTES) }
}

/// Sends a signal to a process, or to a group if it is negative.
pub fn kill(pid: i32, signal: u8) -> Answer {
    plain(nr::KILL, pid as usize, usize::from(signal), 0)
}

/// Asks whether we may send signals to a process.
pub fn ask(pid: i32) -> Answer {
    kill(pid, 0)
}

/// Sends a signal (0: only asks) to everybody except us and PID 1. To be refused by all of them is
/// no error to the kernel.
pub fn kill_all(signal: u8) -> Answer {
    kill(-1, signal)
}

/// Passes a signal on to a process, or to the group that it leads if it still does; with its value if it has one. Only
/// newer kernels can send a value to a group.
pub fn send(pid: i32, group: bool, signal: u8, received: Option<&Received>) -> Answer {
    if let Some(received) = received
        && received.is_queued()
    {
        let number = usize::from(signal);
        let info = &raw const *received as usize;
        // SAFETY: the kernel reads a siginfo, which it has written.
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
        // It has left the group that it led.
        return send(pid, false, signal, received);
    }
    sent
}

/// Lets the terminal's stop signal stop our own process group; returns when it goes on, or at once
/// where it cannot stop.
pub fn stop_group() {
    let mut stop = Mask::NONE;
    stop.0[0] = 1 << (Signal::TSTP.number() - 1);
    let _ = kill(0, Signal::TSTP.number());
    let _ = change_mask(SIG_UNBLOCK, &stop, None);
    set_mask(&ALL);
}
