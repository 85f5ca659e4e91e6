//! Removes what a container's profile may remove: system calls and capabilities.

/// Makes system calls fail with an error from now on, in this process, the programs that it
/// executes, and its children. Makes only system calls, so that it can run between fork and exec.
pub fn calls(numbers: &[i64], errno: i32) {
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let nothing = statement(0, 0, 0, 0);
    // Load the number. For each system call, compare it and return the error. Finally, allow all
    // others.
    let mut filter = [nothing; 66];
    filter[0] = statement(0x20, 0, 0, 0);
    let mut length = 1;
    for &number in numbers {
        filter[length] = statement(0x15, 0, 1, number as u32);
        filter[length + 1] = statement(0x06, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32);
        length += 2;
    }
    filter[length] = statement(0x06, 0, 0, libc::SECCOMP_RET_ALLOW);
    let program = libc::sock_fprog { len: length as u16 + 1, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel reads the program, which is well formed.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
    }
}

/// Removes CAP_KILL from the programs that this process executes.
pub fn cap_kill() {
    const CAP_KILL: i32 = 5;
    // SAFETY: this call accesses no memory.
    unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0) };
}

/// Makes standard error a full pipe that nobody reads; descriptor 999 is the read end.
pub fn reading_of_errors() {
    // SAFETY: the kernel writes two descriptors and reads the bytes of constants.
    unsafe {
        let mut ends = [0; 2];
        libc::pipe(ends.as_mut_ptr());
        libc::fcntl(ends[1], libc::F_SETFL, libc::O_NONBLOCK);
        for size in [4096, 1] {
            while libc::write(ends[1], [b'x'; 4096].as_ptr().cast(), size) > 0 {}
        }
        libc::fcntl(ends[1], libc::F_SETFL, 0);
        libc::dup2(ends[0], 999);
        libc::dup2(ends[1], 2);
        libc::close(ends[0]);
        libc::close(ends[1]);
    }
}
