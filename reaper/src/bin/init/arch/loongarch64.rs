core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "move $a0, $sp",
    "bl start",
    ".globl syscall",
    "syscall:",
    "move $a7, $a4",
    "syscall 0",
    "jr $ra",
);
