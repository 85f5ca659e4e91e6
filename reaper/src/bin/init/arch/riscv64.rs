core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mv a0, sp",
    "andi sp, sp, -16",
    "call start",
    ".globl syscall",
    "syscall:",
    "mv a7, a4",
    "ecall",
    "ret",
);
