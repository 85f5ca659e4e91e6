//! The kernel's calls as safe functions, as few as the init needs.

mod entries;
mod numbers;
mod signals;

use reaper::signal::Signal;

use crate::arch::{syscall, vfork_into};
use crate::stack::Strings;
use numbers as nr;

pub use entries::Entries;
pub use signals::*;

pub const EPERM: i32 = 1;
pub const ENOENT: i32 = 2;
pub const ESRCH: i32 = 3;
const EBADF: i32 = 9;

pub const O_RDWR: usize = 2;
const O_CLOEXEC: usize = 0o2000000;

const PR_SET_PDEATHSIG: usize = 1;
const PR_SET_CHILD_SUBREAPER: usize = 36;

const WNOHANG: usize = 1;
const WUNTRACED: usize = 2;
const WCONTINUED: usize = 8;

const CLONE_VM: usize = 0x100;
const CLONE_VFORK: usize = 0x4000;

/// What a call says: its value, or the error number. Nothing that we ask for is larger than an int.
pub type Answer<T> = Result<T, i32>;

/// A call with numbers for arguments.
///
/// # Safety
/// The arguments must be right for the call; those that are pointers must be valid for it.
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> Answer<i32> {
    // SAFETY: the caller's promise.
    answer(unsafe { syscall(a, b, c, d, number) })
}

fn answer(value: isize) -> Answer<i32> {
    let value = value as i32;
    if value < 0 { Err(-value) } else { Ok(value) }
}

/// A call whose arguments are numbers only, so that it can touch no memory of ours.
fn plain(number: usize, a: usize, b: usize, c: usize) -> Answer<i32> {
    // SAFETY: only called below, with calls that take no pointers.
    unsafe { call(number, a, b, c, 0) }
}

pub fn exit(code: u8) -> ! {
    loop {
        let _ = plain(nr::EXIT_GROUP, usize::from(code), 0, 0);
    }
}

pub fn getpid() -> i32 {
    plain(nr::GETPID, 0, 0, 0).unwrap_or(0)
}

pub fn getppid() -> i32 {
    plain(nr::GETPPID, 0, 0, 0).unwrap_or(0)
}

/// Our process group; 0 if it lies outside of our PID namespace.
pub fn group() -> i32 {
    plain(nr::GETPGID, 0, 0, 0).unwrap_or(0)
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

/// Starts a process that runs `child` on our memory, below our stack; we go on once it has become
/// another program or has exited.
pub fn vfork<T>(child: extern "C" fn(&T) -> !, data: &T) -> Answer<i32> {
    let flags = CLONE_VM | CLONE_VFORK | usize::from(Signal::CHLD.number());
    let (a, b) = if cfg!(target_arch = "s390x") { (0, flags) } else { (flags, 0) };
    // SAFETY: a thin reference is passed as a pointer is, and `data` outlives the child's use of our
    // memory, for we do not go on before its end.
    let child = unsafe {
        core::mem::transmute::<extern "C" fn(&T) -> !, extern "C" fn(*const u8) -> !>(child)
    };
    // SAFETY: the flags suspend us, and there is no stack.
    answer(unsafe { vfork_into(a, b, child, (&raw const *data).cast(), nr::CLONE) })
}

/// Becomes another program; returns the error if that fails.
///
/// # Safety
/// `file` must end in NUL, `argv` and `envp` must be lists that end in NULL, of such strings.
pub unsafe fn execve(file: *const u8, argv: Strings, envp: Strings) -> i32 {
    // SAFETY: the caller's promise.
    let failed = unsafe { call(nr::EXECVE, file as usize, argv as usize, envp as usize, 0) };
    failed.err().unwrap_or(0)
}

/// Asks for a child that has changed: its id and wait status, or id 0 if none has. An error: there
/// are no children.
pub fn wait() -> Answer<(i32, u32)> {
    let mut status = 0u32;
    let options = WNOHANG | WUNTRACED | WCONTINUED;
    // SAFETY: the kernel writes one int to `status`; -1 is any child, and no usage is asked for.
    let pid = unsafe { call(nr::WAIT4, usize::MAX, &raw mut status as usize, options, 0) }?;
    Ok((pid, status))
}

/// Whether this is a living child of ours; a dead one is reaped.
pub fn is_child(pid: i32) -> bool {
    plain(nr::WAIT4, pid as usize, 0, WNOHANG) == Ok(0)
}

/// Opens a file, whose path must end in NUL.
pub fn open(path: &[u8], flags: usize) -> Answer<i32> {
    const AT_FDCWD: usize = -100isize as usize;
    if path.last() != Some(&0) {
        return Err(ENOENT);
    }
    // SAFETY: the path ends in NUL, as was just checked.
    unsafe { call(nr::OPENAT, AT_FDCWD, path.as_ptr() as usize, flags | O_CLOEXEC, 0) }
}

pub fn read(file: i32, buffer: &mut [u8]) -> Answer<i32> {
    // SAFETY: the kernel writes no more than the buffer holds.
    unsafe { call(nr::READ, file as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0) }
}

/// Writes what it can in one call: nobody could be told of a failure.
pub fn write(file: i32, bytes: &[u8]) {
    // SAFETY: the kernel reads no more than the slice holds.
    let _ = unsafe { call(nr::WRITE, file as usize, bytes.as_ptr() as usize, bytes.len(), 0) };
}

pub fn close(file: i32) {
    let _ = plain(nr::CLOSE, file as usize, 0, 0);
}

/// Closes every descriptor from this one on.
pub fn close_from(first: usize) {
    /// How many unused numbers in a row count as the end: they are given out lowest first.
    const GAP: usize = 256;
    if plain(nr::CLOSE_RANGE, first, u32::MAX as usize, 0).is_ok() {
        return;
    }
    // Before Linux 5.9, or a seccomp filter that does not know the call.
    let (mut file, mut unused) = (first, 0);
    while unused < GAP {
        unused = if plain(nr::CLOSE, file, 0, 0) == Err(EBADF) { unused + 1 } else { 0 };
        file += 1;
    }
}

/// Leaves the working directory, so that its mount is not held by us.
pub fn leave_directory() {
    // SAFETY: the path ends in NUL.
    let _ = unsafe { call(nr::CHDIR, c"/".as_ptr() as usize, 0, 0, 0) };
}

/// The process group in the foreground of a terminal.
pub fn foreground(terminal: i32) -> Answer<i32> {
    let mut group = 0i32;
    // SAFETY: the kernel writes one int to `group`.
    unsafe { call(nr::IOCTL, terminal as usize, nr::TIOCGPGRP, &raw mut group as usize, 0) }?;
    Ok(group)
}

pub fn set_foreground(terminal: i32, group: i32) {
    // SAFETY: the kernel reads one int from `group`.
    let _ =
        unsafe { call(nr::IOCTL, terminal as usize, nr::TIOCSPGRP, &raw const group as usize, 0) };
}

/// What [`microseconds`] counts, as the kernel numbers it: the time since some moment in the past,
/// or the processor time that we have spent.
#[derive(Clone, Copy)]
pub enum Clock {
    Elapsed = 1,
    Spent = 3,
}

pub fn microseconds(clock: Clock) -> u64 {
    let mut time = [0isize; 2];
    // SAFETY: the kernel writes one timespec, two longs, to `time`.
    let _ = unsafe { call(nr::CLOCK_GETTIME, clock as usize, &raw mut time as usize, 0, 0) };
    let [seconds, nanoseconds] = time;
    (seconds as u64).wrapping_mul(1_000_000).wrapping_add(nanoseconds as u64 / 1000)
}
