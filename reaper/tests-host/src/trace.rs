//! Stops a process at a system call, in order to act in the middle of a race.

use crate::process::Running;

/// Makes the test trace the process that is about to become the init.
pub fn trace_me() {
    // SAFETY: this call accesses no memory.
    unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
}

/// Waits for the next stop of a traced process.
fn next_stop(pid: i32) {
    let mut status = 0;
    // SAFETY: the kernel writes one int.
    let waited = unsafe { libc::waitpid(pid, &mut status, libc::__WALL) };
    assert!(waited == pid && libc::WIFSTOPPED(status), "not stopped: {status:#x}");
}

/// Continues a traced process from its stop after `execve` to the entry or exit of the first system
/// call whose number `wanted` accepts. Each system call causes two stops.
fn run_to(pid: i32, wanted: impl Fn(i64) -> bool, exit: bool) {
    next_stop(pid);
    let mut entry = false;
    loop {
        // SAFETY: the process is stopped, and this process traces it.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, 0) };
        next_stop(pid);
        entry = !entry;
        // SAFETY: an all-zero `user_regs_struct` is valid, and the kernel fills it.
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
    // SAFETY: the process is stopped, and this process traces it.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
}

/// Calls `act` after the init, started with [`trace_me`], has made its first system call.
pub fn after_first_call(running: &Running, act: impl FnOnce()) {
    run_to(running.pid, |_| true, true);
    act();
    let_go(running.pid);
}

/// Calls `act` while a traced process is about to make a system call.
pub fn before_call(pid: i32, wanted: i64, act: impl FnOnce()) {
    run_to(pid, |number| number == wanted, false);
    act();
    let_go(pid);
}

/// Continues a traced process to its first clone, and the child to the first function that it
/// reaches through a register. Returns the child's stack pointer there, and detaches from both
/// processes.
#[cfg(target_arch = "x86_64")]
pub fn stack_of_the_childs_function(pid: i32) -> u64 {
    next_stop(pid);
    let event = |status: i32| status >> 8 == libc::SIGTRAP | (libc::PTRACE_EVENT_VFORK << 8);
    let mut child = 0i64;
    let mut status = 0;
    // SAFETY: the process is stopped, and this process traces it; the kernel writes an int and a
    // long.
    unsafe {
        libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, libc::PTRACE_O_TRACEVFORK);
        while !event(status) {
            libc::ptrace(libc::PTRACE_CONT, pid, 0, 0);
            assert_eq!(libc::waitpid(pid, &mut status, libc::__WALL), pid);
            assert!(libc::WIFSTOPPED(status), "no child: {status:#x}");
        }
        libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut child);
    }
    let child = child as i32;
    next_stop(child);
    for _ in 0..100 {
        // SAFETY: the child is stopped, and this process traces it; an all-zero `user_regs_struct`
        // is valid.
        unsafe {
            let mut registers: libc::user_regs_struct = std::mem::zeroed();
            libc::ptrace(libc::PTRACE_GETREGS, child, 0, &raw mut registers);
            let code = libc::ptrace(libc::PTRACE_PEEKTEXT, child, registers.rip, 0);
            libc::ptrace(libc::PTRACE_SINGLESTEP, child, 0, 0);
            next_stop(child);
            // A call or jmp to the address in a register.
            if matches!(code as u16 & 0xf8ff, 0xd0ff | 0xe0ff) {
                libc::ptrace(libc::PTRACE_GETREGS, child, 0, &raw mut registers);
                let_go(child);
                let_go(pid);
                return registers.rsp;
            }
        }
    }
    panic!("the child goes to no function");
}
