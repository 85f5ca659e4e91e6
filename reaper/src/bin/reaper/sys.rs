//! The system calls that the reaper needs, as safe functions.

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

/// The result of a system call: its value, or its negated error number, as the kernel returns it.
/// An `int` is large enough for every value that the reaper requests.
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

    /// Returns the error number; 0 or less if there is no error.
    pub const fn errno(self) -> i32 {
        -self.0
    }
}

/// Makes a system call whose arguments are passed as numbers.
///
/// # Safety
/// The arguments must be correct for the system call; those that are pointers must be valid for it.
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> Answer {
    // SAFETY: the caller guarantees this.
    Answer(unsafe { syscall(a, b, c, d, number) } as i32)
}

/// Makes a system call that takes no pointers, and therefore cannot access the reaper's memory.
fn plain(number: usize, a: usize, b: usize, c: usize) -> Answer {
    // SAFETY: only this module and its submodules call this function, for calls without pointers.
    unsafe { call(number, a, b, c, 0) }
}

pub fn exit(code: u8) -> ! {
    let _ = plain(nr::EXIT_GROUP, usize::from(code), 0, 0);
    // The first call was refused. If the second is refused too, only a fault ends the process.
    let _ = plain(nr::EXIT, usize::from(code), 0, 0);
    trap()
}

/// Returns the ID of this process; 0 if the call is refused.
pub fn getpid() -> i32 {
    plain(nr::GETPID, 0, 0, 0).value().unwrap_or(0)
}

pub fn getppid() -> i32 {
    plain(nr::GETPPID, 0, 0, 0).value().unwrap_or(0)
}

/// Returns the process group of a process, or of this process if `pid` is 0; returns 0 if the group
/// is outside this PID namespace.
pub fn group(pid: i32) -> i32 {
    plain(nr::GETPGID, pid as usize, 0, 0).value().unwrap_or(0)
}

/// Makes this process the leader of a new process group.
pub fn lead_group() {
    let _ = plain(nr::SETPGID, 0, 0, 0);
}

pub fn become_subreaper() {
    let _ = plain(nr::PRCTL, PR_SET_CHILD_SUBREAPER, 1, 0);
}

pub fn set_parent_death_signal(signal: Signal) {
    let _ = plain(nr::PRCTL, PR_SET_PDEATHSIG, usize::from(signal.number()), 0);
}

/// Takes on `user` as the effective user ID. The real and the saved user IDs do not change, so that
/// other processes of the user cannot interfere with this process.
pub fn act_for_user(user: i32) {
    let _ = plain(nr::SETRESUID, usize::MAX, user as usize, usize::MAX);
}

/// Starts a process that runs `child` in this process's memory, below its stack. Returns after the
/// child has executed another program or exited.
pub fn vfork<T>(child: extern "C" fn(&T) -> !, data: &T) -> Answer {
    clone(CLONE_VM, child, data)
}

/// Runs `child` in a process with a copy of this process's memory; returns whether it exited with
/// 0.
pub fn run_forked<T>(child: extern "C" fn(&T) -> !, data: &T) -> bool {
    let Some(pid) = clone(0, child, data).value() else { return false };
    let mut status = 0u32;
    // SAFETY: the kernel writes one int to `status`, and no resource usage is requested.
    let _ = unsafe { call(nr::WAIT4, pid as usize, &raw mut status as usize, 0, 0) };
    status == 0
}

fn clone<T>(memory: usize, child: extern "C" fn(&T) -> !, data: &T) -> Answer {
    let flags = memory | CLONE_VFORK | usize::from(Signal::CHLD.number());
    let (a, b) = if cfg!(target_arch = "s390x") { (0, flags) } else { (flags, 0) };
    // SAFETY: a thin reference is passed in the same way as a pointer. `data` outlives the child's
    // use of this process's memory, because this process is suspended until that use ends.
    let child = unsafe {
        core::mem::transmute::<extern "C" fn(&T) -> !, extern "C" fn(*const u8) -> !>(child)
    };
    // SAFETY: the flags suspend this process, and the child is given no stack.
    Answer(unsafe { vfork_into(a, b, child, (&raw const *data).cast(), nr::CLONE) } as i32)
}

/// Executes another program in this process; returns the error number on failure.
///
/// # Safety
/// `file` must end in NUL; `argv` and `envp` must be NULL-terminated lists of such strings.
pub unsafe fn execve(file: *const u8, argv: Strings, envp: Strings) -> i32 {
    // SAFETY: the caller guarantees this.
    unsafe { call(nr::EXECVE, file as usize, argv as usize, envp as usize, 0) }.errno()
}

/// Checks for a child whose state has changed, without waiting. Returns the ID of the child and
/// stores its wait status; returns 0 if no child has changed, and [`Answer::ECHILD`] if there are
/// no children.
pub fn wait(status: &mut u32) -> Answer {
    let options = WNOHANG | WUNTRACED | WCONTINUED;
    // SAFETY: the kernel writes one int to `status`; -1 means any child, and no resource usage is
    // requested.
    unsafe { call(nr::WAIT4, usize::MAX, &raw mut *status as usize, options, 0) }
}

/// Returns whether [`wait`] works. If a child has already exited, reaps it.
pub fn can_reap() -> bool {
    let answer = wait(&mut 0);
    answer.is_ok() || answer == Answer::ECHILD
}

/// Returns whether `pid` is a living child of this process. If the child has exited, reaps it.
pub fn is_child(pid: i32) -> bool {
    plain(nr::WAIT4, pid as usize, 0, WNOHANG) == Answer(0)
}

/// Opens a file. `path` must end in NUL.
pub fn open(path: &[u8], flags: usize) -> Answer {
    const AT_FDCWD: usize = -100isize as usize;
    if path.last() != Some(&0) {
        return Answer::ENOENT;
    }
    // SAFETY: the path ends in NUL, as checked above.
    unsafe { call(nr::OPENAT, AT_FDCWD, path.as_ptr() as usize, flags | O_CLOEXEC, 0) }
}

pub fn read(file: i32, buffer: &mut [u8]) -> Answer {
    // SAFETY: the kernel writes at most as many bytes as the buffer holds.
    unsafe { call(nr::READ, file as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0) }
}

/// Writes the bytes if this is possible without waiting, and drops them otherwise. Other processes
/// share the file, so it cannot be made non-blocking.
pub fn write_now(file: i32, bytes: &[u8]) {
    const RWF_NOWAIT: usize = 8;
    const POLLOUT: u32 = if cfg!(target_endian = "big") { 4 << 16 } else { 4 };
    let vector = [bytes.as_ptr() as usize, bytes.len()];
    let at = &raw const vector as usize;
    // SAFETY: the kernel reads one iovec (two words), and at most as many bytes as the slice holds.
    // Offset -1 means the file's own offset.
    let written =
        Answer(
            unsafe { syscall_sixth(file as usize, at, 1, usize::MAX, nr::PWRITEV2, RWF_NOWAIT) }
                as i32,
        );
    if written.is_ok() || written == Answer::EAGAIN {
        return;
    }
    // Linux before 6.4, or a type of file that does not support the flag.
    let mut poll = [file as u32, POLLOUT];
    let time = [0usize; 2];
    let (at, time) = (&raw mut poll as usize, &raw const time as usize);
    // SAFETY: the kernel reads and writes one pollfd, and reads one timespec (two longs).
    if unsafe { call(nr::PPOLL, at, 1, time, 0) } != Answer(0) {
        write(file, bytes);
    }
}

/// Writes as many bytes as a single call can. Errors are ignored, because they could not be
/// reported.
pub fn write(file: i32, bytes: &[u8]) {
    // SAFETY: the kernel reads at most as many bytes as the slice holds.
    let _ = unsafe { call(nr::WRITE, file as usize, bytes.as_ptr() as usize, bytes.len(), 0) };
}

pub fn close(file: i32) {
    let _ = plain(nr::CLOSE, file as usize, 0, 0);
}

/// Closes every descriptor from `first` on; if the kernel has no system call for this, only those
/// below a limit.
pub fn close_from(first: usize) {
    const LIMIT: usize = 4096;
    if !plain(nr::CLOSE_RANGE, first, u32::MAX as usize, 0).is_ok() {
        // Linux before 5.9, or a seccomp filter that does not know the system call.
        for file in first..LIMIT {
            close(file as i32);
        }
    }
}

/// Leaves the working directory, so that the reaper does not keep its mount busy.
pub fn leave_directory() {
    // SAFETY: the path ends in NUL.
    let _ = unsafe { call(nr::CHDIR, c"/".as_ptr() as usize, 0, 0, 0) };
}

/// Returns the foreground process group of a terminal; 0 if the group is not visible in this PID
/// namespace.
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

/// Returns the processor time that this process has used; 0 if the call is refused.
pub fn microseconds_spent() -> u64 {
    const CLOCK_THREAD_CPUTIME_ID: usize = 3;
    let mut time = [0isize; 2];
    // SAFETY: the kernel writes one timespec (two longs) to `time`.
    let _ =
        unsafe { call(nr::CLOCK_GETTIME, CLOCK_THREAD_CPUTIME_ID, &raw mut time as usize, 0, 0) };
    let [seconds, nanoseconds] = time;
    (seconds as u64).wrapping_mul(1_000_000).wrapping_add(nanoseconds as u64 / 1000)
}
