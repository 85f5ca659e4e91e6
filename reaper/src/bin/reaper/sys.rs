//! The kernel's calls as safe functions, as few as the init needs.

mod entries;
mod numbers;
mod signals;

use reaper::signal::Signal;

use crate::arch::{syscall, syscall_sixth, trap, vfork_into};
use crate::stack::Strings;
use numbers as nr;

pub use entries::Entries;
pub use signals::*;

pub const O_RDWR: usize = 2;
const O_CLOEXEC: usize = 0o2000000;

const PR_SET_PDEATHSIG: usize = 1;
const PR_SET_CHILD_SUBREAPER: usize = 36;

const WNOHANG: usize = 1;
const WUNTRACED: usize = 2;
const WCONTINUED: usize = 8;

const CLONE_VM: usize = 0x100;
const CLONE_VFORK: usize = 0x4000;

/// What a call says: its value, or the error number, negated, as the kernel has it. Nothing that we
/// ask for is larger than an int.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Answer(i32);

impl Answer {
    pub const OK: Answer = Answer(0);
    pub const EPERM: Answer = Answer(-1);
    pub const ENOENT: Answer = Answer(-2);
    pub const ESRCH: Answer = Answer(-3);
    pub const EINTR: Answer = Answer(-4);
    pub const ECHILD: Answer = Answer(-10);
    pub const EAGAIN: Answer = Answer(-11);
    pub const ENOMEM: Answer = Answer(-12);

    pub const fn is_ok(self) -> bool {
        self.0 >= 0
    }

    pub const fn value(self) -> Option<i32> {
        if self.is_ok() { Some(self.0) } else { None }
    }

    /// The error number; 0 or less if there is no error.
    pub const fn errno(self) -> i32 {
        -self.0
    }
}

/// A call with numbers for arguments.
///
/// # Safety
/// The arguments must be right for the call; those that are pointers must be valid for it.
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> Answer {
    // SAFETY: the caller's promise.
    Answer(unsafe { syscall(a, b, c, d, number) } as i32)
}

/// A call whose arguments are numbers only, so that it can touch no memory of ours.
fn plain(number: usize, a: usize, b: usize, c: usize) -> Answer {
    // SAFETY: only called below, with calls that take no pointers.
    unsafe { call(number, a, b, c, 0) }
}

pub fn exit(code: u8) -> ! {
    let _ = plain(nr::EXIT_GROUP, usize::from(code), 0, 0);
    // The first was refused, the second is, too: there is no other way.
    let _ = plain(nr::EXIT, usize::from(code), 0, 0);
    trap()
}

/// Our process id; 0 if the call is refused.
pub fn getpid() -> i32 {
    plain(nr::GETPID, 0, 0, 0).value().unwrap_or(0)
}

pub fn getppid() -> i32 {
    plain(nr::GETPPID, 0, 0, 0).value().unwrap_or(0)
}

/// The process group of a process, or ours (0); 0 if it lies outside of our PID namespace.
pub fn group(pid: i32) -> i32 {
    plain(nr::GETPGID, pid as usize, 0, 0).value().unwrap_or(0)
}

/// Makes us the leader of a process group of our own.
pub fn lead_group() {
    let _ = plain(nr::SETPGID, 0, 0, 0);
}

pub fn become_subreaper() {
    let _ = plain(nr::PRCTL, PR_SET_CHILD_SUBREAPER, 1, 0);
}

pub fn set_parent_death_signal(signal: Signal) {
    let _ = plain(nr::PRCTL, PR_SET_PDEATHSIG, usize::from(signal.number()), 0);
}

/// Takes on a user as the effective one. The real and the saved one stay, so that the user's other
/// processes cannot interfere with us.
pub fn act_for_user(user: i32) {
    let _ = plain(nr::SETRESUID, usize::MAX, user as usize, usize::MAX);
}

/// Starts a process that runs `child` on our memory, below our stack; we go on once it has become
/// another program or has exited.
pub fn vfork<T>(child: extern "C" fn(&T) -> !, data: &T) -> Answer {
    clone(CLONE_VM, child, data)
}

/// Runs `child` in a process with a copy of our memory; true if it has exited with 0.
pub fn run_forked<T>(child: extern "C" fn(&T) -> !, data: &T) -> bool {
    let Some(pid) = clone(0, child, data).value() else { return false };
    let mut status = 0u32;
    // SAFETY: the kernel writes one int to `status`, and no usage is asked for.
    let _ = unsafe { call(nr::WAIT4, pid as usize, &raw mut status as usize, 0, 0) };
    status == 0
}

fn clone<T>(memory: usize, child: extern "C" fn(&T) -> !, data: &T) -> Answer {
    let flags = memory | CLONE_VFORK | usize::from(Signal::CHLD.number());
    let (a, b) = if cfg!(target_arch = "s390x") { (0, flags) } else { (flags, 0) };
    // SAFETY: a thin reference is passed as a pointer is, and `data` outlives the child's use of our
    // memory, for we do not go on before its end.
    let child = unsafe {
        core::mem::transmute::<extern "C" fn(&T) -> !, extern "C" fn(*const u8) -> !>(child)
    };
    // SAFETY: the flags suspend us, and there is no stack.
    Answer(unsafe { vfork_into(a, b, child, (&raw const *data).cast(), nr::CLONE) } as i32)
}

/// Becomes another program; returns the error if that fails.
///
/// # Safety
/// `file` must end in NUL, `argv` and `envp` must be lists that end in NULL, of such strings.
pub unsafe fn execve(file: *const u8, argv: Strings, envp: Strings) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { call(nr::EXECVE, file as usize, argv as usize, envp as usize, 0) }.errno()
}

/// Asks for a child that has changed: its id, and its wait status; or 0 if none has. [`Answer::ECHILD`]:
/// there are no children.
pub fn wait(status: &mut u32) -> Answer {
    let options = WNOHANG | WUNTRACED | WCONTINUED;
    // SAFETY: the kernel writes one int to `status`; -1 is any child, and no usage is asked for.
    unsafe { call(nr::WAIT4, usize::MAX, &raw mut *status as usize, options, 0) }
}

/// Whether [`wait`] works. A child that has exited already is reaped.
pub fn can_reap() -> bool {
    let answer = wait(&mut 0);
    answer.is_ok() || answer == Answer::ECHILD
}

/// Whether this is a living child of ours; a dead one is reaped.
pub fn is_child(pid: i32) -> bool {
    plain(nr::WAIT4, pid as usize, 0, WNOHANG) == Answer(0)
}

/// Opens a file, whose path must end in NUL.
pub fn open(path: &[u8], flags: usize) -> Answer {
    const AT_FDCWD: usize = -100isize as usize;
    if path.last() != Some(&0) {
        return Answer::ENOENT;
    }
    // SAFETY: the path ends in NUL, as was just checked.
    unsafe { call(nr::OPENAT, AT_FDCWD, path.as_ptr() as usize, flags | O_CLOEXEC, 0) }
}

pub fn read(file: i32, buffer: &mut [u8]) -> Answer {
    // SAFETY: the kernel writes no more than the buffer holds.
    unsafe { call(nr::READ, file as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0) }
}

/// Writes bytes that can be written at once; otherwise they are lost. The file is shared with
/// others, so that it cannot be made non-blocking.
pub fn write_now(file: i32, bytes: &[u8]) {
    const RWF_NOWAIT: usize = 8;
    const POLLOUT: u32 = if cfg!(target_endian = "big") { 4 << 16 } else { 4 };
    let vector = [bytes.as_ptr() as usize, bytes.len()];
    let at = &raw const vector as usize;
    // SAFETY: the kernel reads one iovec (two words), and no more of the slice than it holds. Offset
    // -1 is the file's own.
    let written =
        Answer(
            unsafe { syscall_sixth(file as usize, at, 1, usize::MAX, nr::PWRITEV2, RWF_NOWAIT) }
                as i32,
        );
    if written.is_ok() || written == Answer::EAGAIN {
        return;
    }
    // Before Linux 6.4, or a kind of file that does not know the flag.
    let mut poll = [file as u32, POLLOUT];
    let time = [0usize; 2];
    let (at, time) = (&raw mut poll as usize, &raw const time as usize);
    // SAFETY: the kernel reads and writes one pollfd and reads one timespec (two longs).
    if unsafe { call(nr::PPOLL, at, 1, time, 0) } != Answer(0) {
        write(file, bytes);
    }
}

/// Writes what it can in one call: nobody could be told of a failure.
pub fn write(file: i32, bytes: &[u8]) {
    // SAFETY: the kernel reads no more than the slice holds.
    let _ = unsafe { call(nr::WRITE, file as usize, bytes.as_ptr() as usize, bytes.len(), 0) };
}

pub fn close(file: i32) {
    let _ = plain(nr::CLOSE, file as usize, 0, 0);
}

/// Closes every descriptor from this one on; up to a limit where the kernel has no call for that.
pub fn close_from(first: usize) {
    const LIMIT: usize = 4096;
    if !plain(nr::CLOSE_RANGE, first, u32::MAX as usize, 0).is_ok() {
        // Before Linux 5.9, or a seccomp filter that does not know the call.
        for file in first..LIMIT {
            close(file as i32);
        }
    }
}

/// Leaves the working directory, so that its mount is not held by us.
pub fn leave_directory() {
    // SAFETY: the path ends in NUL.
    let _ = unsafe { call(nr::CHDIR, c"/".as_ptr() as usize, 0, 0, 0) };
}

/// The process group in the foreground of a terminal; 0 if it cannot be seen from this PID namespace.
pub fn foreground(terminal: i32) -> Option<i32> {
    let mut group = 0i32;
    let at = &raw mut group as usize;
    // SAFETY: the kernel writes one int to `group`.
    unsafe { call(nr::IOCTL, terminal as usize, nr::TIOCGPGRP, at, 0) }.value()?;
    Some(group)
}

pub fn set_foreground(terminal: i32, group: i32) {
    // SAFETY: the kernel reads one int from `group`.
    let _ =
        unsafe { call(nr::IOCTL, terminal as usize, nr::TIOCSPGRP, &raw const group as usize, 0) };
}

/// The processor time that we have spent; 0 if the call is refused.
pub fn microseconds_spent() -> u64 {
    const CLOCK_THREAD_CPUTIME_ID: usize = 3;
    let mut time = [0isize; 2];
    // SAFETY: the kernel writes one timespec, two longs, to `time`.
    let _ =
        unsafe { call(nr::CLOCK_GETTIME, CLOCK_THREAD_CPUTIME_ID, &raw mut time as usize, 0, 0) };
    let [seconds, nanoseconds] = time;
    (seconds as u64).wrapping_mul(1_000_000).wrapping_add(nanoseconds as u64 / 1000)
}
