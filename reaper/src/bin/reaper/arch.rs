//! The four things that no compiler writes, for each architecture: the entry, which passes the
//! initial stack pointer to `start`; the system call, whose arguments come as C has them; the
//! call that returns twice; and the instruction that ends a process. The child of the third goes on
//! below the parent's stack pointer, where the parent, which sleeps meanwhile, has nothing; the
//! stack is aligned as the ABI wants it at a function's entry.

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
    /// Makes a system call; returns its value or its error number, negated.
    ///
    /// # Safety
    /// The kernel reads and writes what the arguments point to.
    pub fn syscall(a: usize, b: usize, c: usize, d: usize, number: usize) -> isize;

    /// [`syscall`] with a sixth argument. The fifth is the upper half of a file offset -1 where an
    /// offset has two halves, and anything elsewhere.
    ///
    /// # Safety
    /// As for `syscall`.
    pub fn syscall_sixth(a: usize, b: usize, c: usize, d: usize, number: usize, f: usize) -> isize;

    /// Ends the process with a fault of its own.
    pub safe fn trap() -> !;

    /// Makes clone(2), with its first two arguments, such that the child calls `child(data)`;
    /// returns the child's id or an error number, negated, to the parent.
    ///
    /// # Safety
    /// The arguments must suspend the parent (CLONE_VFORK) and give the child no stack.
    pub fn vfork_into(
        a: usize,
        b: usize,
        child: extern "C" fn(*const u8) -> !,
        data: *const u8,
        number: usize,
    ) -> isize;
}
