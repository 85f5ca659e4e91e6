//! The parts that must be written in assembly, for each architecture: the entry point, which passes
//! the initial stack pointer to `start`; the system call, whose arguments follow the C calling
//! convention; the clone call, which returns in two processes; and an instruction that faults,
//! which ends the process. The child of the clone call runs on the parent's stack, below the
//! parent's stack pointer, where the suspended parent stores nothing. Its stack is aligned as the
//! ABI requires at the entry of a function.

#[cfg_attr(target_arch = "x86_64", path = "arch/x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "arch/x86.rs")]
#[cfg_attr(target_arch = "arm", path = "arch/arm.rs")]
#[cfg_attr(target_arch = "aarch64", path = "arch/aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "arch/riscv64.rs")]
#[cfg_attr(target_arch = "loongarch64", path = "arch/loongarch64.rs")]
#[cfg_attr(target_arch = "powerpc64", path = "arch/powerpc64.rs")]
#[cfg_attr(target_arch = "s390x", path = "arch/s390x.rs")]
#[cfg_attr(target_arch = "mips64", path = "arch/mips64.rs")]
mod assembly;

unsafe extern "C" {
    /// Makes a system call; returns its value, or its negated error number.
    ///
    /// # Safety
    /// The kernel reads and writes the memory that the arguments point to, which must be valid for
    /// it.
    pub fn syscall(a: usize, b: usize, c: usize, d: usize, number: usize) -> isize;

    /// Makes a system call with a sixth argument. Where a file offset takes two arguments, the
    /// fifth is the upper half of the offset -1; elsewhere it is unspecified.
    ///
    /// # Safety
    /// The same as for `syscall`.
    pub fn syscall_sixth(a: usize, b: usize, c: usize, d: usize, number: usize, f: usize) -> isize;

    /// Ends the process by causing a fault.
    pub safe fn trap() -> !;

    /// Calls clone(2) with `a` and `b` as its first two arguments. The child calls `child(data)`;
    /// in the parent, returns the ID of the child, or a negated error number.
    ///
    /// # Safety
    /// The arguments must suspend the parent (CLONE_VFORK) and must not give the child a stack.
    pub fn vfork_into(
        a: usize,
        b: usize,
        child: extern "C" fn(*const u8) -> !,
        data: *const u8,
        number: usize,
    ) -> isize;
}
