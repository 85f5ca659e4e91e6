//! Stopping a process at a system call, to act in the middle of a race.

use crate::process::Running;

/// Lets the process that is about to become the init be traced by the test.
pub fn trace_me() {
    // SAFETY: no memory is involved.
    unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
}

/// Waits for the next stop of a traced process.
fn next_stop(pid: i32) {
    let mut status = 0;
    // SAFETY: the kernel writes one int.
    let waited = unsafe { libc::waitpid(pid, &mut status, libc::__WALL) };
    assert!(waited == pid && libc::WIFSTOPPED(status), "not stopped: {status:#x}");
}

/// Runs a traced process from its stop after `execve` to the entry or exit of the first system call
/// that `wanted` accepts by number; each call has two stops.
fn run_to(pid: i32, wanted: impl Fn(i64) -> bool, exit: bool) {
    next_stop(pid);
    let mut entry = false;
    loop {
        // SAFETY: the process is stopped and ours to trace.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, 0) };
        next_stop(pid);
        entry = !entry;
        // SAFETY: an all-zero `user_regs_struct` is one, and the kernel fills it.
        let number = unsafe {
            let mut registers: libc::user_regs_struct = std::mem::zeroed();
            libc::ptrace(libc::PTRACE_GETREGS, pid, 0, &raw mut registers);
            registers.orig_rax as i64
        };
        if entry != exit && wanted(number) {
            return;
        }
    }
}

fn let_go(pid: i32) {
    // SAFETY: the process is stopped and ours to trace.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
}

/// Acts once the init, started with [`trace_me`], has made its first system call.
pub fn after_first_call(running: &Running, act: impl FnOnce()) {
    run_to(running.pid, |_| true, true);
    act();
    let_go(running.pid);
}

/// Acts while a traced process is about to make a system call.
pub fn before_call(pid: i32, wanted: i64, act: impl FnOnce()) {
    run_to(pid, |number| number == wanted, false);
    act();
    let_go(pid);
}
