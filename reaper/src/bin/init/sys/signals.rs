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

/// Blocks every signal, so that each waits to be fetched; returns the mask before.
pub fn block_signals() -> Mask {
    let mut before = Mask([0; 2]);
    change_mask(SIG_SETMASK, &ALL, Some(&mut before));
    before
}

pub fn set_mask(mask: &Mask) {
    change_mask(SIG_SETMASK, mask, None);
}

fn change_mask(how: usize, mask: &Mask, before: Option<&mut Mask>) {
    let before = before.map_or(0, |mask| &raw mut *mask as usize);
    // SAFETY: both sets are at least as large as the kernel's, or there is no second one.
    let _ = unsafe { call(nr::RT_SIGPROCMASK, how, &raw const *mask as usize, before, SET_BYTES) };
}

/// A `struct sigaction` as this architecture lays it out. All zero is the default everywhere, and
/// nothing else is ever made up here, so its inside need not be known; none is larger.
pub struct Action([u64; 4]);

impl Action {
    const DEFAULT: Action = Action([0; 4]);

    /// Whether this is what every program would get anyway.
    pub fn is_default(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }
}

/// Gives SIGCHLD its default action; returns the one before.
pub fn default_on_child() -> Action {
    let (default, mut before) = (Action::DEFAULT, Action::DEFAULT);
    let signal = usize::from(Signal::CHLD.number());
    let (new, old) = (&raw const default as usize, &raw mut before as usize);
    // SAFETY: both are as large as the kernel's structure; the default action calls nothing.
    let _ = unsafe { call(nr::RT_SIGACTION, signal, new, old, SET_BYTES) };
    before
}

/// Puts an action of SIGCHLD's back that was inherited: default or ignored, for execve(2) leaves
/// no handlers.
pub fn restore_on_child(action: &Action) {
    let signal = usize::from(Signal::CHLD.number());
    // SAFETY: the kernel itself wrote this action.
    let _ = unsafe { call(nr::RT_SIGACTION, signal, &raw const *action as usize, 0, SET_BYTES) };
}

/// A `siginfo_t`: number and code first, then what they call for; 128 bytes everywhere.
#[repr(C, align(8))]
pub struct Received([i32; 32]);

impl Received {
    const CODE: usize = if cfg!(target_arch = "mips64") { 1 } else { 2 };
    const SENDER: usize = if cfg!(target_pointer_width = "64") { 4 } else { 3 };

    pub const NOTHING: Received = Received([0; 32]);

    pub fn signal(&self) -> Option<Signal> {
        Signal::new(self.0[0] as u32)
    }

    /// Whether this is a signal for the main process. `own` is our process id: a broken pipe of our
    /// standard error is nobody else's business.
    pub fn is_for_main(&self, own: i32) -> bool {
        self.signal().is_some_and(|signal| {
            let ours = signal == Signal::PIPE && self.0[Self::SENDER] == own;
            !ours && signal.is_message(self.0[Self::CODE])
        })
    }

    /// Whether it carries a value, or another thing that kill(2) would lose.
    fn is_queued(&self) -> bool {
        let code = self.0[Self::CODE];
        code < SI_USER && code != SI_TKILL
    }
}

/// Waits for a signal for so many microseconds, for ever if there are too many to count; for
/// SIGCHLD only if told to. Nothing is received when the time is over, or the wait interrupted.
pub fn wait_signal(received: &mut Received, limit: u64, children: bool) {
    let mut set = ALL;
    if !children {
        set.0[0] &= !(1 << (Signal::CHLD.number() - 1));
    }
    let time = [(limit / 1_000_000) as isize, (limit % 1_000_000) as isize * 1000];
    let time = if limit == u64::MAX { 0 } else { &raw const time as usize };
    let set = &raw const set as usize;
    // SAFETY: set, siginfo and timespec (two longs) are as large as the kernel's; no timespec is
    // waiting for ever.
    let _ = unsafe { call(nr::RT_SIGTIMEDWAIT, set, &raw mut *received as usize, time, SET_BYTES) };
}

/// Sends a signal to a process, or to a group if it is negative.
pub fn kill(pid: i32, signal: Signal) -> Answer<()> {
    plain(nr::KILL, pid as usize, usize::from(signal.number()), 0).map(|_| ())
}

/// Sends a signal (0: only asks) to everybody that we may send one to, except us and PID 1.
pub fn kill_all(signal: u8) -> Answer<()> {
    plain(nr::KILL, usize::MAX, usize::from(signal), 0).map(|_| ())
}

/// Passes a signal on to a process, with its value if it has one.
pub fn send(pid: i32, signal: Signal, received: &Received) -> Answer<()> {
    if received.is_queued() {
        let number = usize::from(signal.number());
        let info = &raw const *received as usize;
        // SAFETY: the kernel reads a siginfo, which `received` is.
        if unsafe { call(nr::RT_SIGQUEUEINFO, pid as usize, number, info, 0) }.is_ok() {
            return Ok(());
        }
    }
    kill(pid, signal)
}

/// Passes a signal on to a process group. Only newer kernels can send a value to one.
pub fn send_group(leader: i32, signal: Signal, received: &Received) -> Answer<()> {
    if received.is_queued()
        && let Ok(file) = plain(nr::PIDFD_OPEN, leader as usize, 0, 0)
    {
        let (number, info) = (usize::from(signal.number()), &raw const *received as usize);
        // SAFETY: the kernel reads a siginfo, which `received` is.
        let sent = unsafe {
            call(nr::PIDFD_SEND_SIGNAL, file as usize, number, info, PIDFD_SIGNAL_PROCESS_GROUP)
        };
        super::close(file);
        if sent.is_ok() {
            return Ok(());
        }
    }
    kill(-leader, signal)
}

/// Lets the terminal's stop signal stop our own process group; returns when it goes on, or at once
/// where it cannot stop.
pub fn stop_group() {
    let mut stop = Mask([0; 2]);
    stop.0[0] = 1 << (Signal::TSTP.number() - 1);
    let _ = kill(0, Signal::TSTP);
    change_mask(SIG_UNBLOCK, &stop, None);
    change_mask(SIG_SETMASK, &ALL, None);
}
