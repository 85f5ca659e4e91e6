//! The two things that no compiler writes, for each architecture: the entry, which passes the
//! initial stack pointer to `start`, and the system call, whose arguments come as C has them.

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
}
