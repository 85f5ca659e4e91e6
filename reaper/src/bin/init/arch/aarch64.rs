core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "bl start",
    ".globl syscall",
    "syscall:",
    "mov x8, x4",
    "svc #0",
    "ret",
);
